"""Strategies and helpers of the tests with invalid input.

`MTLGYM_FUZZ=20` draws twenty times as many examples, and other ones each time.
"""

import os
from typing import Any

import gymnasium as gym
import numpy as np
import torch
from hypothesis import HealthCheck, configuration, settings
from hypothesis import strategies as st

from mtlgym.io import checkpoint
from tests.envs.test_ids import DOMAINS, LIGHT, ROUTING, SOURCED, TEXTS

FACTOR = int(os.environ.get("MTLGYM_FUZZ", "1"))
# As in `test_ids`, and smaller still, as nothing is learnt here.
TINY: dict[str, dict[str, Any]] = {
    "MTL-QM9-v0": {"dim": 4, "edge_hidden": 4, "batch_size": 4},
    "MTL-QM9-Mini-v0": {"dim": 4, "edge_hidden": 4, "batch_size": 4},
    "MTL-GLUE-v0": {**TEXTS, "batch_size": 2},
    "MTL-TextMix-v0": {**TEXTS, "batch_size": 2},
    **{f"MTL-{name}-v0": DOMAINS for name in ("OfficeHome", "Emoji")},
    **{id: {"batch_size": 4, "filters": 2, "width": 4, "blocks": 3} for id in ROUTING},
}
configuration.set_hypothesis_home_dir(os.path.join(os.environ.get("TMPDIR", "/tmp"), "hypothesis"))


def few(examples):
    """Settings under which a test draws that many examples, the same ones every time."""
    return settings(
        max_examples=examples * FACTOR,
        derandomize=FACTOR == 1,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )


def smallest(id, **options):
    """Options of `gym.make` for the smallest environment of the id."""
    data: dict[str, Any] = {"data": "embedded"} if id in SOURCED else {}
    return {**data, **LIGHT.get(id, {}), **TINY.get(id, {}), **options}


def small(id, **options):
    """The environment itself, without the wrappers of `gym.make`."""
    return gym.make(id, **smallest(id, **options)).unwrapped


def small_vector(id, rows=3):
    """Its vector form."""
    options = {key: value for key, value in smallest(id).items() if key != "batch_size"}
    return gym.make_vec(id, num_envs=rows, **options).unwrapped


def fingerprint(env, folder):
    """The bytes of the environment's checkpoint; None before the first reset."""
    try:
        state = env.state_dict()
    except gym.error.ResetNeeded:
        return None
    checkpoint.save(folder / "state", state)
    return (folder / "state").read_bytes()


def sound(observation, space):
    """Whether an observation is in its space, and finite."""
    parts = observation.values() if isinstance(observation, dict) else [observation]
    return observation in space and all(np.isfinite(part).all() for part in parts)


class Evil:
    """An object that is no number, with a `repr` of its own."""

    def __repr__(self):
        return "Evil()"


NUMBERS = st.one_of(
    st.sampled_from([0, 1, 2, -1, 7, 2**31, 2**63, 2**64, 10**30, -(10**400), True, False]),
    st.sampled_from([0.0, -0.0, 0.5, 1.0, -1.0, 1.5, 1e-320, 3e38, 1e300]),
    st.sampled_from([float("nan"), float("inf"), -float("inf"), 1j]),
)
SCALARS = st.one_of(
    NUMBERS,
    st.sampled_from([None, "", "x", "losses", "\x00\u2028", b"\xff", Evil(), Evil, ..., range(3)]),
    st.sampled_from([np.float32("nan"), np.int64(1), np.uint8(200), np.bool_(True), np.str_("y")]),
    st.text(max_size=5),
)
NESTED = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.tuples(inner, inner),
        st.dictionaries(st.text(max_size=3), inner, max_size=2),
    ),
    max_leaves=6,
)
DTYPES = ("f2", "f4", "f8", "longdouble", "i1", "i8", "u8", "c8", "?", "O", "U3", "M8[s]", "S2")


@st.composite
def arrays(draw, count):
    """Arrays of all kinds, some of them of the right shape."""
    shape = draw(st.sampled_from([(count,), (), (0,), (1,), (count, 1), (1, count), (count + 1,)]))
    value = draw(st.sampled_from([0, 1, 2, -1, 0.5, 1e30, np.nan, np.inf, -np.inf, 2**40]))
    with np.errstate(all="ignore"):
        array = np.full(shape, value).astype(draw(st.sampled_from(DTYPES)))
    if array.size and array.dtype.kind == "f" and draw(st.booleans()):
        array.flat[0] = np.inf if draw(st.booleans()) else 0.25
    return array


@st.composite
def tensors(draw, count):
    """The same as torch tensors, some of which NumPy cannot convert."""
    kind = draw(st.sampled_from(["plain", "meta", "sparse", "half"]))
    tensor = torch.full((draw(st.sampled_from([count, 1])),), draw(st.sampled_from([0.0, 9.0])))
    if kind == "meta":
        return tensor.to("meta")
    if kind == "sparse":
        return tensor.to_sparse()
    return tensor.to(torch.bfloat16) if kind == "half" else tensor


def actions(count):
    """Arbitrary arguments of `step`, for a space of `count` numbers or choices."""
    return st.one_of(NESTED, arrays(count), tensors(count), st.lists(NUMBERS, max_size=count + 1))
