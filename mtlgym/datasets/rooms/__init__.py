"""Rendered rooms: the embedded stand-in for NYUv2."""
