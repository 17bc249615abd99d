"""A course whose minibatches' rows are shared by processes."""

from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mtlgym.distributed.process_group import Company
from mtlgym.envs import places, saved_state
from mtlgym.envs.course import Course
from mtlgym.envs.leader import dismiss, follow, join, lead
from mtlgym.envs.router import Router
from mtlgym.envs.routes import Verdict
from mtlgym.envs.routing_options import RoutingConfiguration

Observation = dict[str, NDArray[Any]]


def make_course(configuration: RoutingConfiguration, rows: int) -> "Course | SharedCourse":
    """A course of that many rows, of all processes where the hardware is distributed.

    Raises:
        ValueError: as `join`, and for rows that are not as many for each process.
    """
    company = join(configuration.hardware, configuration.description)
    if company is None:
        return Course(configuration, rows)
    return SharedCourse(configuration, rows, company)


class SharedCourse:
    """A course of all rows as the leader sees it, in which each process routes its part of them.

    The first process has the first rows, and so on. What the leader calls is done in all of them.

    Attributes:
        observation: what was seen last of all rows under way.
    """

    def __init__(self, configuration: RoutingConfiguration, rows: int, company: Company) -> None:
        """Set up; `restart` builds the network.

        Raises:
            ValueError: for rows that are not as many for each process.
        """
        if rows % company.size:
            raise ValueError(
                f"`num_envs` must be a multiple of the {company.size} processes, not {rows}"
            )
        own = rows // company.size
        self._configuration, self._company, self._rows = configuration, company, rows
        self._own = slice(company.rank * own, (company.rank + 1) * own)
        self._course = Course(configuration, own, company)
        self.observation: Observation = {}

    @property
    def router(self) -> Router:
        """The network in training, and what the tasks chose of late."""
        return self._course.router

    @property
    def has_network(self) -> bool:
        """Whether `restart` was called."""
        return self._course.has_network

    @property
    def is_open(self) -> bool:
        """Whether there is a network whose schedule has not ended, and whose training is sound."""
        return self._course.is_open

    @property
    def is_through(self) -> bool:
        """Whether all rows of the minibatch are, so that it was trained on."""
        return self._course.is_through

    def require_network(self) -> Router:
        """As `Course.require_network`."""
        return self._course.require_network()

    def restart(self, seed: int) -> None:
        """Begin the first rows of a fresh network."""
        lead(self._company, self._restart, seed)

    def begin(self) -> None:
        """Begin the next minibatch's rows; unfinished ones, again."""
        lead(self._company, self._begin)

    def step(self, action: Any) -> tuple[NDArray[np.float64], Verdict | None]:
        """As `Course.step`, for all rows."""
        router, depth = self.require_network(), self._course.require_routes().depth
        given = router.checked(action, depth, self._rows)
        return lead(self._company, self._step, given)

    def info(self) -> dict[str, Any]:
        """As `Course.info`, for all rows."""
        info = self._course.info()
        if "action_mask" in info:  # the same in every row
            info["action_mask"] = np.tile(info["action_mask"], (self._company.size, 1))
        return info

    def state_dict(self, rng: np.random.Generator) -> dict[str, Any]:
        """As `Course.state_dict`, of all rows."""
        self.require_network()
        found = lead(self._company, self._places)
        router = self.router.state_dict()
        state = {"random": rng.bit_generator.state, "router": router, **found}
        return saved_state.sign(state, self._configuration.description)

    def continued(self, signed: Any, rng: np.random.Generator) -> "SharedCourse":
        """This course, and the generator, gone on from a `state_dict`.

        Raises:
            ValueError: if it is of another environment, or not whole; nothing has changed then.
        """
        resume = partial(lead, self._company, self._resume)
        saved_state.gone_on(signed, self._configuration.description, rng, resume)
        return self

    def follow(self) -> None:
        """Do what the leader does until it closes its environment."""
        works = (self._restart, self._begin, self._step, self._places, self._resume)
        follow(self._company, works)

    def close(self) -> None:
        """Let those that follow return."""
        dismiss(self._company)

    def _restart(self, seed: int) -> None:
        self._course.restart(seed)
        self._observe()

    def _begin(self) -> None:
        self._course.begin()
        self._observe()

    def _step(self, actions: NDArray[Any]) -> tuple[NDArray[np.float64], Verdict | None]:
        rewards, verdict = self._course.step(actions[self._own])
        self._observe()
        every = np.concatenate(self._company.gathered(rewards))
        if verdict is None:
            return every, None
        parts = self._company.gathered(verdict.detached())
        return every, Verdict.joined(parts)

    def _observe(self) -> None:
        parts = self._company.gathered(self._course.observation)
        self.observation = {key: np.concatenate([part[key] for part in parts]) for key in parts[0]}

    def _places(self) -> dict[str, Any]:
        return places.joined(self._company.gathered(self._course.places()))

    def _resume(self, state: dict[str, Any]) -> None:
        course = Course(self._configuration, self._own.stop - self._own.start, self._company)
        course.resume({**state, **places.part(state, self._own)})
        self._company.agree()  # that all have come this far, before anything has changed
        self._course = course
        self.observation = {key: each.copy() for key, each in state["observation"].items()}
