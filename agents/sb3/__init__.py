"""Adapters between mtlgym and Stable-Baselines3."""
