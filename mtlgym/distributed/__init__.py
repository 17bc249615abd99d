"""Data-parallel training: the process group, and collectives over it."""
