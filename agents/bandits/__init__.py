"""Bandit policies: agents that choose which task to train on next."""
