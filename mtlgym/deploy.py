"""Use a trained policy of task weights as a balancing method in any training loop."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from mtlgym import checks
from mtlgym.agents.saving import kept
from mtlgym.agents.saving.environment import WEIGHING, describe
from mtlgym.agents.streams import torch_stream
from mtlgym.agents.weights.balancing_policy import BalancingPolicy
from mtlgym.balancing.method import Method
from mtlgym.balancing.state import zero
from mtlgym.envs.training.actions import Logits, Tasks, Weights, make_interface
from mtlgym.envs.training.observations import Observer
from mtlgym.envs.training.options import TrainingOptions
from mtlgym.record import Record

UNKNOWN = {  # features that a plain loop cannot give
    "lr": "the learning rate in units of the environment's option `lr`",
    "relative_losses": "the mean losses of the environment's base epoch",
}


@dataclass(frozen=True, eq=False)
class Weighing:
    """How an environment observes and decodes actions.

    Attributes:
        observer: converts records to observations.
        interface: converts actions to weights.
        transform: the transform of the losses that the weights multiply: "log" or "none".
        tasks: number of tasks.
    """

    observer: Observer
    interface: Logits | Weights
    transform: str
    tasks: int


def _no_steps() -> Tensor:
    return torch.zeros((), dtype=torch.int64)


@dataclass(eq=False)
class KeptMethod:
    """Weigh the tasks by a policy that was trained in an environment.

    The losses of the pending batch and the other features are observed as in the environment, and
    the policy's action is converted to weights as there. The policy decides from the first batch
    on, and does not learn.

    Attributes:
        policy: has `decide(observation, deterministic, chance)`.
        weighing: converts its observations and actions.
        deterministic: whether to take the most probable action, not a drawn one.
        seed: with the step, the seed of a drawn action.
        budget: optimizer steps in the training, for a policy that observes `progress`.
    """

    policy: Any = field(repr=False)
    weighing: Weighing = field(repr=False)
    deterministic: bool = True
    seed: int = 0
    budget: int | None = None
    needs_same_batch = False
    needs_epochs = False
    _weights: Tensor = field(default_factory=zero, init=False, repr=False)  # of the last decision
    _since: Tensor = field(default_factory=_no_steps, init=False, repr=False)

    @property
    def transform(self) -> str:
        """The objective that the weights were learnt for."""
        return self.weighing.transform

    def __call__(self, record: Record) -> Float[Tensor, " tasks"]:
        """The policy's weights for this batch.

        Raises:
            ValueError: for a number of tasks other than the policy's.
        """
        tasks = self.weighing.tasks
        if len(record.losses) != tasks:
            raise ValueError(
                f"`losses` must be of the policy's {tasks} tasks, not {len(record.losses)}"
            )
        observation = self.weighing.observer.observe(self._completed(record))
        action = self.policy.decide(observation, self.deterministic, self._chance(record.step))
        weights = self.weighing.interface.decode(action).weights
        self._since = torch.where(weights > 0, 0, self._since + 1)
        self._weights = weights
        return weights

    def _completed(self, record: Record) -> Record:
        """The record with what the environment's has beside the losses."""
        tasks = self.weighing.tasks
        return replace(
            record,
            weights=self._weights.expand(tasks),
            since_chosen=self._since.expand(tasks),
            progress=record.step / (self.budget or 1),
        )

    def _chance(self, step: int) -> Any:
        """A generator for one decision, which depends on the seed and the step only."""
        if self.deterministic:
            return None
        drawn = np.random.SeedSequence([self.seed, step]).generate_state(1)
        return torch_stream(int(drawn[0]))


def method(
    policy: Any,
    *,
    env: Any = None,
    deterministic: bool = True,
    seed: int = 0,
    budget: int | None = None,
) -> Method:
    """A policy as a balancing method: `mtlgym.Balancer(agents.method("folder"))`.

    Args:
        policy: the folder of a saved agent, or an agent that weighs tasks.
        env: the environment that the agent was trained in, whose settings define its observations
            and actions; None for a folder that was saved with one.
        deterministic: whether to take the most probable weights, not drawn ones.
        seed: seed of the draws.
        budget: optimizer steps in the training, for a policy that observes `progress`.

    Raises:
        ValueError: for a damaged folder, an agent that chooses tasks or has learnt nothing, an
            environment that is missing or another, or a policy that observes what a plain loop
            cannot give; names it.
        FileNotFoundError: if there is no such folder.
    """
    agent, described = policy, describe(env)
    if isinstance(policy, str | os.PathLike):
        agent = kept.load(policy)
        described = described or kept.read(policy).get("environment")
    name = type(agent).__name__
    if len(getattr(agent.action_space, "shape", None) or ()) != 1:
        raise ValueError(
            f"{name} chooses among tasks and weighs none: train on the batch of the task that its "
            "act(observation, info) gives, in an environment or in a loop of your own"
        )
    if isinstance(agent, BalancingPolicy):
        return replace(agent.method)
    if not hasattr(agent, "decide"):
        raise ValueError(f"{name} has learnt no weights; Balancer('rlw') draws them at random")
    if getattr(agent, "gradient_steps", 1) == 0:
        raise ValueError(f"{name} has learnt nothing yet: it has made no gradient step")
    checks.integer("seed", seed, least=0)
    weighing = _weighing(agent, described, budget)
    return KeptMethod(agent, weighing, deterministic, seed, budget)


def _weighing(agent: Any, described: Mapping[str, Any] | None, budget: int | None) -> Weighing:
    """The environment's observer and interface, if they fit the agent and a plain loop."""
    values = (described or {}).get("weighing")
    if not isinstance(values, Mapping):
        raise ValueError(
            f"`env` must be the environment that {type(agent).__name__} learnt to weigh tasks in: "
            "it says what is observed and what the actions mean"
        )
    settings = TrainingOptions(**{name: values[name] for name in WEIGHING if name in values})
    for feature in settings.observation:
        if feature in UNKNOWN:
            raise ValueError(
                f"the policy observes {feature!r}, which a plain loop cannot give: it needs "
                f"{UNKNOWN[feature]}"
            )
    if "progress" in settings.observation and budget is None:
        raise ValueError("the policy observes 'progress': `budget` must be the optimizer steps")
    if budget is not None:
        checks.integer("budget", budget, least=1)
    tasks = agent.action_space.shape[0]
    observer, interface = Observer(settings.observation, tasks), make_interface(settings, tasks)
    for kind, own, its in (
        ("observations", agent.observation_space, observer.space),
        ("actions", agent.action_space, interface.space),
    ):
        if own != its:
            raise ValueError(f"`env` has the {kind} {its}, but the policy has {own}")
    assert not isinstance(interface, Tasks)
    assert settings.transform is not None  # it was None at most before it was filled in
    return Weighing(observer, interface, settings.transform, tasks)
