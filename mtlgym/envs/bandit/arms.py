"""The options of a multi-task bandit, and the parameters that are drawn from them."""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from mtlgym import checks
from mtlgym.lookup import lookup, unknown

REWARDS = ("prediction_gain", "improvement")
MOST_STEPS = 2**53  # floats are exact integers up to here
MOST_ALPHA = 1e6  # shares within thousandths of each other; near 1e308 the draw overflows
LEAST_SHARE = float(np.finfo(np.float64).tiny)  # so that no learning increment is infinite


@dataclass(frozen=True, eq=False)
class BanditOptions:
    """The options of a multi-task bandit.

    Attributes:
        arms: number of arms, each of which stands for a task.
        steps: budget T of an episode, in pulls; the paper does not state it.
        alpha: concentration of the Dirichlet distribution of the oracle, in (0, 1e6].
        oracle: the oracle itself, in place of a drawn one: `arms` positive shares that sum to 1; a
            vector environment also takes (num_envs, arms), a row an environment.
        max_p: range that the largest scores MaxP are drawn from, within (0, 1].
        forget: range that u is drawn from, at least 0: what an arm forgets in a step, as a share
            of what it learns in a pull.
        reward: `prediction_gain`, the pulled arm's score after the step minus that before it, or
            `improvement`, 1 minus the score after the step if that is higher than before, else 0.
    """

    arms: int = 8
    steps: int = 10_000
    alpha: float = 2.0
    oracle: Any = None
    max_p: Sequence[float] = (0.5, 1.0)
    forget: Sequence[float] = (0.0, 0.01)
    reward: str = "prediction_gain"

    def __post_init__(self) -> None:
        """Check the values, and normalise the oracle to a sum of 1."""
        checks.integer("arms", self.arms, least=1, most=checks.SIZE)
        checks.integer("steps", self.steps, least=1, most=MOST_STEPS)
        checks.real("alpha", self.alpha, 0.0, open_end=True, most=MOST_ALPHA)
        low, high = _ends("max_p", self.max_p)
        if not 0 < low <= high <= 1:
            raise ValueError(f"`max_p` must have 0 < low <= high <= 1, not {self.max_p!r}")
        low, high = _ends("forget", self.forget)
        if not 0 <= low <= high:
            raise ValueError(f"`forget` must have 0 <= low <= high, not {self.forget!r}")
        lookup(dict.fromkeys(REWARDS), self.reward, "reward")
        if self.oracle is not None:
            object.__setattr__(self, "oracle", _distributions(self.oracle, self.arms))

    @property
    def tasks(self) -> tuple[str, ...]:
        """The arms' names."""
        return tuple(f"arm{k}" for k in range(self.arms))

    @property
    def description(self) -> dict[str, Any]:
        """The options as plain values; states can be loaded where these are equal."""
        plain = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        oracle = None if self.oracle is None else self.oracle.tolist()
        ranges = {name: [float(end) for end in plain[name]] for name in ("max_p", "forget")}
        return {**plain, **ranges, "alpha": float(self.alpha), "oracle": oracle}

    @property
    def observation_space(self) -> spaces.Space[Any]:
        """The space of scores at the last pulls, shares of the budget since then, and progress."""
        return spaces.Box(0.0, 1.0, (2 * self.arms + 1,), np.float32)


def configure(options: Mapping[str, Any], rows: int | None = None) -> BanditOptions:
    """Check the options of one bandit, or of `rows` bandits.

    Raises:
        ValueError: for an unknown option or a value that is not allowed; names what is allowed.
    """
    known = [field.name for field in dataclasses.fields(BanditOptions)]
    for option in options:
        if option not in known:
            raise ValueError(unknown(option, known, "option"))
    checked = BanditOptions(**options)
    oracle = checked.oracle
    if oracle is not None and oracle.ndim == 2 and len(oracle) != rows:
        wanted = "one row" if rows is None else f"one row, or one for each of {rows} environments"
        raise ValueError(f"`oracle` must be {wanted}, not {len(oracle)} rows")
    return checked


@dataclass(frozen=True, eq=False)
class Bandit:
    """The parameters of a bandit, or of the bandits of a vector environment, a row each.

    The arrays, (arms,) or (num_envs, arms), are read-only.

    Attributes:
        oracle: shares of the budget that would raise every score to its MaxP without forgetting.
        max_p: MaxP, the largest scores.
        learning_increment: LI = MaxP / (T oracle), what a pull adds to an arm's score.
        forget_increment: FI = u LI, what a step subtracts from every score.
    """

    oracle: NDArray[np.float64]
    max_p: NDArray[np.float64]
    learning_increment: NDArray[np.float64]
    forget_increment: NDArray[np.float64]

    def __post_init__(self) -> None:
        """Make the arrays read-only."""
        for array in vars(self).values():
            array.flags.writeable = False

    def state_dict(self) -> dict[str, NDArray[np.float64]]:
        """Copies of the parameters by name."""
        return {name: array.copy() for name, array in vars(self).items()}


def draw(options: BanditOptions, rng: np.random.Generator) -> NDArray[np.float64]:
    """Draw one bandit's MaxP, u and oracle, (3, arms), the argument of `build`.

    The oracle is drawn last, so that a given one does not change the others' values.
    """
    low, high = options.max_p
    max_p = np.minimum(rng.uniform(low, high, options.arms), high)  # may have been rounded up
    least, most = options.forget
    forgotten = rng.uniform(least, most, options.arms)
    oracle = _normalised(rng.dirichlet(np.full(options.arms, options.alpha)))
    return np.stack([max_p, forgotten, oracle])


def build(options: BanditOptions, drawn: NDArray[np.float64]) -> Bandit:
    """Build the bandit, or rows of bandits, of drawn values (3, arms) or (num_envs, 3, arms)."""
    max_p, forgotten, oracle = (drawn[..., part, :].copy() for part in range(3))
    if options.oracle is not None:
        oracle[:] = options.oracle
    learning = max_p / (options.steps * oracle)
    with np.errstate(over="ignore"):  # an infinite increment forgets everything
        forgetting = forgotten * learning
    return Bandit(oracle, max_p, learning, forgetting)


def _ends(name: str, value: Any) -> tuple[float, float]:
    if isinstance(value, str) or not isinstance(value, Sequence) or len(value) != 2:
        raise ValueError(f"`{name}` must be two numbers, low and high, not {value!r}")
    for end in value:
        checks.real(name, end)
    return value[0], value[1]


def _distributions(value: Any, arms: int) -> NDArray[np.float64]:
    """The rows of `oracle`, each normalised to a sum of 1."""
    try:
        given = np.asarray(value, np.float64)
    except (OverflowError, RuntimeError, TypeError, ValueError):
        given = np.empty(0)
    if given.ndim not in (1, 2) or given.shape[-1] != arms:
        raise ValueError(f"`oracle` must be {arms} numbers, as `arms` is {arms}, not {value!r}")
    sound = np.isfinite(given).all() and (given > 0).all()
    if not (sound and np.allclose(given.sum(axis=-1), 1.0, rtol=0, atol=1e-6)):
        raise ValueError(f"`oracle` must be positive shares that sum to 1, not {value!r}")
    rows = [_normalised(row) for row in given.reshape(-1, arms)]
    return np.reshape(rows, given.shape)


def _normalised(shares: NDArray[np.float64]) -> NDArray[np.float64]:
    """The shares, (arms,), divided by their exact sum: the same alone and as a row of many."""
    return np.maximum(shares / math.fsum(shares), LEAST_SHARE)
