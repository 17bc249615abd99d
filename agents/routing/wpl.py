"""The weighted policy learner: a table of policies for each of several routing agents."""

from dataclasses import KW_ONLY, dataclass
from typing import Any

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from mtlgym.agents.routing import routing_agent
from mtlgym.agents.routing.episodes import EpisodeReturns
from mtlgym.agents.routing.routing_agent import DecisionBatch, RoutingShell, TransitionBatch
from mtlgym.agents.routing.wpl_table import WPLSettings, WPLTable


@dataclass(eq=False)
class WPL:
    """Move towards arms that return more than the policy, in smaller steps near 0 and 1.

    One table an agent, over depths and arms. With the average return Q(a) of each arm, each
    decision moves the policy pi of its agent and depth by

        pi(a) += learning_rate A(a) (pi(a) if A(a) < 0 else 1 - pi(a)),
        A(a) = Q(a) - sum_b pi(b) Q(b)

    for every arm a, and projects it: clipped to [floor, 1], and the excess over the floor
    divided by its sum. The return of a decision is the sum of the rewards from it to the end of its
    episode, discounted by `gamma`; rewards after a truncation count as 0. The tables change when
    an episode ends; decisions of one `learn` that share agent, depth and arm are averaged as if
    they had come one by one, and the steps of those that share agent and depth are added up.
    Arms that `info["action_mask"]` forbids are not drawn, and do not enter the sum and the step.

    Source: Rosenbaum, Klinger, Riemer (ICLR 2018), https://arxiv.org/abs/1711.01239, MARL:WPL,
    after Abdallah, Lesser (JAIR 33, 2008).
    Differs from it, as far as is known, in that the advantage of all arms is taken, and not only
    that of the chosen one's return over its own average, which is 0 on average for any policy, so
    that a scaled step drifts away from good arms (`variant="paper_trace"`: on a bandit of 8 arms
    to P(best) of about .001); and in that the scaling is Abdallah and Lesser's, not its reverse
    (`scaling="as_printed"`), with which policies of games end in a corner. The learning rate and
    the average are not published.

    Attributes:
        observation_space: the environment's: `Dict(value, task, depth)` or `Discrete`, or a vector
            of these. Vectors are reset by `AutoresetMode.NEXT_STEP` or `SAME_STEP`, not `DISABLED`.
        action_space: `Discrete(arms)`, or `MultiDiscrete([arms] * rows)`.
        seed: seed of its random generators; None takes fresh entropy.
        learning_rate: size of a step, per unit of return, at least 0. A policy close
            to 0 or 1 hardly explores, so small rates are safer where rewards are noisy and the best
            route does not change: in simulations of 300 hidden routes of three blocks out of six,
            .003 found 99 % in 20,000 decisions each, .01 90 %, .03 63 % and .1 half. The default
            is for networks in training, where blocks that all tasks train for long learn little.
        value_step: least weight of a new return in the average, in [0, 1]. The average is plain
            for the first 1 / value_step returns, and then exponential, as the returns of a route
            change while the blocks are trained; 0 keeps it plain.
        floor: least probability of an arm, in [0, 1 / arms].
        gamma: discount, in [0, 1].
        scaling: "weighted" or "as_printed".
        variant: "all_actions" or "paper_trace".
        dispatch: which agent decides: "task", one for each task; "single", one for all; "learned",
            the one that a dispatching agent draws at the start of each episode.

    Raises:
        ValueError: for other spaces, or a setting out of its range.
    """

    observation_space: spaces.Space
    action_space: spaces.Space
    _: KW_ONLY
    seed: int | None = None
    learning_rate: float = 0.1
    value_step: float = 0.01
    floor: float = 1e-3
    gamma: float = 1.0
    scaling: str = "weighted"
    variant: str = "all_actions"
    dispatch: str = "task"

    def __post_init__(self) -> None:
        """Check the settings and start with uniform policies."""
        self._shell = RoutingShell(self)
        arms, reader = self._shell.arms, self._shell.reader
        if not reader.finite:
            raise ValueError(
                "WPL keeps tables and needs the observation space Discrete or "
                f"Dict(value, task, depth); `observation_space` is {self.observation_space}"
            )
        settings = WPLSettings(
            self.learning_rate, self.value_step, self.floor, self.scaling, self.variant
        )
        self._depths = reader.depths
        states = self._shell.dispatch.agents * reader.depths
        self._table = WPLTable(states, arms.count, settings)
        self._returns = EpisodeReturns(arms.rows, self.gamma)
        self._parts: dict[str, Any] = {"table": self._table, "traces": self._returns}

    @property
    def policy(self) -> NDArray[np.float64]:
        """A copy of the policies, (agents, depths, arms)."""
        return self._table.policy.reshape(-1, self._depths, self._shell.arms.count).copy()

    @property
    def values(self) -> NDArray[np.float64]:
        """A copy of the average returns, (agents, depths, arms); 0 where there was none."""
        return self._table.values.reshape(-1, self._depths, self._shell.arms.count).copy()

    distribution, act, greedy = routing_agent.distribution, routing_agent.act, routing_agent.greedy
    learn, state_dict = routing_agent.learn, routing_agent.state_dict
    load_state_dict = routing_agent.load_state_dict

    def _update(self, transitions: TransitionBatch) -> None:
        """Store the decisions; learn from those of the episodes that ended."""
        before = transitions.before
        entries = {
            "state": self._state(before),
            "chosen": transitions.chosen,
            "allowed": before.allowed,
        }
        self._returns.add(transitions.rewards, transitions.real, entries)
        done = self._returns.finish(transitions.ended)
        if done is not None:
            self._table.learn(done["state"], done["chosen"], done["return"], done["allowed"])

    def _policy(self, decisions: DecisionBatch) -> NDArray[np.float64]:
        return self._table.distribution(self._state(decisions), decisions.allowed)

    def _state(self, decisions: DecisionBatch) -> NDArray[np.int64]:
        """The row of the table for each decision, (N,)."""
        return decisions.agent * self._depths + decisions.seen.depth

    _scores = _policy
