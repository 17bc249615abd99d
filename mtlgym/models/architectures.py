"""Routing networks and their baselines, by the names that their paper uses."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from mtlgym.models.cross_stitch import CrossStitch
from mtlgym.models.heads import Head, HeadSizes
from mtlgym.models.routed import Routed
from mtlgym.models.soft_mixture import SoftMixture
from mtlgym.models.static_route import StaticRoute


@dataclass(frozen=True)
class Architecture:
    """A head, and the kind of agents that route its samples.

    Attributes:
        build: builds the head, initialised from torch's default generator.
        dispatch: "task" for an agent a task, "learned" for an agent that is picked by one that
            learns to, "single" for one agent; None where there is nothing to decide.
    """

    build: Callable[[HeadSizes], Head]
    dispatch: str | None


# "shared" is ours: one network for all tasks. The other names are those of Rosenbaum, Klinger,
# Riemer (ICLR 2018), https://arxiv.org/abs/1711.01239.
ARCHITECTURES = {
    "routing-all-fc": Architecture(Routed, "task"),
    "routing-all-fc-recursive": Architecture(partial(Routed, recursive=True), "task"),
    "routing-all-fc-dispatched": Architecture(Routed, "learned"),
    "routing-all-fc-single-agent": Architecture(Routed, "single"),
    "soft-mixture-fc": Architecture(SoftMixture, None),
    "cross-stitch-all-fc": Architecture(CrossStitch, None),
    "task-specific-1-fc": Architecture(partial(StaticRoute, own=1), None),
    "task-specific-all-fc": Architecture(lambda form: StaticRoute(form, own=form.depth), None),
    "shared": Architecture(partial(StaticRoute, own=0), None),
}
