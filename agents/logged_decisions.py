"""Logged decisions as arrays: read from files, checked, and pooled."""

import os
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mtlgym.agents.log_format import Content, unpack


@dataclass(frozen=True, eq=False)
class Decisions:
    """Decisions of one log, or of several that are pooled.

    Attributes:
        actions: arms chosen; (decisions,).
        propensities: probability of each under the policy that chose it; (decisions,).
        rewards: what each brought; (decisions,).
        steps: when each was made; (decisions,).
        arms: how many there were to choose from.
        tasks: their names, or none.
        source: the file or files, for messages.
    """

    actions: NDArray[np.int64]
    propensities: NDArray[np.float64]
    rewards: NDArray[np.float64]
    steps: NDArray[np.int64]
    arms: int
    tasks: tuple[str, ...]
    source: str

    def __len__(self) -> int:
        """How many decisions there are."""
        return len(self.actions)


def check_decisions(action: Any, propensity: Any, reward: Any, arms: int, source: str = "") -> None:
    """Refuse decisions that no policy can have made, or that nothing can be learnt from.

    Args:
        action: an arm, or an array of them.
        propensity: probability of the action; of the same shape.
        reward: what it brought; of the same shape.
        arms: how many there are to choose from.
        source: the file that arrays are from, for the message.

    Raises:
        ValueError: names the argument, the first value out of range, and its place.
    """
    for name, values in (("action", action), ("propensity", propensity), ("reward", reward)):
        if np.asarray(values).dtype.kind not in "biuf":
            raise ValueError(f"`{name}` must be a number, or an array of them, not {values!r}")
    integers = np.asarray(action).dtype.kind in "iu"
    for name, values, good, allowed in (
        ("action", action, integers & (action >= 0) & (action < arms), f"an arm in [0, {arms})"),
        ("propensity", propensity, (propensity > 0) & (propensity <= 1), "in (0, 1]"),
        ("reward", reward, np.isfinite(reward), "finite"),
    ):
        if not np.all(good):
            at = int(np.flatnonzero(~np.atleast_1d(good))[0])
            place = f" in record {at} of {source}" if source else ""
            found = np.atleast_1d(values)[at]
            raise ValueError(f"`{name}` must be {allowed}, not {found}{place}")


def check_shapes(shape: tuple[int, ...], **values: Any) -> None:
    """Refuse values of another shape.

    Raises:
        ValueError: names the argument and its shape.
    """
    for name, value in values.items():
        if np.shape(value) != shape:
            raise ValueError(f"`{name}` must have the shape {shape}, not {np.shape(value)}")


def read(path: str | os.PathLike[str]) -> Decisions:
    """The decisions in a file, which may still be written to.

    Warns:
        UserWarning: if the last record was cut short; it is left out.

    Raises:
        OSError: if it cannot be read.
        ValueError: for a damaged file; names it and the record.
    """
    content = unpack(Path(path).read_bytes(), str(path))
    if content.rest:
        warnings.warn(cut_short(content, str(path)), stacklevel=2)
    return decisions_of(content, str(path))


def cut_short(content: Content, source: str) -> str:
    """The warning for a last record that a crash cut short."""
    return f"record {len(content.records)}, the last of {source}, was cut short and is left out"


def decisions_of(content: Content, source: str) -> Decisions:
    """The decisions in a log's records.

    Raises:
        ValueError: names the file and the first decision out of range.
    """
    found, header = content.records, content.header
    decisions = Decisions(
        actions=found["action"].astype(np.int64),
        propensities=found["propensity"].astype(np.float64),
        rewards=found["reward"].astype(np.float64),
        steps=found["step"].astype(np.int64),
        arms=header.arms,
        tasks=header.tasks,
        source=source,
    )
    check_decisions(
        decisions.actions, decisions.propensities, decisions.rewards, header.arms, source
    )
    return decisions


def pool(logs: Sequence[Any]) -> Decisions:
    """The decisions of several logs, each with the propensity that it was logged with.

    Args:
        logs: an `OffPolicyLog`, `Decisions` or the path of a file each.

    Raises:
        OSError: if one cannot be read.
        ValueError: for no log, a damaged one, or logs of different arms; names both.
    """
    found = [_decisions(log) for log in logs]
    if not found:
        raise ValueError("`logs` must hold at least one log")
    first = next((log for log in found if log.tasks), found[0])
    for log in found:
        if log.arms != first.arms or log.tasks not in ((), first.tasks):
            raise ValueError(
                f"{first.source} and {log.source} cannot be pooled: the one is of {first.arms} "
                f"arms {first.tasks}, the other of {log.arms} {log.tasks}"
            )

    def joined(name: str) -> NDArray[Any]:
        return np.concatenate([getattr(log, name) for log in found])

    return Decisions(
        actions=joined("actions"),
        propensities=joined("propensities"),
        rewards=joined("rewards"),
        steps=joined("steps"),
        arms=first.arms,
        tasks=first.tasks,
        source=", ".join(log.source for log in found),
    )


def _decisions(log: Any) -> Decisions:
    if isinstance(log, Decisions):
        return log
    return read(log) if isinstance(log, str | os.PathLike) else log.decisions()
