"""Save a training and continue it: the result is bit-identical to an uninterrupted one."""

import tempfile
from pathlib import Path

import gymnasium as gym
import numpy as np

import mtlgym  # noqa: F401, registers the ids

one, two = (gym.make("MTL-QM9-Mini-v0", epochs=1, batch_size=500) for _ in range(2))
one.reset(seed=0)
action = np.zeros(11, np.float32)  # equal weights
one.step(action)
with tempfile.TemporaryDirectory() as folder:
    one.unwrapped.save(Path(folder) / "checkpoint")
    two.reset()  # gym.make's wrapper wants one; load replaces what it began
    two.unwrapped.load(Path(folder) / "checkpoint")
print("the same:", np.array_equal(one.step(action)[0], two.step(action)[0]))
