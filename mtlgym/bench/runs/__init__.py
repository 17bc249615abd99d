"""One run: an environment, an agent and a seed, from settings to a result that survives kills."""
