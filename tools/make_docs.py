"""Write docs/envs, a page an id, from the registry; --check sees that they are current."""

import dataclasses
import inspect
import re
import sys
import warnings
from pathlib import Path
from pkgutil import resolve_name
from typing import Any

import gymnasium as gym

from mtlgym.balancing import GRADIENT_METHODS, LOSS_METHODS
from mtlgym.envs.observations import FEATURES
from mtlgym.envs.rewards import REWARDS
from mtlgym.envs.settings import Settings
from mtlgym.envs.training import TrainingEnv
from mtlgym.presets import Preset, presets
from mtlgym.problems import PROBLEMS
from mtlgym.record import Record
from mtlgym.training.balance import Balance
from mtlgym.training.hardware import Hardware
from mtlgym.training.jacobian import STRATEGIES
from mtlgym.training.settings import Training

METHODS = """# Loss-balancing methods

Each works as an agent (`mtlgym train --agent NAME`, `mtlgym.agents.make(NAME, ...)`) and in a loop
of one's own (`mtlgym.Balancer(NAME)`). An environment for it is made with the options that
`mtlgym.agents.environment_options(NAME)` gives: weights as actions, under the method's own
transform; `mtlgym train` and `mtlgym bench` do so by themselves. Settings follow a colon:
`dwa:temperature=1.5,window=25`. With `+si`, the weights of equal, fixed, rlw or dwa multiply the
losses' logarithms: `rlw+si`."""
GRADIENTS = """# Gradient-balancing methods

Each maps the tasks' gradients g_t, the rows of G, to one direction: through weights w that it makes
of the Gramian K = G G^T, or from G itself. Four ways to use one:

- under the weights of an agent, in an environment: `gym.make(id, aggregator="nash")`;
- as an agent by its name, alone or with a loss method or IGBv2 on top, whose weighted terms are
  then what the gradients are of (Dai, Fei, Lu, UAI 2023, Algorithm 3):
  `mtlgym bench --agents nash igbv1+nash igbv2+cagrad:c=0.4`;
- in a loop of one's own: `mtlgym.Balancer("igbv1+nash", shared=model.trunk, heads=model.heads)`;
- on a matrix: `mtlgym.balancing.aggregate("mgda", jacobian)`.

Settings follow a colon: `cagrad:c=0.4,rescale=true`. Any aggregator of TorchJD plugs in as
`torchjd:NAME` (`pip install "mtlgym[torchjd]"`). Parameters that are not shared are trained on the
losses times w (`weighted`) or as they are (`unit`); each method has the default of its paper's
code, and `head_weighting` overrides it.

Nash-MTL makes its direction from the gradients' directions alone, whatever their lengths, and
IMTL-G does up to a common factor. So weights that an agent or a loss method puts on the losses
cancel under Nash-MTL, in the trunk and, with `weighted`, in the heads: in exact arithmetic,
`igbv1+nash` trains as `nash` does."""
STRATEGY = """## How the tasks' gradients are made

The option `jacobian` of an environment and `strategy` of a `Balancer`. `auto` times the exact ones
in the first step and keeps the fastest; they differ in rounding, so a run that must be repeated bit
for bit names one. "heads" means: one backward pass through all heads first, then the trunk alone.
The same figures for a model of yours: `benchmarks/gradient_step.py`."""
RECORDS = """# Records

What rewards and features see of a training. A reward is a function of the records before and after
a step, given as `gym.make(id, reward=function)`; a function that reads `base_losses` or `retrained`
says so by an attribute `needs_base_losses = True` or `needs_same_batch = True`. A feature is a
function of one record that gives one number a task, a row in
`mtlgym.envs.observations.FEATURES`. Neither may change the record."""
FOLDER = Path(__file__).parents[1] / "docs" / "envs"


def page(preset: Preset) -> str:
    """The page of one id, with the sections of Gymnasium's own pages."""
    env = gym.make(preset.id, data="embedded")
    training: TrainingEnv = env.unwrapped  # type: ignore[assignment]
    tasks = training.problem.tasks
    sections = {
        "": f"# {preset.id}\n\n{preset.title}.\n\n{_facts(env, training)}",
        "Description": _clean(TrainingEnv.__doc__) + "\n\n" + _problem(preset),
        "Tasks and metrics": _table(
            ("task", "metric", "unit", "better"),
            [
                (m.task, m.name, m.unit, "higher" if m.higher_is_better else "lower")
                for m in training.problem.metrics
            ],
        ),
        "Action Space": f"`{env.action_space}`\n\n{_clean(type(training.interface).__doc__)} "
        f"One entry a task, in the order {', '.join(tasks)}.",
        "Observation Space": f"`{env.observation_space}`\n\n"
        "The features named by `observation`, one after the other, one entry a task each.\n\n"
        + _table(
            ("feature", "what it is"), [(f"`{n}`", _first(f.function)) for n, f in FEATURES.items()]
        ),
        "Rewards": f"The default is `{training.settings.reward}`.\n\n"
        + _table(("reward", "what it is"), [(f"`{n}`", _first(r)) for n, r in REWARDS.items()])
        + "\n\nA reward of one's own is a function of the [records](../records.md) before and "
        "after the step. Rewards in units of L_base are 0, and `reward_ready` False, until the "
        "base epoch is over.",
        "Starting State": "A fresh model, optimizer and data order, all from the seed of `reset`.",
        "Episode End": "Truncated when the budget of optimizer steps is used up. Terminated when a "
        "loss is negative or not finite, or a gradient is not finite; `info['failure']` then names "
        "the task.",
        "Information": "`losses`, `weights` (arrays), `step`, `epoch`, `lr`, `data`, "
        "`reward_ready`, `failure`; with `same_batch=True` also `trained_losses` and "
        "`retrained_losses`, and where the action is a task, `task`. `reward_ready` says whether "
        "the step's reward had all that it needs.",
        "Arguments": _arguments(preset),
        "Published figures": _published(preset, training),
        "Version History": "- v0: first release",
    }
    parts = [f"## {title}\n\n{text}" if title else text for title, text in sections.items() if text]
    return "\n\n".join(parts) + "\n"


