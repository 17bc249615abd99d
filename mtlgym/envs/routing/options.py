"""The options of routing environments, and the network that is built from them."""

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from torch import nn

from mtlgym import checks
from mtlgym.envs.routing.collaboration import LENGTH
from mtlgym.envs.routing.trainer_options import TrainerOptions
from mtlgym.lookup import lookup, unknown
from mtlgym.models.architectures import ARCHITECTURES
from mtlgym.models.heads import HeadSizes
from mtlgym.models.routed import Routed
from mtlgym.models.routing_net import RoutingNet
from mtlgym.models.simple_conv import SimpleConv
from mtlgym.problems import build_images, image_options
from mtlgym.problems.images import ImageProblem, describe
from mtlgym.training.hardware import Hardware

MOST = 2**16  # bound of every size, so that a mistyped one does not fill the memory
REWARDS = ("correct", "negative_loss")
HISTORIES = ("task", "shared")


@dataclass(frozen=True)
class RoutingOptions:
    """The network's architecture, and the agent's reward.

    Attributes:
        architecture: a key of `ARCHITECTURES`; those whose routes are fixed have one action.
        depth: decisions on a route, the last of which picks the classification layer's block.
        blocks: function blocks of a layer; None for one a task.
        width: outputs of a hidden block.
        filters: of each convolution in the trunk.
        pass_action: whether a hidden layer can be skipped; the trunk's features must then be as
            many as `width`.
        recursive: whether all hidden layers choose from all hidden blocks, or pass; those of
            `routing-all-fc-recursive` always do.
        reward: at a route's end, `correct`: 1 if the class is right, else -1; or `negative_loss`:
            minus the loss, in nats.
        rho: weight of the collaboration reward, in [0, 1].
        history: whose last decisions that reward looks at: those of the sample's `task`, or
            `shared` ones of all tasks.
        history_length: number of decisions kept for each task and depth.
    """

    architecture: str = "routing-all-fc"
    depth: int = 3
    blocks: int | None = None
    width: int = 128
    filters: int = 32
    pass_action: bool = False
    recursive: bool = False
    reward: str = "correct"
    rho: float = 0.0
    history: str = "task"
    history_length: int = LENGTH

    def __post_init__(self) -> None:
        """Check the values."""
        chosen = lookup(ARCHITECTURES, self.architecture, "architecture")
        for name in ("depth", "blocks", "width", "filters", "history_length"):
            self._check_size(name, getattr(self, name))
        for name in ("pass_action", "recursive"):
            checks.flag(name, getattr(self, name))
            if getattr(self, name) and chosen.dispatch is None:
                raise ValueError(
                    f"`{name}` must be False for architecture {self.architecture!r}, which leaves "
                    "nothing to decide"
                )
        checks.real("rho", self.rho, 0.0)
        if self.rho > 1:
            raise ValueError(f"`rho` must lie in [0, 1], not {self.rho!r}")
        for name, known in (("reward", REWARDS), ("history", HISTORIES)):
            value = getattr(self, name)
            if not isinstance(value, str) or value not in known:
                raise ValueError(unknown(value, known, f"`{name}`"))

    def _check_size(self, name: str, value: Any) -> None:
        if name == "blocks" and value is None:
            return
        checks.integer(name, value, least=1)
        if value > MOST:
            raise ValueError(f"`{name}` must be at most {MOST}, not {value!r}")


PARTS = (RoutingOptions, TrainerOptions, Hardware)
UNUSED = ("compile",)  # fields of Hardware: a route's graph changes from batch to batch
KNOWN = [f.name for part in PARTS for f in dataclasses.fields(part) if f.name not in UNUSED]


@dataclass(frozen=True, eq=False)
class RoutingConfiguration:
    """The parts that a routing environment is built from.

    Attributes:
        problem: the problem that the network learns.
        options: network and reward.
        trainer_options: how the network is trained.
        hardware: where the network is computed.
        description: all of these as plain values; environments with equal descriptions can load
            each other's checkpoints.
    """

    problem: ImageProblem
    options: RoutingOptions
    trainer_options: TrainerOptions
    hardware: Hardware
    description: dict[str, Any]

    def build(self) -> nn.Module:
        """Build a fresh network; draws from torch's default generator."""
        channels, height, width = self.problem.shape
        options = self.options
        form = HeadSizes(
            features=SimpleConv.features(height, width, options.filters),
            classes=self.problem.classes,
            tasks=len(self.problem.tasks),
            width=options.width,
            blocks=options.blocks,
            depth=options.depth,
            passes=options.pass_action,
        )
        trunk = SimpleConv(channels, options.filters)
        if options.recursive:
            return RoutingNet(trunk, Routed(form, recursive=True))
        return RoutingNet(trunk, ARCHITECTURES[options.architecture].build(form))


def configure(problem: str | ImageProblem, options: Mapping[str, Any]) -> RoutingConfiguration:
    """Check the options, then build the problem.

    Raises:
        ValueError: for an option that is in none of `PARTS` and no argument of the problem's
            builder, or a value that is not allowed.
    """
    if not isinstance(problem, str | ImageProblem):
        raise ValueError(
            f"`problem` must be the name of a problem or an ImageProblem, not {problem!r}"
        )
    own = RoutingOptions(**_take(options, RoutingOptions))
    trainer_options = TrainerOptions(**_take(options, TrainerOptions))
    hardware = Hardware(**_take(options, Hardware))
    rest = {key: options[key] for key in options if key not in KNOWN}
    known = [*(image_options(problem) if isinstance(problem, str) else ()), *KNOWN]
    for option in rest:
        if option not in known:
            raise ValueError(unknown(option, known, "option"))
    built = build_images(problem, rest) if isinstance(problem, str) else problem
    trainer_options.batches(built.sizes("train"))  # raises if the samples do not fill a minibatch
    parts = dataclasses.asdict(own) | dataclasses.asdict(trainer_options)
    parts |= dataclasses.asdict(hardware)
    for left_out in (*UNUSED, "device", "distributed"):
        parts.pop(left_out)
    plain = json.dumps({**describe(built, rest), **parts}, default=np.generic.item)
    return RoutingConfiguration(built, own, trainer_options, hardware, json.loads(plain))


def _take(options: Mapping[str, Any], kind: type) -> dict[str, Any]:
    names = [field.name for field in dataclasses.fields(kind) if field.name not in UNUSED]
    return {name: options[name] for name in names if name in options}
