"""Chance from one seed: streams that are named by what they are for and by a counter."""

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch

MODEL, ORDER, SAMPLES, FORWARD = range(4)  # what a stream is for


def derive(*key: int) -> int:
    """An integer in [0, 2^63) that stands for this key of non-negative integers alone."""
    return int(np.random.SeedSequence(key).generate_state(1, np.uint64)[0] >> 1)


def _generators(device: torch.device) -> list[torch.Generator]:
    if device.type != "cuda":
        return [torch.default_generator]
    index = torch.cuda.current_device() if device.index is None else device.index
    return [torch.default_generator, torch.cuda.default_generators[index]]


@contextmanager
def private_randomness(device: torch.device, *key: int) -> Iterator[None]:
    """Seed torch's default generators from `key` inside; outside they are as they were.

    Layers are initialised, and dropout draws, from the default generators: there is no other way
    to hand them one of our own.
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
