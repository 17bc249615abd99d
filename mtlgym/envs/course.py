"""What the single and the vector form of routing share: minibatches, routed some rows at a time."""

from functools import partial
from typing import Any, cast

import numpy as np
import torch
from gymnasium.error import ResetNeeded
from numpy.typing import NDArray
from torch import Tensor

from mtlgym.distributed.process_group import Company
from mtlgym.envs import saved_state
from mtlgym.envs.leader import follow
from mtlgym.envs.router import Router
from mtlgym.envs.routes import Routes, Verdict
from mtlgym.envs.routing_options import RoutingConfiguration


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
