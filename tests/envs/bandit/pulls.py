"""Pulls of bandits, and comparisons of their results."""

import numpy as np


def random_actions(env, count, seed=0):
    return np.random.default_rng(seed).integers(env.action_space.n, size=count).tolist()


def run(env, actions):
    return [env.step(action) for action in actions]


def same(one, two):
    """Whether two steps or resets are bit-identical."""
    return all(np.array_equal(a, b) for a, b in zip(one[:-1], two[:-1], strict=True)) and all(
        np.array_equal(one[-1][key], two[-1][key]) for key in one[-1] | two[-1]
    )


def assert_same(one, two):
    """Assert bit-identical values of the same type, with the same keys at every depth."""
    assert type(one) is type(two)
    if isinstance(one, dict):
        assert one.keys() == two.keys()
        assert_same(tuple(one.values()), tuple(two[key] for key in one))
    elif isinstance(one, tuple) or (isinstance(one, np.ndarray) and one.dtype.kind == "O"):
        for a, b in zip(one, two, strict=True):
            assert_same(a, b)
    else:
        assert getattr(one, "dtype", None) == getattr(two, "dtype", None)
        np.testing.assert_array_equal(one, two)
