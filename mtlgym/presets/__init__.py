"""Presets as TOML files: environments with their ids, published tables and figures."""
