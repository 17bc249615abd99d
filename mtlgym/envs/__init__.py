"""Gymnasium environments: an episode is a training run."""
