"""The command `mtlgym check`, and the checks that every environment must pass."""

import warnings
from collections.abc import Callable
from typing import Any

import gymnasium as gym
from gymnasium.utils.env_checker import check_env, data_equivalence

from mtlgym.bench.runs.options import Options, parse_options
from mtlgym.cli.bench import FAILED, console
from mtlgym.presets.environments import preset

Maker = Callable[[], gym.Env]


def gymnasium_rules(make: Maker, steps: int) -> None:
    """Gymnasium's environment checker, rendering included."""
    env = make()
    check_env(env.unwrapped)
    env.close()
    env.close()  # closing twice is allowed


def sb3_rules(make: Maker, steps: int) -> None:
    """Stable-Baselines3's environment checker."""
    from stable_baselines3.common import env_checker  # its import takes seconds

    env = make()
    env_checker.check_env(env.unwrapped)
    env.close()


def same_seed(make: Maker, steps: int) -> None:
    """One seed gives one rollout, even if other environments step in between."""
    one, other, between = (make() for _ in range(3))
    between.reset(seed=1)
    first = rollout(one, 0, steps)
    second = rollout(other, 0, steps, between)
    for a, b in zip(first, second, strict=True):
        assert data_equivalence(a, b, exact=True), f"the rollouts of seed 0 differ: {a} and {b}"


def other_seed(make: Maker, steps: int) -> None:
    """Another seed gives another rollout."""
    first, second = rollout(make(), 0, steps), rollout(make(), 1, steps)
    different = any(
        not data_equivalence(a, b, exact=True) for a, b in zip(first, second, strict=True)
    )
    assert different, "the rollouts of seeds 0 and 1 are the same"


def rollout(env: gym.Env, seed: int, steps: int, between: gym.Env | None = None) -> list[Any]:
    """The observations and rewards of random actions from a seed."""
    env.action_space.seed(seed)
    trace: list[Any] = [env.reset(seed=seed)[0]]
    for _ in range(steps):
        observation, reward, terminated, truncated, _ = env.step(env.action_space.sample())
        trace += [observation, reward]
        if between is not None:
            between.step(between.action_space.sample())
        if terminated or truncated:
            break
    return trace


CHECKS: dict[str, Callable[[Maker, int], None]] = {
    "Gymnasium's environment checker": gymnasium_rules,
    "Stable-Baselines3's environment checker": sb3_rules,
    "the same seed gives the same rollout": same_seed,
    "another seed gives another rollout": other_seed,
}


def check(env: str, options: Options = (), steps: int = 5) -> int:
    """Check an environment: Gymnasium's and Stable-Baselines3's rules, and determinism.

    Args:
        env: id of the environment; see `mtlgym list`.
        options: options of the environment.
        steps: length of the rollouts that are compared.
    """
    preset(env)
    failures = 0
    for title, function in CHECKS.items():
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error", UserWarning)
                warnings.filterwarnings("ignore", message="no real")  # data: not what is checked
                function(lambda: gym.make(env, **parse_options(options)), steps)
        except (AssertionError, Warning, gym.error.Error, ValueError, TypeError) as error:
            console.print(f"failed  {title}: {error}", style="red")
            failures += 1
        else:
            console.print(f"passed  {title}", style="green")
    return FAILED if failures else 0
