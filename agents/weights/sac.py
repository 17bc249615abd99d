"""Stable-Baselines3's SAC without its loop: built from two spaces, saved and restored exactly."""

from typing import Any

import numpy as np
import torch
from gymnasium import spaces
from stable_baselines3 import SAC
from stable_baselines3.common.buffers import ReplayBuffer
from stable_baselines3.common.logger import Logger

from mtlgym import checks

_COUNTS = ("update_epoch", "use_epoch", "update_every", "updates", "batch_size", "buffer_size")
_COLUMNS = ("observations", "next_observations", "actions", "rewards", "dones")


def check(numbers: dict[str, Any]) -> None:
    """Refuse settings out of their ranges.

    Raises:
        ValueError: names the setting and its value.
    """
    for name in _COUNTS:
        checks.integer(name, numbers[name], least=1)
    for name in ("learning_rate", "temperature"):
        checks.real(name, numbers[name], 0.0, open_end=True)
    for name in ("gamma", "tau"):
        checks.real(name, numbers[name], 0.0)
        if numbers[name] > 1:
            raise ValueError(f"`{name}` must lie in [0, 1], not {numbers[name]}")


def build(observations: spaces.Box, actions: spaces.Box, **settings: Any) -> SAC:
    """A SAC model on the CPU without an environment and with a silent log.

    Args:
        observations: the observation space.
        actions: the action space, finite.
        settings: any of SAC's own arguments.
    """
    model = SAC("MlpPolicy", None, device="cpu", _init_setup_model=False, **settings)  # type: ignore[arg-type]
    model.observation_space, model.action_space, model.n_envs = observations, actions, 1
    model._setup_model()
    model.set_logger(Logger(folder=None, output_formats=[]))
    return model


def replay(model: SAC) -> ReplayBuffer:
    """The model's replay buffer."""
    assert model.replay_buffer is not None
    return model.replay_buffer


def state_dict(model: SAC) -> dict[str, Any]:
    """Copies of all that learning changes: networks, moments, temperature, transitions."""
    buffer = replay(model)
    filled = buffer.size()
    return {
        "policy": {name: value.clone() for name, value in model.policy.state_dict().items()},
        "moments": {name: _moments(each) for name, each in _optimizers(model).items()},
        "log_temperature": _log_temperature(model).detach().clone(),
        "buffer": {name: vars(buffer)[name][:filled].copy() for name in _COLUMNS},
        "position": buffer.pos,
        "full": buffer.full,
        "updates": model._n_updates,
    }


def load_state_dict(model: SAC, state: dict[str, Any]) -> None:
    """Continue from what `state_dict` returned for a model of the same settings."""
    model.policy.load_state_dict(state["policy"])
    for name, optimizer in _optimizers(model).items():
        _set_moments(optimizer, state["moments"][name])
    with torch.no_grad():
        _log_temperature(model).copy_(state["log_temperature"])
    buffer = replay(model)
    for name, column in state["buffer"].items():
        vars(buffer)[name][: len(column)] = np.asarray(column)
    buffer.pos, buffer.full = state["position"], state["full"]
    model._n_updates = state["updates"]


def _optimizers(model: SAC) -> dict[str, torch.optim.Optimizer]:
    temperature = model.ent_coef_optimizer
    assert temperature is not None
    actor, critic = model.actor.optimizer, model.critic.optimizer
    return {"actor": actor, "critic": critic, "temperature": temperature}


def _log_temperature(model: SAC) -> torch.Tensor:
    assert model.log_ent_coef is not None
    return model.log_ent_coef


def _moments(optimizer: torch.optim.Optimizer) -> list[dict[str, torch.Tensor]]:
    """Adam's state, one dictionary a parameter; empty before the first update."""
    state = optimizer.state_dict()["state"]
    return [{k: v.clone() for k, v in state[index].items()} for index in sorted(state)]


def _set_moments(optimizer: torch.optim.Optimizer, moments: list[dict[str, Any]]) -> None:
    copies = {i: {k: v.clone() for k, v in each.items()} for i, each in enumerate(moments)}
    optimizer.load_state_dict(optimizer.state_dict() | {"state": copies})
