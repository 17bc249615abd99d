"""Run cells (environment, agent, seed), and say what came of them."""