def _facts(env: gym.Env, training: TrainingEnv) -> str:
    rows = [
        ("Import", f'`gymnasium.make("{training.spec.id}")` after `import mtlgym`'),  # type: ignore[union-attr]
        ("Action Space", f"`{env.action_space}`"),
        ("Observation", f"{env.observation_space.shape}, `float32`"),
        ("Tasks", str(len(training.problem.tasks))),
    ]
    return _table(("", ""), rows)


def _problem(preset: Preset) -> str:
    return _clean(_builder(preset).__doc__.partition("Args:")[0])


def _builder(preset: Preset) -> Any:
    return resolve_name(PROBLEMS[preset.options["problem"]])


def _arguments(preset: Preset) -> str:
    rows = []
    for kind in (Settings, Training, Balance, Hardware):
        described = _described(kind, "Attributes")
        for field in dataclasses.fields(kind):
            if field.name in ("balance", "hardware"):  # their own fields are options
                continue
            value = preset.options.get(field.name, field.default)
            rows.append((f"`{field.name}`", f"`{value!r}`", described[field.name]))
    described = _described(_builder(preset), "Args")
    for name, parameter in inspect.signature(_builder(preset)).parameters.items():
        value = preset.options.get(name, parameter.default)
        rows.append((f"`{name}`", f"`{value!r}`", described[name]))
    return _table(("argument", "default here", "what it is"), rows)


def _described(thing: Any, section: str) -> dict[str, str]:
    """The descriptions in a section of a docstring."""
    text = inspect.cleandoc(thing.__doc__).partition(f"{section}:\n")[2]
    items = re.split(r"\n    (?=\w+: )", "\n" + text.split("\n\n")[0])[1:]
    return {name: " ".join(rest.split()) for name, _, rest in (i.partition(": ") for i in items)}


def _published(preset: Preset, training: TrainingEnv) -> str:
    if not preset.published:
        return ""
    rows = [(a, f"{f['delta_m']}", f"{f['T']:.2f}") for a, f in preset.published.items()]
    baseline = training.problem.baseline
    source = f"On the real data; Δm is against {baseline.source}.\n\n" if baseline else ""
    return source + _table(("method", "Δm [%]", "T"), rows)


def _table(header: tuple[str, ...], rows: list[Any]) -> str:
    lines = [header, ("---",) * len(header), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _first(function: Any) -> str:
    return " ".join(inspect.cleandoc(function.__doc__).split("\n\n")[0].split())


def _clean(text: str | None) -> str:
    return inspect.cleandoc(text or "")


def methods(head: str, table: dict[str, type]) -> str:
    """The page of all methods of a table, from their docstrings."""
    parts = [head]
    for name, kind in table.items():
        text = inspect.cleandoc(kind.__doc__ or "").partition("Attributes:")[0].strip()
        rows = [(f"`{key}`", text) for key, text in _described(kind, "Attributes").items()]
        settings = _table(("setting", "what it is"), rows) if rows else "No settings."
        parts.append(f"## `{name}`\n\n{text.partition('Raises:')[0].strip()}\n\n{settings}")
    return "\n\n".join(parts) + "\n"


def gradients() -> str:
    """The page of all gradient methods, and of the strategies."""
    rows = [
        (
            f"`{name}`",
            "exact" if plan.exact else "approximate",
            "trunk's output" if plan.from_trunk else "losses",
            _first(plan.kind),
        )
        for name, plan in STRATEGIES.items()
    ]
    table = _table(("strategy", "", "back from the", "what it does"), rows)
    return f"{methods(GRADIENTS, GRADIENT_METHODS)}\n{STRATEGY}\n\n{table}\n"


def records() -> str:
    """The page of what a reward or feature of one's own may read."""
    rows = [(f"`{name}`", text) for name, text in _described(Record, "Attributes").items()]
    return RECORDS + "\n\n" + _table(("field", "what it is"), rows) + "\n"


def main() -> int:
    """Write or check every page; 1 if a page is not current."""
    warnings.simplefilter("ignore", UserWarning)
    FOLDER.mkdir(parents=True, exist_ok=True)
    pages = {FOLDER / f"{preset.id}.md": page(preset) for preset in presets().values()}
    links = "\n".join(f"- [{p.id}]({p.id}.md): {p.title}" for p in presets().values())
    pages[FOLDER.parent / "methods.md"] = methods(METHODS, LOSS_METHODS)
    pages[FOLDER.parent / "gradients.md"] = gradients()
    pages[FOLDER.parent / "records.md"] = records()
    pages[FOLDER / "README.md"] = f"# Environments\n\n{links}\n"
    if "--check" in sys.argv:
        stale = [p.name for p, text in pages.items() if not p.exists() or p.read_text() != text]
        sys.stdout.write(f"not current: {stale}; run `make docs`\n" if stale else "docs current\n")
        return bool(stale)
    for path, text in pages.items():
        path.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
