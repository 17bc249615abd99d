"""One TOML preset a published protocol."""
