"""Data sets: loaders that find, verify and split their files."""
