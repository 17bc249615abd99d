"""Data that ships with the package; sources and licences: DATA_LICENSES.md."""
