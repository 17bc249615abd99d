"""Off-policy estimators: the value of a policy from decisions of other policies.

Each takes sums over logged decisions and one or several policies. All are for policies that do not
change during a run and do not look at observations: a distribution over the arms.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mtlgym.agents.off_policy.logged_sums import LoggedSums
from mtlgym.lookup import lookup


def ips(sums: LoggedSums, policies: NDArray[np.float64]) -> Any:
    """The importance sampling (inverse propensity score) estimate, which is unbiased.

    V = 1/T sum_t pi(a_t) / p_t r_t = sum_k pi_k S_k / T.

    Source: Glover and Hokamp (2019), https://arxiv.org/abs/1907.06214, eq. 10.

    Args:
        sums: over the decisions.
        policies: probabilities of the arms; (..., arms).

    Returns:
        The mean reward of a decision, in the reward's unit; (...).
    """
    return (policies * sums.rewards).sum(-1) / sums.count


def wis(sums: LoggedSums, policies: NDArray[np.float64]) -> Any:
    """The weighted importance sampling estimate: some bias, and as a rule far less variance.

    V = sum_t pi(a_t) / p_t r_t / sum_t pi(a_t) / p_t = sum_k pi_k S_k / sum_k pi_k C_k,

    a mean of the rewards, so it lies between the least and the largest. Consistent as T grows.

    Source: Glover and Hokamp (2019), https://arxiv.org/abs/1907.06214, eq. 11.

    Args:
        sums: over the decisions.
        policies: probabilities of the arms; (..., arms).

    Returns:
        The mean reward of a decision, in the reward's unit; (...).
    """
    return (policies * sums.rewards).sum(-1) / (policies * sums.weights).sum(-1)


def snips(sums: LoggedSums, policies: NDArray[np.float64]) -> Any:
    """The self-normalised estimate, which for these policies is `wis` under its other name.

    Source: Swaminathan and Joachims, "The Self-Normalized Estimator for Counterfactual Learning"
    (NeurIPS 2015). The paper's variance regularisation and contextual policies are not
    implemented.

    Args:
        sums: over the decisions.
        policies: probabilities of the arms; (..., arms).

    Returns:
        The mean reward of a decision, in the reward's unit; (...).
    """
    return wis(sums, policies)


Estimator = Callable[[LoggedSums, NDArray[np.float64]], Any]
ESTIMATORS: dict[str, Estimator] = {"ips": ips, "snips": snips, "wis": wis}


def evaluate(sums: LoggedSums, policy: ArrayLike, estimator: str = "wis") -> Any:
    """The value of a policy, estimated from logged decisions.

    Args:
        sums: over the decisions, such as `LoggedSums.of(["first.log", "second.log"])`.
        policy: probabilities of the arms, or several policies'; (arms,) or (policies, arms).
        estimator: a key of `ESTIMATORS`.

    Returns:
        The mean reward of a decision, in the reward's unit; (policies,) for several.

    Raises:
        ValueError: for an unknown estimator, for what is no distribution over the arms, and for a
            policy that may choose an arm that no logged decision was for; names the arm.
    """
    return lookup(ESTIMATORS, estimator, "estimator")(sums, supported(sums, policy))


def effective_sample_size(sums: LoggedSums, policy: ArrayLike) -> Any:
    """The number of own decisions that would give an estimate of about the same variance.

    n = (sum_t w_t)^2 / sum_t w_t^2 with w_t = pi(a_t) / p_t; between 1 and T.

    Source: Kish, "Survey Sampling" (1965).

    Args:
        sums: over the decisions.
        policy: as in `evaluate`.

    Raises:
        ValueError: as in `evaluate`.
    """
    policies = supported(sums, policy)
    return (policies * sums.weights).sum(-1) ** 2 / (policies**2 * sums.moments[2]).sum(-1)


def standard_error(sums: LoggedSums, policy: ArrayLike) -> Any:
    """The standard error of `wis`, by the delta method, in the reward's unit.

    sqrt(sum_t w_t^2 (r_t - V)^2) / sum_t w_t with w_t = pi(a_t) / p_t.

    It assumes independent rewards, which those of a training are not.

    Source: Owen, "Monte Carlo theory, methods and examples" (2013), section 9.2.

    Args:
        sums: over the decisions.
        policy: as in `evaluate`.

    Raises:
        ValueError: as in `evaluate`.
    """
    policies = supported(sums, policy)
    value = np.asarray(wis(sums, policies))[..., None]
    squares, rewards, squared_rewards = sums.moments[2:]
    spread = squared_rewards - 2 * value * rewards + value**2 * squares  # (..., arms)
    variance = (policies**2 * spread).sum(-1).clip(0)  # below 0 by rounding alone
    return np.sqrt(variance) / (policies * sums.weights).sum(-1)


def supported(sums: LoggedSums, policy: ArrayLike) -> NDArray[np.float64]:
    """The policy or policies, if the logged decisions can give their value.

    Raises:
        ValueError: as in `evaluate`.
    """
    policies, arms = np.asarray(policy, np.float64), sums.moments.shape[-1]
    if policies.shape[-1:] != (arms,) or not _are_distributions(policies):
        raise ValueError(f"`policy` must be {arms} probabilities that sum to 1, not {policy!r}")
    missing = np.flatnonzero((sums.untried & (policies > 0)).reshape(-1, arms).any(axis=0))
    if missing.size:
        raise ValueError(
            f"`policy` may choose {named(sums, missing)}, which no logged decision was for: log "
            "decisions of a policy that tries every arm"
        )
    return policies


def distribution(name: str, value: ArrayLike | None, arms: int) -> NDArray[np.float64]:
    """A policy's probabilities; None stands for equal ones.

    Raises:
        ValueError: names the argument and the value.
    """
    if value is None:
        return np.full(arms, 1 / arms)
    found = np.asarray(value, np.float64)
    if found.shape != (arms,) or not _are_distributions(found):
        raise ValueError(
            f"`{name}` must be {arms} probabilities that sum to 1, one for each arm, not {value!r}"
        )
    return found


def named(sums: LoggedSums, arms: NDArray[np.intp]) -> str:
    """The arms by name, where they have names."""
    names = [f"{arm} ({sums.tasks[arm]})" if sums.tasks else str(arm) for arm in arms]
    return f"arm{'s' * (len(names) > 1)} {', '.join(names)}"


def _are_distributions(values: NDArray[np.float64]) -> bool:
    return bool(np.all(values >= 0) and np.all(np.abs(values.sum(-1) - 1) < 1e-6))
