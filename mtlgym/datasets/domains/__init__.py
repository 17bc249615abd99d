"""Domains as tasks: files of features, splits and the four published sets."""
