"""Read the observations of routing environments, and of others, for tables and networks."""

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

Index = NDArray[np.int64]
KEYS = {"value", "task", "depth"}  # of a routing environment's observation


@dataclass(frozen=True, eq=False)
class ObservationBatch:
    """Observations of one environment (N = 1) or of a vector of N, in arrays.

    Attributes:
        task: (N,), in [0, tasks).
        depth: (N,), in [0, depths).
        value: (N, values), the observed numbers.
        hot: (N,), the index that follows the value as a one-hot code.
        classes: length of that code; 0 for none.
    """

    task: Index
    depth: Index
    value: NDArray[np.float32]
    hot: Index
    classes: int

    @property
    def features(self) -> NDArray[np.float32]:
        """The input of networks, a fresh array (N, features)."""
        code = (self.hot[:, None] == np.arange(self.classes)).astype(np.float32)
        return np.concatenate([self.value, code], axis=1)

    def take(self, rows: NDArray[Any]) -> "ObservationBatch":
        """Select rows, by a mask (N,) or by their indices."""
        return ObservationBatch(
            self.task[rows], self.depth[rows], self.value[rows], self.hot[rows], self.classes
        )

    def put(self, row: int, other: "ObservationBatch") -> None:
        """Replace one row by the first row of `other`."""
        self.task[row], self.depth[row] = other.task[0], other.depth[0]
        self.value[row], self.hot[row] = other.value[0], other.hot[0]


@dataclass(frozen=True)
class ObservationReader:
    """Reads the observations of one space.

    A routing observation, `Dict(value=Box, task=Discrete(T), depth=Discrete(n))`, has T tasks and
    n depths. `Discrete(S)` has one task and S depths: each state is a depth. A `Box` has
    one task and one depth, and too many states for tables.

    Attributes:
        tasks: tasks that an observation can be of.
        depths: number of depths; decisions of different depths are learnt separately.
        features: length of the input of networks: value and one-hot task, one-hot state, or the
            flattened numbers.
        finite: whether (task, depth) is enough for a table.
        rows: number of environments in the vector; None for a single one.
    """

    tasks: int
    depths: int
    features: int
    finite: bool
    rows: int | None
    _dictionary: bool = field(default=False, repr=False)
    _axes: int = field(default=0, repr=False)  # of one observation, or of its task and depth

    def read(self, observation: Any) -> ObservationBatch:
        """Read an observation, or those of a vector of environments.

        Raises:
            ValueError: for an observation outside the space; names the part.
        """
        nothing = np.zeros(self.rows or 1, np.int64)
        if self._dictionary:
            task = self._index("task", observation["task"], self.tasks)
            depth = self._index("depth", observation["depth"], self.depths)
            value = self._value(observation["value"], self.features - self.tasks)
            return ObservationBatch(task, depth, value, task.copy(), self.tasks)
        if not self.finite:
            value = self._value(observation, self.features)
            return ObservationBatch(nothing, nothing.copy(), value, nothing.copy(), 0)
        depth = self._index("state", observation, self.depths)
        return ObservationBatch(nothing, depth, self._value((), 0), depth.copy(), self.depths)

    def fit(self, observation: Any) -> "ObservationReader":
        """The reader for as many environments as the observation is of, one or a vector.

        Only the number of axes is looked at; `read` checks the rest.
        """
        shape = np.shape(observation["task"] if self._dictionary else observation)
        return replace(self, rows=shape[0] if len(shape) > self._axes else None)

    def _index(self, part: str, given: Any, count: int) -> Index:
        value = np.asarray(given)
        shape = () if self.rows is None else (self.rows,)
        if value.dtype.kind not in "iu" or value.shape != shape:
            raise ValueError(
                f"`observation` must have integers of shape {shape} as {part}, not {given!r}"
            )
        if value.size and not 0 <= value.min() <= value.max() < count:
            raise ValueError(f"`observation` must have a {part} in [0, {count}), not {given!r}")
        return value.reshape(-1).astype(np.int64)

    def _value(self, given: Any, length: int) -> NDArray[np.float32]:
        value, count = np.array(given, np.float32), self.rows or 1
        if value.size != count * length:
            raise ValueError(
                f"`observation` must have {length} numbers for each of {count} environments, "
                f"not an array of shape {value.shape}"
            )
        return value.reshape(count, length)


def observation_reader(
    observation_space: spaces.Space, rows: int | None, agent: str
) -> ObservationReader:
    """The reader for the observation space of an environment, or of a vector of them.

    Args:
        observation_space: `Dict(value=Box, task=Discrete, depth=Discrete)`, `Discrete` or `Box`;
            for a vector as `gymnasium.vector.utils.batch_space` makes it.
        rows: environments in the vector; None for a single one.
        agent: name of the agent, for the message.

    Raises:
        ValueError: for another space.
    """
    if isinstance(observation_space, spaces.Dict) and set(observation_space) == KEYS:
        tasks = _count(observation_space["task"], rows)
        depths = _count(observation_space["depth"], rows)
        length = _length(observation_space["value"], rows)
        if tasks and depths and length is not None:
            return ObservationReader(tasks, depths, length + tasks, True, rows, _dictionary=True)
    elif states := _count(observation_space, rows):
        return ObservationReader(1, states, states, True, rows)
    elif (length := _length(observation_space, rows)) is not None:
        axes = len(observation_space.shape or ()) - (rows is not None)
        return ObservationReader(1, 1, length, False, rows, _axes=axes)
    raise ValueError(
        f"{agent} needs the observation space Dict(value=Box, task=Discrete, depth=Discrete), "
        "Discrete or Box, or a vector of one of them, as the action space is, and each Discrete "
        f"from 0 on; `observation_space` is {observation_space}"
    )


def _count(space: spaces.Space, rows: int | None) -> int:
    """Values of a `Discrete` space that starts at 0, or of a vector of equal ones; 0 for others."""
    if rows is None:
        fits = isinstance(space, spaces.Discrete) and space.start == 0
        return int(space.n) if fits else 0  # type: ignore[attr-defined]
    if not isinstance(space, spaces.MultiDiscrete) or space.nvec.shape != (rows,):
        return 0
    equal = np.all(space.nvec == space.nvec[0]) and not np.any(space.start)
    return int(space.nvec[0]) if equal else 0


def _length(space: spaces.Space, rows: int | None) -> int | None:
    """Numbers in a `Box`, or in each row of a vector's; None for other spaces."""
    if not isinstance(space, spaces.Box) or (rows is not None and space.shape[:1] != (rows,)):
        return None
    return int(np.prod(space.shape if rows is None else space.shape[1:]))
