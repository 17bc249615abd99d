"""How the embedded emoji are chosen and drawn."""
