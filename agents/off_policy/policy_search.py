"""The best fixed policy for logged decisions, found by CMA-ES."""

from collections.abc import Iterable
from typing import Any

import cma
import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import log_softmax

from mtlgym import checks
from mtlgym.agents.off_policy.estimators import ESTIMATORS, distribution, named
from mtlgym.agents.off_policy.logged_sums import LoggedSums
from mtlgym.lookup import lookup

ENTROPIES = (0.1, 0.15, 0.2, 0.25)  # the grid of section 4.1
_SPREAD = 0.5  # CMA-ES's first standard deviation, in nats: what did best on the bandit
_LEAST = 1e-12  # least probability of an arm at the start, as no search leaves lower ones


def improve(
    sums: LoggedSums,
    *,
    rng: np.random.Generator,
    entropy: float = 0.2,
    estimator: str = "wis",
    population: int = 64,
    iterations: int = 20,
    start: ArrayLike | None = None,
) -> NDArray[np.float64]:
    """The softmax policy that maximises its estimated value plus `entropy` times its entropy.

    pi_k = exp(omega_k) / sum_j exp(omega_j),    max_omega V(pi) + lambda H(pi),

    H in nats. CMA-ES searches from the logarithm of `start`; the best of its points, its last mean
    and `start` is returned, so that the objective is never less than at the start.

    Source: Glover and Hokamp (2019), https://arxiv.org/abs/1907.06214, eq. 12 and 14.

    Args:
        sums: over the decisions, without rows.
        rng: generator of the search.
        entropy: lambda, in the reward's unit per nat; at least 0.
        estimator: a key of `mtlgym.agents.off_policy.estimators.ESTIMATORS`.
        population: points that are tried in an iteration; at least 4.
        iterations: at most; fewer where the search has converged.
        start: probabilities of the arms; None for equal ones.

    Returns:
        Probabilities of the arms; (arms,).

    Raises:
        ValueError: names the argument and the value, or the arms that no decision was for.
    """
    check(entropy, estimator, population, iterations)
    _check_sums(sums)
    arms = len(sums.rewards)
    if arms == 1:
        return np.ones(1)
    begun = distribution("start", start, arms)

    def objective(logits: NDArray[np.float64]) -> NDArray[np.float64]:
        logs = log_softmax(logits, axis=-1)  # (points, arms)
        policies = np.exp(logs)
        return ESTIMATORS[estimator](sums, policies) - entropy * (policies * logs).sum(-1)

    points = [np.log(begun.clip(_LEAST))]
    search = cma.CMAEvolutionStrategy(points[0], _SPREAD, _options(population, iterations, rng))
    while not search.stop():
        tried = search.ask()
        scores = objective(np.array(tried))
        search.tell(tried, (-scores).tolist())
        points.append(tried[scores.argmax()])
    last = np.array([*points, search.mean])
    return np.exp(log_softmax(last[objective(last).argmax()]))


def improve_grid(
    sums: LoggedSums,
    entropies: Iterable[float] = ENTROPIES,
    *,
    rng: np.random.Generator,
    estimator: str = "wis",
    population: int = 64,
    iterations: int = 20,
    start: ArrayLike | None = None,
) -> dict[float, NDArray[np.float64]]:
    """The best policy for each weight of the entropy, of which a training has to choose one.

    Source: Glover and Hokamp (2019), sections 4.1 and 4.2, whose grids are .1 to .25 and .1 to .2.

    Args:
        sums: over the decisions, without rows.
        entropies: the weights.
        rng: as the others, as in `improve`.
        estimator: a key of `ESTIMATORS`.
        population: points that are tried in an iteration.
        iterations: at most.
        start: probabilities of the arms; None for equal ones.

    Raises:
        ValueError: as in `improve`.
    """
    return {
        entropy: improve(
            sums,
            rng=rng,
            entropy=entropy,
            estimator=estimator,
            population=population,
            iterations=iterations,
            start=start,
        )
        for entropy in entropies
    }


def check(entropy: float, estimator: str, population: int, iterations: int) -> None:
    """Refuse settings of a search out of their ranges.

    Raises:
        ValueError: names the argument and the value.
    """
    checks.real("entropy", entropy, 0.0)
    lookup(ESTIMATORS, estimator, "estimator")
    checks.integer("population", population, 4)
    checks.integer("iterations", iterations, 1)


def _check_sums(sums: LoggedSums) -> None:
    if sums.count.ndim:
        raise ValueError(
            f"`sums` must be of one policy, such as `sums.row(0)`, not {sums.count.size}"
        )
    untried = np.flatnonzero(sums.untried)
    if untried.size:
        raise ValueError(
            f"`sums` hold no decision for {named(sums, untried)}, so nothing is known of what they "
            "are worth: log more decisions, by a policy that tries every arm, and pool the logs"
        )


def _options(population: int, iterations: int, rng: np.random.Generator) -> dict[str, Any]:
    """Settings with which CMA-ES draws from `rng` alone, and writes and prints nothing."""
    return {
        "popsize": population,
        "maxiter": iterations,
        "CMA_mirrors": 0,  # small populations would have some, rounded by NumPy's global generator
        "randn": lambda *shape: rng.standard_normal(shape),
        "tolfun": 0.0,  # absolute tolerances, which would stop it early where rewards are tiny
        "tolfunhist": 0.0,
        "seed": np.nan,  # another value seeds NumPy's global generator
        "verb_log": 0,
        "verbose": -10,
    }
