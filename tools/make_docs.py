"""Write docs/envs, one page per id, from the registry; --check verifies that they are current."""

import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from pkgutil import resolve_name

import docs_agents
import docs_bandit
import docs_routing
import docs_training
from docs_markdown import clean, described, first, sections, table

from mtlgym.balancing import GRADIENT_METHODS, LOSS_METHODS
from mtlgym.balancing.jacobian.strategies import STRATEGIES
from mtlgym.envs.bandit.env import BanditEnv
from mtlgym.envs.routing.env import RoutingEnv
from mtlgym.envs.training.env import TrainingEnv
from mtlgym.presets.environments import Preset, presets
from mtlgym.record import Record

METHODS = """# Loss-balancing methods

Each works as an agent (`mtlgym train --agent NAME`, `mtlgym.agents.make(NAME, ...)`) and in your
own training loop (`mtlgym.Balancer(NAME)`). Create its environment with the options that
`mtlgym.agents.environment_options(NAME)` returns: weights as actions, under the method's own
transform; `mtlgym train` and `mtlgym bench` set them automatically. Settings follow a colon:
`dwa:temperature=1.5,window=25`. With `+si`, the weights of equal, fixed, rlw or dwa multiply the
losses' logarithms: `rlw+si`."""
GRADIENTS = """# Gradient-balancing methods

Each maps the tasks' gradients g_t, the rows of G, to one direction: through weights w, computed
from the Gramian K = G G^T, or from G itself. Four ways to use one:

- in an environment, on the losses that an agent weights: `gym.make(id, aggregator="nash")`;
- as an agent by its name, alone or combined with a loss method or IGBv2, whose weighted terms are
  then differentiated (Dai, Fei, Lu, UAI 2023, Algorithm 3):
  `mtlgym bench --agents nash igbv1+nash igbv2+cagrad:c=0.4`;
- in your own training loop: `mtlgym.Balancer("igbv1+nash", shared=model.trunk, heads=model.heads)`;
- on a matrix: `mtlgym.balancing.aggregate("mgda", jacobian)`.

Settings follow a colon: `cagrad:c=0.4,rescale=true`. Any aggregator of TorchJD is available as
`torchjd:NAME` (`pip install "mtlgym[torchjd]"`). Parameters that are not shared are trained on the
losses times w (`weighted`) or on the plain losses (`unit`); each method has the default of its
paper's code, and `head_weighting` overrides it.

The direction of Nash-MTL depends on the gradients' directions alone, not on their lengths, and
that of IMTL-G does so up to a common factor. So weights that an agent or a loss method puts on the
losses cancel under Nash-MTL, in the trunk and, with `weighted`, in the heads: in exact arithmetic,
`igbv1+nash` trains as `nash` does."""
STRATEGY = """## How the tasks' gradients are computed

The option `jacobian` of an environment and `strategy` of a `Balancer`. `auto` times the exact ones
in the first step and keeps the fastest; they differ in rounding, so name one for a run that must be
repeatable bit for bit. "heads" means: one backward pass through all heads first, then the trunk
alone. To measure them on your own model: `benchmarks/gradient_step.py`."""
RECORDS = """# Records

A record is what rewards and features know of a training. A reward is a function of the records
before and after a step, passed as `gym.make(id, reward=function)`; a function that reads
`base_losses` or `retrained` declares it by an attribute `needs_base_losses = True` or
`needs_same_batch = True`. A feature is a function of one record that returns one number per task,
a row in `mtlgym.envs.training.observations.FEATURES`. Neither may change the record."""
FOLDER = Path(__file__).parents[1] / "docs" / "envs"


SECTIONS: dict[type, Callable[[Preset], dict[str, str]]] = {
    BanditEnv: docs_bandit.sections,
    RoutingEnv: docs_routing.sections,
    TrainingEnv: docs_training.sections,
}


def page(preset: Preset) -> str:
    """The page of one id, with the sections of Gymnasium's own pages."""
    return sections(SECTIONS[resolve_name(preset.entry_point)](preset))


def methods(head: str, kinds: dict[str, type]) -> str:
    """The page of all methods of a table, from their docstrings."""
    parts = [head]
    for name, kind in kinds.items():
        text = clean(kind.__doc__).partition("Attributes:")[0].strip()
        rows = [(f"`{key}`", text) for key, text in described(kind, "Attributes").items()]
        settings = table(("setting", "what it is"), rows) if rows else "No settings."
        parts.append(f"## `{name}`\n\n{text.partition('Raises:')[0].strip()}\n\n{settings}")
    return "\n\n".join(parts) + "\n"


def gradients() -> str:
    """The page of all gradient methods, and of the strategies."""
    rows = [
        (
            f"`{name}`",
            "exact" if spec.exact else "approximate",
            "trunk's output" if spec.from_trunk else "losses",
            first(spec.kind),
        )
        for name, spec in STRATEGIES.items()
    ]
    strategies = table(("strategy", "", "starts at the", "what it does"), rows)
    return f"{methods(GRADIENTS, GRADIENT_METHODS)}\n{STRATEGY}\n\n{strategies}\n"


def records() -> str:
    """The page of the record, which rewards and features may read."""
    rows = [(f"`{name}`", text) for name, text in described(Record, "Attributes").items()]
    return RECORDS + "\n\n" + table(("field", "what it is"), rows) + "\n"


def main() -> int:
    """Write or check every page; 1 if a page is not current."""
    warnings.simplefilter("ignore", UserWarning)
    FOLDER.mkdir(parents=True, exist_ok=True)
    pages = {FOLDER / f"{preset.id}.md": page(preset) for preset in presets().values()}
    links = "\n".join(f"- [{p.id}]({p.id}.md): {p.title}" for p in presets().values())
    pages[FOLDER.parent / "agents.md"] = docs_agents.page()
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
