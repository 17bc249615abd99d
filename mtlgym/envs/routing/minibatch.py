"""The minibatch that a routing environment sends through its network and then trains on."""

from typing import Any, cast

import numpy as np
import torch
from gymnasium.error import ResetNeeded
from numpy.typing import NDArray
from torch import Tensor

from mtlgym.distributed.process_group import TrainingGroup
from mtlgym.envs import saved_state
from mtlgym.envs.leader import dismiss_followers, follow, lead
from mtlgym.envs.routing.options import RoutingConfiguration
from mtlgym.envs.routing.router import Router, Routes


class Minibatch:
    """Routes minibatches through a network, and trains it when all rows of one are finished.

    `rows` rows are routed at once, all at the same depth: one after another in the single form,
    the whole minibatch in the vector form. With a process group each process routes an equal part
    of these rows, the first process the first ones; what the leader calls is done in all of them,
    and observations, rewards and states are those of all rows.

    Attributes:
        router: the network in training; it has no parameters before `restart`.
        observation: the latest observation of the rows that are routed, (rows, ...) arrays.
    """

    def __init__(
        self, configuration: RoutingConfiguration, rows: int, group: TrainingGroup | None = None
    ) -> None:
        """Set up; `restart` builds the network.

        Args:
            configuration: of the environment.
            rows: number of rows that are routed at once, a divisor of the minibatch's size.
            group: the processes that share the rows; None for a single process.

        Raises:
            ValueError: if the rows cannot be divided evenly among the processes.
        """
        if group is not None and rows % group.size:
            raise ValueError(
                f"`num_envs` must be a multiple of the {group.size} processes, not {rows}"
            )
        self._configuration, self._rows, self._group = configuration, rows, group
        self._own_rows = rows // (group.size if group else 1)
        self._own = slice(None)  # this process's part of the rows
        if group is not None:
            self._own = slice(group.rank * self._own_rows, (group.rank + 1) * self._own_rows)
        self.router = Router(configuration, group)
        self.observation: dict[str, NDArray[Any]] = {}
        self._routes: Routes | None = None  # of this process's rows
        self._losses: list[Tensor] = []  # of the finished rows, with their graphs
        self._finished: list[NDArray[np.int64]] = []  # the finished rows' actions, (rows, depths)

    @property
    def has_network(self) -> bool:
        """Whether `restart` was called."""
        return self._routes is not None

    @property
    def is_open(self) -> bool:
        """Whether there is a network whose schedule has not ended, and whose training is sound."""
        return self.has_network and self.router.is_open

    @property
    def is_finished(self) -> bool:
        """Whether all rows of the minibatch are finished, so that it was trained on."""
        size = self._configuration.trainer_options.batch_size
        return len(self._finished) * self._rows == size

    def require_network(self) -> Router:
        """The router, whose network is built.

        Raises:
            gymnasium.error.ResetNeeded: before `restart`.
        """
        if not self.has_network:
            raise ResetNeeded("there is no network yet: call reset() first")
        return self.router

    def restart(self, seed: int) -> None:
        """Build a fresh network and start the first rows of its first minibatch."""
        lead(self._group, self._restart, seed)

    def begin(self) -> None:
        """Start the next rows, of the next minibatch after the last; unfinished ones, again."""
        lead(self._group, self._begin)

    def step(self, actions: Any) -> tuple[NDArray[np.float64], dict[str, NDArray[Any]] | None]:
        """Apply one action to each row, (rows,).

        Returns:
            The rewards, (rows,), and, if the rows are now finished, the arrays `task`, `loss` and
            `correct` of `RouteResult.to_info`, else None.

        Raises:
            ValueError: for actions that are not allowed; nothing has changed then.
            gymnasium.error.ResetNeeded: before `restart`, and after the last depth.
        """
        router, depth = self.require_network(), self._current.depth
        if depth == router.shape.depth:
            raise ResetNeeded("the routes are at their end: call reset() before step()")
        return lead(self._group, self._step, router.parse_actions(actions, depth, self._rows))

    def info(self) -> dict[str, Any]:
        """The training's info, with an `action_mask`, (rows, actions), if not all are allowed."""
        info, mask = self.router.info(), self.router.action_mask(self._current.depth, self._rows)
        return info if mask is None else {**info, "action_mask": mask}

    def state_dict(self, rng: np.random.Generator) -> dict[str, Any]:
        """The state of network, training, routes and generator, wrapped by `saved_state.wrap`.

        Raises:
            gymnasium.error.ResetNeeded: before `restart`.
        """
        self.require_network()
        routes = lead(self._group, self._route_state)
        state = {
            "random": rng.bit_generator.state,
            "router": self.router.state_dict(),
            **routes,
        }
        return saved_state.wrap(state, self._configuration.description)

    def load_state_dict(self, wrapped: Any, rng: np.random.Generator) -> None:
        """Load a state returned by `state_dict`; training then continues bit-identically.

        Raises:
            ValueError: if it is of another environment, or incomplete; nothing has changed then.
        """
        saved_state.restore(wrapped, self._configuration.description, rng, self._lead_load)

    def follow(self) -> None:
        """Repeat what the leader does until it closes its environment.

        Raises:
            RuntimeError: in the leader or without a group, or if the leader has exited.
        """
        follow(self._group, (self._restart, self._begin, self._step, self._route_state, self._load))

    def close(self) -> None:
        """Let the followers return; a follower or a single process has nothing to close."""
        dismiss_followers(self._group)

    def __reduce__(self) -> tuple[Any, ...]:
        """Copy by the state, as autograd graphs cannot be copied; replaying it rebuilds them.

        Raises:
            TypeError: with a process group, which cannot be copied.
        """
        if self._group is not None:
            self._group.__reduce__()
        state = None
        if self.has_network:
            state = {"router": self.router.state_dict(), **self._route_state()}
        return _from_state, (self._configuration, self._rows, state)

    # What follows runs in every process.

    @property
    def _current(self) -> Routes:
        return cast(Routes, self._routes)

    def _restart(self, seed: int) -> None:
        self.router.restart(seed)
        self._clear()
        self._start_rows()
        self._observe()

    def _begin(self) -> None:
        if self.is_finished:
            self.router.trainer.begin()
            self._clear()
        self._start_rows()
        self._observe()

    def _step(
        self, actions: NDArray[np.integer]
    ) -> tuple[NDArray[np.float64], dict[str, NDArray[Any]] | None]:
        router, routes = self.router, self._current
        rewards = router.advance(routes, actions[self._own])
        router.steps += 1
        if routes.depth < router.shape.depth:
            self._observe()
            return self._of_all_rows({"reward": rewards})["reward"], None
        result = router.classify(routes)
        self._observe()
        self._finish(routes, result.losses)
        if self.is_finished:
            router.train(torch.cat(self._losses), np.concatenate(self._finished))
        values = self._of_all_rows({"reward": rewards + result.reward, **result.to_info()})
        return values.pop("reward"), values

    def _start_rows(self) -> None:
        start = len(self._finished) * self._own_rows
        self._routes = self.router.start_routes(slice(start, start + self._own_rows))

    def _observe(self) -> None:
        self.observation = self._of_all_rows(self.router.observe(self._current))

    def _finish(self, routes: Routes, losses: Tensor) -> None:
        self._losses.append(losses)
        self._finished.append(routes.taken)

    def _clear(self) -> None:
        self._losses, self._finished = [], []

    def _of_all_rows(self, arrays: dict[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        """The arrays of all rows, from those of each process's rows."""
        if self._group is None:
            return arrays
        parts = self._group.all_gather(arrays)
        return {key: np.concatenate([part[key] for part in parts]) for key in arrays}

    def _route_state(self) -> dict[str, Any]:
        """The actions taken so far by all rows of the minibatch, and the latest observation."""
        finished = [self._of_all_rows({"taken": taken})["taken"] for taken in self._finished]
        taken = self._of_all_rows({"taken": self._current.taken})["taken"]
        return {
            "finished": [each.copy() for each in finished],
            "taken": taken.copy(),
            "depth": self._current.depth,
            "observation": {key: each.copy() for key, each in self.observation.items()},
        }

    def _lead_load(self, state: dict[str, Any]) -> None:
        lead(self._group, self._load, state)

    def _load(self, state: dict[str, Any]) -> None:
        """Continue from a state of `Router.state_dict` and `_route_state`."""
        fresh = Minibatch(self._configuration, self._rows, self._group)
        fresh._replay(state)
        if self._group is not None:
            self._group.synchronize()  # after an error in any process, none of them has changed
        vars(self).update(vars(fresh))

    def _replay(self, state: dict[str, Any]) -> None:
        """Rebuild the graphs of a state's routes, by taking its actions again."""
        router = self.router
        router.load_state_dict(state["router"])
        for taken in state["finished"]:
            self._retake(taken[self._own], router.shape.depth)
            self._finish(self._current, router.classify(self._current).losses)
        if state["depth"] < router.shape.depth:
            self._retake(state["taken"][self._own], state["depth"])
        self.observation = {key: each.copy() for key, each in state["observation"].items()}

    def _retake(self, taken: NDArray[np.int64], depth: int) -> None:
        self._start_rows()
        for each in range(depth):
            self.router.apply(
                self._current, self.router.parse_actions(taken[:, each], each, self._own_rows)
            )


def _from_state(
    configuration: RoutingConfiguration, rows: int, state: dict[str, Any] | None
) -> Minibatch:
    minibatch = Minibatch(configuration, rows)
    if state is not None:
        minibatch._replay(state)
    return minibatch
