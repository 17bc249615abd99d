"""Benchmarks: presets, sweeps and tuning, whose runs are cells (environment, agent, seed)."""
