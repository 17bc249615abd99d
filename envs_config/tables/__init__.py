"""One TOML file a published table."""
