"""Agents on disk: `save`, `load`, and the checks of a state before it is loaded."""
