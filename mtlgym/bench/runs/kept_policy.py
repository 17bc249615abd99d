"""A saved agent as the agent of a cell: it acts and does not learn."""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gymnasium import spaces

from mtlgym import agents
from mtlgym.agents.saving import kept

FORWARDED = ("greedy", "policy", "probabilities")  # attributes that runs read of some agents
SB3 = "sb3"  # the `agent` of a cell whose policy is a zip of Stable-Baselines3


class Frozen:
    """Acts as a saved agent does, from the first step on, and does not learn.

    A policy of task weights takes its likeliest action, as `agents.method` does; another one draws,
    from the saved state of its generators. Attributes that describe the policy, as `greedy`, are
    those of the agent.

    Attributes:
        agent: the saved agent.
    """

    def __init__(self, agent: Any) -> None:
        """Take the agent."""
        self.agent = agent

    def act(self, observation: Any, info: dict[str, Any]) -> Any:
        """The agent's own decision, even where it would still explore if it learnt."""
        decide = getattr(self.agent, "decide", None)
        return self.agent.act(observation, info) if decide is None else decide(observation, True)

    def __getattr__(self, name: str) -> Any:
        """Attributes of the agent that describe its policy."""
        if name not in FORWARDED:
            raise AttributeError(f"{type(self).__name__} has no {name!r}")
        return getattr(self.agent, name)

    def learn(self, *step: Any) -> None:
        """Learn nothing."""

    def state_dict(self) -> dict[str, Any]:
        """The agent's."""
        return self.agent.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Load a state returned by `state_dict`."""
        self.agent.load_state_dict(state)


def describe(path: Path, trust: bool) -> tuple[str, dict[str, Any]]:
    """The saved agent's spec, and `Cell.policy` of it: `path`, `trust` and `sha256`.

    Raises:
        FileNotFoundError: if it is not there.
        ValueError: if it is damaged; names it.
    """
    if path.name == kept.JSON:
        path = path.parent
    if not path.is_file() and not (path / kept.JSON).exists():
        raise FileNotFoundError(
            f"`policy` must be a folder with {kept.JSON}, as `mtlgym train` leaves, or a zip of "
            f"Stable-Baselines3, not {path}"
        )
    file = path if path.is_file() else path / kept.JSON
    spec = SB3 if path.is_file() else kept.read(path)["spec"]
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    return spec, {"path": str(path.resolve()), "trust": trust, "sha256": digest}


def load(policy: Mapping[str, Any], observations: spaces.Space, actions: spaces.Space) -> Frozen:
    """The agent that the cell's policy is.

    Raises:
        ValueError: if the file is another one by now, or the spaces are not the agent's.
    """
    path = Path(policy["path"])
    if describe(path, policy["trust"])[1]["sha256"] != policy["sha256"]:
        raise ValueError(f"{path} is not the policy that this run began with")
    agent: Any = agents.load(path, trust=policy["trust"])
    for kind, own, its in (
        ("observations", agent.observation_space, observations),
        ("actions", agent.action_space, actions),
    ):
        if own != its:
            raise ValueError(f"{path} is of {kind} {own}, but the environment has {its}")
    return Frozen(agent)
