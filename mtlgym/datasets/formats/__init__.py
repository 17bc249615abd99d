"""File formats of data sets, read without running anything that they hold."""
