"""The agents with networks, as the tests make them."""

from typing import Any

import pytest

from mtlgym.agents import REINFORCE, ActorCritic, QLearning

AGENTS: dict[str, tuple[Any, dict[str, Any]]] = {
    "reinforce": (REINFORCE, {"baseline": "mean"}),
    "actor-critic": (ActorCritic, {"entropy": 0.01}),
    "q network": (QLearning, {"representation": "network"}),
}
NAMES = pytest.mark.parametrize("name", AGENTS)


def agent_for(env, name="reinforce", **settings):
    kind, own = AGENTS[name]
    return kind(env.observation_space, env.action_space, **({"seed": 0} | own | settings))


def stacks(agent):
    """The states of an agent's networks and their optimizers, by name."""
    state = agent.state_dict()
    return {part: state[part] for part in {"policy", "critic", "values"} & state.keys()}
