"""How cells are run; nothing here needs torch."""

from dataclasses import dataclass
from typing import Annotated

import tyro

from mtlgym import checks
from mtlgym.lookup import unknown

CHECKPOINT_EVERY = 500  # steps
BACKENDS = ("local", "ray")


@dataclass(frozen=True)
class Execution:
    """How cells are run; their files and results do not depend on it.

    Attributes:
        checkpoint_every: steps from one checkpoint to the next.
        jobs: runs at the same time, in processes of one thread each; T is then less exact.
        backend: `local`, or `ray` for a cluster, whose nodes must share the folder of the runs.
        address: of a running Ray cluster, as `ray.init` takes it; a new one on this machine,
            of `jobs` CPUs, without it.
        retries: how often a run whose process or node was lost is taken up again.
    """

    checkpoint_every: int = CHECKPOINT_EVERY
    jobs: int = 1
    backend: str = "local"
    address: str | None = None
    retries: int = 3

    def __post_init__(self) -> None:
        """Refuse values that are not allowed."""
        checks.integer("checkpoint_every", self.checkpoint_every, least=1)
        checks.integer("jobs", self.jobs, least=1)
        checks.integer("retries", self.retries, least=0)
        if self.backend not in BACKENDS:
            raise ValueError(unknown(self.backend, BACKENDS, "backend"))
        if self.address is not None and self.backend != "ray":
            raise ValueError(f"`address` goes with backend 'ray', not {self.backend!r}")


class FailedRunsError(RuntimeError):
    """Runs that raised; all others were finished."""


PLAIN = Execution()
Flat = Annotated[Execution, tyro.conf.arg(name="")]  # its fields as options of a command
