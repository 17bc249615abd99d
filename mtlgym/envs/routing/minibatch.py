"""What the single and the vector form of routing share: minibatches, routed some rows at a time."""

from collections.abc import Sequence
from functools import partial
from typing import Any, cast

import numpy as np
import torch
from gymnasium.error import ResetNeeded
from numpy.typing import NDArray
from torch import Tensor

from mtlgym.distributed.process_group import Company
from mtlgym.envs import saved_state
from mtlgym.envs.leader import dismiss, follow, join, lead
from mtlgym.envs.routing.options import RoutingConfiguration
from mtlgym.envs.routing.router import Router, Routes, Verdict


def joined(parts: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The places of all rows, from those of some rows after another."""
    finished = zip(*(part["finished"] for part in parts), strict=True)
    seen = parts[0]["observation"]
    return {
        "finished": [np.concatenate(each) for each in finished],
        "taken": np.concatenate([part["taken"] for part in parts]),
        "depth": parts[0]["depth"],
        "observation": {
            key: np.concatenate([part["observation"][key] for part in parts]) for key in seen
        },
    }


def part(places: dict[str, Any], rows: slice) -> dict[str, Any]:
    """The places of these rows alone."""
    return {
        "finished": [taken[rows] for taken in places["finished"]],
        "taken": places["taken"][rows],
        "depth": places["depth"],
        "observation": {key: each[rows] for key, each in places["observation"].items()},
    }


class Course:
    """Take minibatches through a network, and train it once all rows of one are through.

    Rows that begin together are at one depth throughout.

    Attributes:
        router: the network in training; without values before `restart`.
        observation: what was seen last of the rows under way.
    """

    def __init__(
        self, configuration: RoutingConfiguration, rows: int, company: Company | None = None
    ) -> None:
        """Set up; `restart` builds the network.

        So many rows begin together, a divisor of the minibatch's size. Each process of the company
        routes as many of a minibatch's rows.
        """
        self._configuration, self._rows = configuration, rows
        self._size = configuration.regime.batch_size // (company.size if company else 1)
        self.router = Router(configuration, company)
        self.observation: dict[str, NDArray[Any]] = {}
        self._routes: Routes | None = None
        self._losses: list[Tensor] = []  # of the minibatch's finished rows, with their graphs
        self._taken: list[NDArray[np.int64]] = []

    @property
    def has_network(self) -> bool:
        """Whether `restart` was called."""
        return self._routes is not None

    @property
    def is_open(self) -> bool:
        """Whether there is a network whose schedule has not ended, and whose training is sound."""
        return self.has_network and self.router.is_open

    @property
    def is_through(self) -> bool:
        """Whether all rows of the minibatch are, so that it was trained on."""
        return len(self._taken) * self._rows == self._size

    def require_network(self) -> Router:
        """The router, whose network is there.

        Raises:
            gymnasium.error.ResetNeeded: before `restart`.
        """
        if not self.has_network:
            raise ResetNeeded("there is no network yet: call reset() first")
        return self.router

    def require_routes(self) -> Routes:
        """The routes under way; a ResetNeeded error if there are none, and at their end."""
        if self.require_network().shape.depth == self._under_way.depth:
            raise ResetNeeded("the routes are at their end: call reset() before step()")
        return self._under_way

    def restart(self, seed: int) -> None:
        """Begin the first rows of a fresh network."""
        self.router.restart(seed)
        self._clear()
        self._begin()

    def begin(self) -> None:
        """Begin the next rows, of the next minibatch after the last; unfinished ones, again."""
        if self.is_through:
            self.router.training.begin()
            self._clear()
        self._begin()

    def step(self, action: Any) -> tuple[NDArray[np.float64], Verdict | None]:
        """Send the rows through their blocks; give rewards, (rows,), and at the end the verdict.

        Raises:
            ValueError: for actions that are not allowed; nothing has changed then.
            gymnasium.error.ResetNeeded: before `restart`, and at the routes' end.
        """
        router, routes = self.router, self.require_routes()
        rewards = router.advance(routes, action)
        router.steps += 1
        if routes.depth < router.shape.depth:
            self.observation = router.observe(routes)
            return rewards, None
        verdict = router.judge(routes)
        self.observation = router.observe(routes)
        self._finish(routes, verdict.losses)
        if self.is_through:
            router.train(torch.cat(self._losses), np.concatenate(self._taken))
        return rewards + verdict.pay, verdict

    def info(self) -> dict[str, Any]:
        """What infos say of the training, and of the next actions where not all are allowed."""
        info, mask = self.router.info(), self.router.mask(self._under_way)
        return info if mask is None else {**info, "action_mask": mask}

    def state_dict(self, rng: np.random.Generator) -> dict[str, Any]:
        """All that continues it and the generator, signed: plain values, tensors and arrays.

        Raises:
            gymnasium.error.ResetNeeded: before `restart`.
        """
        self.require_network()
        state = {"random": rng.bit_generator.state, **self._state()}
        return saved_state.sign(state, self._configuration.description)

    def continued(self, signed: Any, rng: np.random.Generator) -> "Course":
        """A course, and the generator, that go on from a `state_dict`; this one stays as it is.

        Raises:
            ValueError: if it is of another environment, or not whole; nothing has changed then.
        """
        make = partial(_remade, self._configuration, self._rows)
        return saved_state.gone_on(signed, self._configuration.description, rng, make)

    def follow(self) -> None:
        """Raise a RuntimeError: there is one process."""
        follow(None, ())

    def close(self) -> None:
        """Have nothing to close."""

    def __reduce__(self) -> tuple[Any, ...]:
        """Let copies make their graphs again, as graphs cannot be copied."""
        state = self._state() if self.has_network else None
        return _remade, (self._configuration, self._rows, state)

    def _state(self) -> dict[str, Any]:
        return {"router": self.router.state_dict(), **self.places()}

    def places(self) -> dict[str, Any]:
        """Where the minibatch's rows are."""
        return {
            "finished": [taken.copy() for taken in self._taken],
            "taken": self._under_way.taken.copy(),
            "depth": self._under_way.depth,
            "observation": {key: each.copy() for key, each in self.observation.items()},
        }

    def resume(self, state: dict[str, Any]) -> None:
        """Go on from a router's state and the rows' places."""
        self.router.load_state_dict(state["router"])
        for taken in state["finished"]:
            self._replay(taken, self.router.shape.depth)
            self._finish(self._under_way, self.router.judge(self._under_way).losses)
        if state["depth"] < self.router.shape.depth:
            self._replay(state["taken"], state["depth"])
        self.observation = {key: each.copy() for key, each in state["observation"].items()}

    def _replay(self, taken: NDArray[np.int64], depth: int) -> None:
        """Begin rows, and take the first decisions of another time again, so many of them."""
        self._begin_rows()
        for each in range(depth):
            self.router.apply(self._under_way, taken[:, each])

    @property
    def _under_way(self) -> Routes:
        return cast(Routes, self._routes)

    def _clear(self) -> None:
        self._losses, self._taken = [], []

    def _begin(self) -> None:
        self._begin_rows()
        self.observation = self.router.observe(self._under_way)

    def _begin_rows(self) -> None:
        start = len(self._taken) * self._rows
        self._routes = self.router.routes(slice(start, start + self._rows))

    def _finish(self, routes: Routes, losses: Tensor) -> None:
        self._losses.append(losses)
        self._taken.append(routes.taken)


def _remade(configuration: RoutingConfiguration, rows: int, state: dict[str, Any] | None) -> Course:
    course = Course(configuration, rows)
    if state is not None:
        course.resume(state)
    return course


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
        return joined(self._company.gathered(self._course.places()))

    def _resume(self, state: dict[str, Any]) -> None:
        course = Course(self._configuration, self._own.stop - self._own.start, self._company)
        course.resume({**state, **part(state, self._own)})
        self._company.agree()  # that all have come this far, before anything has changed
        self._course = course
        self.observation = {key: each.copy() for key, each in state["observation"].items()}
