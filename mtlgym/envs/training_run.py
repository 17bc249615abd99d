"""The episode of a training environment, in all processes that make it together."""

from typing import Any

import gymnasium as gym

from mtlgym.envs.episode import Episode
from mtlgym.envs.interfaces import Decision
from mtlgym.envs.leader import dismiss, follow, join, lead
from mtlgym.envs.options import Configuration
from mtlgym.record import Record


class TrainingRun:
    """Has the latest episode, and starts and continues it; what the leader calls, all do."""

    def __init__(self, configuration: Configuration) -> None:
        """Set up, without an episode.

        Raises:
            ValueError: as `join`.
        """
        self._configuration = configuration
        hardware = configuration.training.hardware
        self._company = join(hardware, configuration.description)
        self._episode: Episode | None = None

    @property
    def episode(self) -> Episode:
        """The latest one.

        Raises:
            gymnasium.error.ResetNeeded: before `start`.
        """
        if self._episode is None:
            raise gym.error.ResetNeeded("there is no model yet: call reset() first")
        return self._episode

    def start(self, seed: int) -> Record:
        """A fresh episode's first record."""
        return lead(self._company, self._start, seed)

    def advance(self, decision: Decision) -> Record:
        """The next record."""
        return lead(self._company, self._advance, decision)

    def resume(self, seed: int, state: Any) -> Record:
        """The record of the episode that goes on from an episode's state."""
        return lead(self._company, self._resume, seed, state)

    def follow(self) -> None:
        """Do what the leader does until it closes its environment."""
        follow(self._company, (self._start, self._advance, self._resume))

    def close(self) -> None:
        """Let those that follow return."""
        dismiss(self._company)

    def __getstate__(self) -> dict[str, Any]:
        """What copies are made of: an episode's state, as graphs cannot be copied.

        Raises:
            TypeError: where processes make the environment together.
        """
        made = self._episode
        kept = None if made is None else (made.seed, made.state_dict())
        return {"_company": self._company, "_configuration": self._configuration, "kept": kept}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Go on as the first; a batch that was looked at is looked at again."""
        kept = state.pop("kept")
        vars(self).update(state, _episode=None)
        if kept is not None:
            self._resume(*kept)

    def _start(self, seed: int) -> Record:
        episode = self._fresh(seed)
        episode.start()
        return self._taken(episode)

    def _advance(self, decision: Decision) -> Record:
        return self.episode.advance(decision)

    def _resume(self, seed: int, state: Any) -> Record:
        episode = self._fresh(seed)
        episode.load_state_dict(state)
        return self._taken(episode)

    def _fresh(self, seed: int) -> Episode:
        made = self._configuration
        return Episode(made.problem, made.training, made.settings, seed, self._company)

    def _taken(self, episode: Episode) -> Record:
        if self._company is not None:
            self._company.agree()  # that all have come this far, before anything has changed
        self._episode = episode
        return episode.record
