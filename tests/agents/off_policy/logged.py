"""Logged decisions and their sums, and the best policy for them by another optimiser."""

import numpy as np
from scipy.optimize import minimize

from mtlgym.agents import OffPolicyLog
from mtlgym.agents.off_policy.logged_sums import LoggedSums

POLICIES = [np.array([0.25, 0.25, 0.5]), np.array([0.7, 0.2, 0.1])]


def logged(rng, policies, size):
    """Decisions of several policies in turn: actions, propensities, rewards."""
    drawn = [
        (policy, rng.choice(len(policy), p=policy)) for policy in policies for _ in range(size)
    ]
    rewards = rng.normal(size=len(drawn)) + [action for _, action in drawn]
    actions = np.array([action for _, action in drawn])
    return actions, np.array([policy[action] for policy, action in drawn]), rewards


def sums_of(actions, propensities, rewards, arms=3):
    sums = LoggedSums(arms)
    for decision in zip(actions, propensities, rewards, strict=True):
        sums.add(*decision)
    return sums


def written(path, actions, propensities, rewards, **options):
    with OffPolicyLog.create(path, 3, flush_every=100, **options) as log:
        for decision in zip(actions, propensities, rewards, strict=True):
            log.write(*decision)
    return path


def objective(sums, policy, entropy):
    """Eq. 14 with the weighted estimate."""
    value = policy @ sums.rewards / (policy @ sums.weights)
    return value - entropy * (policy * np.log(policy)).sum()


def softmax(logits):
    powers = np.exp(logits - logits.max())
    return powers / powers.sum()


def shortfall(sums, policy, entropy=0.2):
    """How far a policy is from the best that quasi-Newton steps find from several starts."""
    rng, total = np.random.default_rng(0), sums.weights

    def loss(logits):
        tried = softmax(logits).clip(1e-300)
        value = tried @ sums.rewards / (tried @ total)
        slope = (sums.rewards - value * total) / (tried @ total) - entropy * (np.log(tried) + 1)
        return -objective(sums, tried, entropy), -tried * (slope - tried @ slope)

    starts = [scale * rng.normal(size=len(total)) for scale in (0, 0.3, 1, 2, 4)]
    options = {"ftol": 1e-15, "gtol": 1e-10}
    found = [minimize(loss, each, jac=True, method="L-BFGS-B", options=options) for each in starts]
    return -min(each.fun for each in found) - objective(sums, policy, entropy)
