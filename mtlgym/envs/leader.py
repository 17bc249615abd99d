"""One environment in several processes: the leader calls its methods, the followers repeat them."""

from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import Any, TypeVar

from mtlgym.distributed.process_group import TrainingGroup
from mtlgym.envs.saved_state import differences
from mtlgym.training.hardware import Hardware

T = TypeVar("T")


def join_group(hardware: Hardware, description: dict[str, Any]) -> TrainingGroup | None:
    """The group of processes that share this environment; None if `distributed` is off.

    Raises:
        ValueError: as `TrainingGroup.create`, and if the environments of two processes differ;
            names the options that differ.
    """
    if not hardware.distributed:
        return None
    group = TrainingGroup.create(hardware.device)
    for rank, theirs in enumerate(group.all_gather(description)):
        differing = differences(theirs, description)
        if differing:
            raise ValueError(f"process {rank} has made another environment: {differing}")
    return group


def lead(group: TrainingGroup | None, work: Callable[..., T], *arguments: Any) -> T:
    """Call the function here and in all followers; without a group, here alone.

    Args:
        group: the processes.
        work: a function that the followers pass to `follow`; they find it by its name.
        arguments: its arguments, sent to all processes.

    Returns:
        The function's result in this process.

    Raises:
        RuntimeError: in a follower, or after `dismiss_followers`.
        PartnerError: if the call failed in another process; an error in this process is raised as
            it is.
    """
    if group is None:
        return work(*arguments)
    if group.rank or not group.is_open:
        state = "has closed the environment" if not group.is_open else "does not lead"
        hint = "" if not group.is_open else "; it has to call `env.unwrapped.follow()`"
        raise RuntimeError(f"process {group.rank} of {group.size} {state}{hint}")
    group.broadcast((work.__name__, arguments))
    return group.run_on_all(partial(work, *arguments))


def follow(group: TrainingGroup | None, works: Sequence[Callable[..., Any]]) -> None:
    """Repeat the leader's calls of these functions until it closes its environment.

    Errors in the calls are raised in the leader alone.

    Raises:
        RuntimeError: in the leader or without a group, or if the leader has exited.
    """
    if group is None or group.rank == 0:
        raise RuntimeError(
            "follow() is for the processes of a rank above 0, with `distributed=True`"
        )
    known = {work.__name__: work for work in works}
    while group.is_open:
        name, arguments = group.broadcast(None)
        if name == dismiss_followers.__name__:
            group.is_open = False
        else:
            with suppress(Exception):
                group.run_on_all(partial(known[name], *arguments))


def dismiss_followers(group: TrainingGroup | None) -> None:
    """Let the followers' `follow` return; does nothing in a follower or without a group."""
    if group is not None and group.rank == 0 and group.is_open:
        group.is_open = False
        group.broadcast((dismiss_followers.__name__, ()))
