"""Random numbers from one seed: independent streams, named by their purpose and counters."""

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch

MODEL, ORDER, SAMPLES, FORWARD = range(4)  # purposes of streams


def derive(*key: int) -> int:
    """Derive a seed in [0, 2^63) from a key of non-negative integers."""
    return int(np.random.SeedSequence(key).generate_state(1, np.uint64)[0] >> 1)


def _generators(device: torch.device) -> list[torch.Generator]:
    if device.type != "cuda":
        return [torch.default_generator]
    index = torch.cuda.current_device() if device.index is None else device.index
    return [torch.default_generator, torch.cuda.default_generators[index]]


@contextmanager
def private_randomness(device: torch.device, *key: int) -> Iterator[None]:
    """A context in which torch's default generators are seeded from `key`; restored after it.

    Layers are initialised, and dropout draws, from the default generators, and cannot be given
    another one.
    """
    generators = _generators(device)
    states = [generator.get_state() for generator in generators]
    try:
        for generator in generators:
            generator.manual_seed(derive(*key))
        yield
    finally:
        for generator, state in zip(generators, states, strict=True):
            generator.set_state(state)
