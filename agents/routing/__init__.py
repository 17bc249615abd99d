"""Agents that route samples through function blocks: WPL, Q-learning, REINFORCE, actor-critic."""
