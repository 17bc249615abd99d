"""A model of Stable-Baselines3 as an agent that decides and learns nothing more."""

import json
import zipfile
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import numpy as np
from gymnasium import spaces
from stable_baselines3 import A2C, DDPG, DQN, PPO, SAC, TD3
from stable_baselines3.common.base_class import BaseAlgorithm

from mtlgym.agents.saving import state_checks
from mtlgym.agents.streams import GlobalStream, numpy_stream, torch_stream
from mtlgym.lookup import lookup

ALGORITHMS: dict[str, type[BaseAlgorithm]] = {
    "A2C": A2C,
    "DDPG": DDPG,
    "DQN": DQN,
    "PPO": PPO,
    "SAC": SAC,
    "TD3": TD3,
}
# A zip does not say its algorithm, but has the algorithm's settings. The first that is there tells.
MARKS = {
    "clip_range": "PPO",
    "target_entropy": "SAC",
    "exploration_rate": "DQN",
    "policy_delay": "TD3",  # or DDPG, which is TD3 with other settings and decides as it does
    "gae_lambda": "A2C",
}
UNREADABLE = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    EOFError,
    ImportError,
    LookupError,
    OSError,
    RuntimeError,
    TypeError,
    UnpicklingError,
    ValueError,
    zipfile.BadZipFile,
)


class SB3Policy:
    """A trained model of Stable-Baselines3 as an agent.

    Attributes:
        model: the model.
        deterministic: whether `act` takes the most probable action, not a drawn one.
        observation_space: the model's.
        action_space: the model's.
    """

    def __init__(
        self, model: BaseAlgorithm, *, deterministic: bool = True, seed: int | None = None
    ) -> None:
        """Wrap the model.

        Args:
            model: trained; not copied.
            deterministic: whether `act` takes the most probable action, not a drawn one.
            seed: seed of the generators of drawn actions.

        Raises:
            ValueError: for a model that was not set up.
        """
        if getattr(model, "policy", None) is None:
            raise ValueError("`model` must be set up: made with an environment, or loaded")
        self.model, self.deterministic = model, deterministic
        self.observation_space: spaces.Space = model.observation_space
        self.action_space: spaces.Space = model.action_space
        self._torch, self._numpy = torch_stream(seed), numpy_stream(seed)

    def act(self, observation: Any, info: dict[str, Any]) -> Any:
        """The model's action; an int where actions are choices."""
        return self.decide(observation)

    def decide(
        self,
        observation: Any,
        deterministic: bool | None = None,
        chance: GlobalStream | None = None,
    ) -> Any:
        """The model's action.

        Args:
            observation: as `act` takes it.
            deterministic: whether to take the most probable; None takes the attribute.
            chance: torch's generator to draw from; None takes the agent's own.
        """
        deterministic = self.deterministic if deterministic is None else deterministic
        with (chance or self._torch).swapped_in(), self._numpy.swapped_in():
            action, _ = self.model.predict(observation, deterministic=deterministic)
        return int(action) if np.ndim(action) == 0 else action

    def learn(
        self,
        observation: Any,
        action: Any,
        reward: Any,
        next_observation: Any,
        terminated: Any,
        truncated: Any,
        info: dict[str, Any],
    ) -> None:
        """Learn nothing."""

    def state_dict(self) -> dict[str, Any]:
        """The generators, if actions are drawn; else nothing, as the model does not change."""
        if self.deterministic:
            return {}
        return {"torch": self._torch.state(), "numpy": self._numpy.state()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Load a state returned by `state_dict`.

        Raises:
            ValueError: for the state of another kind of agent.
        """
        state_checks.check_keys(state, self.state_dict(), "SB3Policy")
        if not self.deterministic:
            self._torch.load(state["torch"])
            self._numpy.load(state["numpy"])


def load(path: Path, *, trust: bool, algorithm: str = "") -> SB3Policy:
    """The model in a zip that Stable-Baselines3 saved, as an agent on the CPU.

    Args:
        path: the zip.
        trust: whether its pickles may be opened, which can run any code.
        algorithm: a key of `ALGORITHMS`; recognised from the zip if empty.

    Raises:
        ValueError: if it is not trusted, or no such zip; names it.
    """
    if not zipfile.is_zipfile(path):
        raise ValueError(
            f"{path} is neither a folder that `agents.save` wrote nor a zip of Stable-Baselines3"
        )
    if not trust:
        raise ValueError(
            f"{path} is not opened: a zip of Stable-Baselines3 holds pickles, which can run any "
            "code of whoever made it. If you trust them, say so: `trust=True`, or --trust on the "
            "command line"
        )
    kind = lookup(ALGORITHMS, algorithm or _algorithm(path), "algorithm")
    try:
        model = kind.load(path, device="cpu")
    except UNREADABLE as error:
        said = " ".join(str(error).split())[:300]
        raise ValueError(f"{path} is damaged, or no model of {kind.__name__}: {said}") from error
    return SB3Policy(model)


def _algorithm(path: Path) -> str:
    """The algorithm of a zip, by the names of its settings; opens no pickle."""
    try:
        with zipfile.ZipFile(path) as archive:
            settings = json.loads(archive.read("data"))
        return next(algorithm for mark, algorithm in MARKS.items() if mark in settings)
    except (*UNREADABLE, RecursionError) as error:
        raise ValueError(f"{path} is damaged, or no zip of Stable-Baselines3: {error}") from error
    except StopIteration:
        known = ", ".join(ALGORITHMS)
        raise ValueError(f"{path} does not tell its `algorithm`: name it, of {known}") from None
