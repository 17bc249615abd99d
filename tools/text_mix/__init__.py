"""How the embedded text tasks are made of VADER's ratings and of WordNet."""
