"""Files: atomic writes, checksummed JSON, JSON lines, checkpoints, locks."""
