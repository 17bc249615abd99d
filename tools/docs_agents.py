"""The page of all agents."""

from pkgutil import resolve_name

from docs_markdown import clean, described, first, table

from mtlgym.agents import AGENTS
from mtlgym.agents.off_policy.estimators import ESTIMATORS

HEAD = """# Agents

Users of the plain Gymnasium API: `act(observation, info)` decides, `learn(...)` takes in the step
that followed, and a state from `state_dict` continues bit-identically after `load_state_dict`. By
name:
`mtlgym.agents.make("exp3s:eta=0.01", env.observation_space, env.action_space, seed=0)`, or
`mtlgym train --agent exp3s:eta=0.01`; the classes are in `mtlgym.agents`. An environment for an
agent is made with the options that `mtlgym.agents.environment_options(NAME)` gives.

Agents that route (`wpl`, `q_learning`, `reinforce`, `actor_critic`) also act in any environment
with discrete actions. Their `greedy` takes the best action and learns nothing; it takes the
observations of any number of samples: `env.unwrapped.evaluate("val", agent.greedy)` measures a
routed network.

Agents that choose among tasks or arms need `interface="tasks"`, which the text tasks have and any
training takes. They also act for a vector of environments at once, whose action space is
`MultiDiscrete`; their `probabilities` are what they choose from."""
LOGS = """## Decisions on file

A run of an agent that chooses tasks writes every decision, its propensity and the improvement that
followed to `decisions.log`, by `mtlgym.agents.OffPolicyLog`: a line of JSON a decision, each with a
checksum. A crash can cut the last line, which is then left out. One log or several are enough to
estimate the value of other policies and to search for better ones without a further run:
[examples/10_counterfactual.py](../examples/10_counterfactual.py). A value takes two sums an arm,
however long the log is. The estimators:"""
APART = ("observation_space", "action_space", "seed")


def page() -> str:
    """The page, from the classes' docstrings."""
    parts = [HEAD]
    for name, entry in AGENTS.items():
        kind = resolve_name(entry.path)
        text = clean(kind.__doc__).partition("Attributes:")[0].partition("Raises:")[0].strip()
        told = {**described(kind, "Attributes"), **described(kind.__init__, "Args")}
        rows = [
            (f"`{key}`", value)
            for key, value in told.items()
            if key not in APART and key in kind.__init__.__annotations__
        ]
        options = ", ".join(f"`{key}={value!r}`" for key, value in entry.options.items())
        needs = f"\n\nMade for environments with {options}." if options else ""
        settings = table(("setting", "what it is"), rows) if rows else "No settings."
        parts.append(f"## `{name}`: {kind.__name__}\n\n{text}{needs}\n\n{settings}")
    rows = [(f"`{name}`", first(function)) for name, function in ESTIMATORS.items()]
    parts += [LOGS, table(("estimator", "what it is"), rows)]
    return "\n\n".join(parts) + "\n"
