"""Agents that decide task weights: IGBv2 (SAC) and balancing methods as policies."""
