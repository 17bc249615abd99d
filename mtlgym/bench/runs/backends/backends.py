"""Cells, run one after the other, in processes or on a cluster."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from tqdm import tqdm

from mtlgym.bench.runs.backends import signals
from mtlgym.bench.runs.backends.processes import in_processes
from mtlgym.bench.runs.backends.ray import on_ray
from mtlgym.bench.runs.cell import Cell
from mtlgym.bench.runs.execution import Execution, FailedRunsError
from mtlgym.bench.runs.run import OnRow, Run, run_cell

Place = tuple[Cell, Path]  # a cell and its folder
Outcome = dict[str, Any] | Exception


def run_cells(places: Sequence[Place], how: Execution) -> list[dict[str, Any]]:
    """The cells' results in order. A cell that raises does not stop the others.

    Raises:
        FailedRunsError: at the end, if cells raised; names each error. A single cell's own error.
        InterruptedRunError: after a signal, once the running cells have written checkpoints.
    """
    found: dict[int, Outcome] = {}
    with signals.caught():
        for wave in filter(None, waves(places)):
            chosen = {index: places[index] for index in wave}
            found.update(BACKENDS[how.backend](chosen, how))
    results = [found[index] for index in range(len(places))]
    errors = [each for each in results if isinstance(each, Exception)]
    if errors and len(places) == 1:
        raise errors[0]
    if errors:
        told = "\n".join(
            f"{describe(cell)}: {type(each).__name__}: {each}"
            for (cell, _), each in zip(places, results, strict=True)
            if isinstance(each, Exception)
        )
        text = f"{len(errors)} of {len(places)} runs failed:\n{told}"
        raise FailedRunsError(text) from ExceptionGroup("runs failed", errors)
    return [each for each in results if not isinstance(each, Exception)]


def waves(places: Sequence[Place]) -> list[list[int]]:
    """The places that run first, and those that run after them as they learn from their logs."""
    labels = {cell.label for cell, _ in places}
    late = [cell.log_of != "" and cell.log_of in labels for cell, _ in places]
    return [[index for index, waits in enumerate(late) if waits == wave] for wave in (False, True)]


def describe(cell: Cell) -> str:
    """The cell in a few words."""
    return f"{cell.name}, seed {cell.seed}, in {cell.env}"


def with_progress(
    cell: Cell, folder: Path, checkpoint_every: int, on_row: OnRow = lambda run, row: None
) -> dict[str, Any]:
    """Run the cell with a progress bar on standard error."""
    with tqdm(desc=f"{cell.name}, seed {cell.seed}", unit="step", dynamic_ncols=True) as bar:

        def show(run: Run) -> None:
            bar.total = run.budget
            bar.set_postfix_str(run.describe(), refresh=False)
            bar.update(run.step - bar.n)

        return run_cell(cell, folder, show, checkpoint_every, on_row)


def local(places: Mapping[int, Place], how: Execution) -> Iterator[tuple[int, Outcome]]:
    """Run the cells in this process, or in several."""
    if how.jobs > 1:
        yield from counted(
            in_processes(places, how.checkpoint_every, how.jobs, how.retries), len(places)
        )
        return
    for index, place in places.items():
        try:
            yield index, with_progress(*place, how.checkpoint_every)
        except signals.InterruptedRunError:
            raise
        except Exception as error:  # of any kind: the other cells are still run
            yield index, error


def cluster(places: Mapping[int, Place], how: Execution) -> Iterator[tuple[int, Outcome]]:
    """Run the cells as tasks of Ray."""
    outcomes = on_ray(places, how.checkpoint_every, how.jobs, how.retries, how.address)
    yield from counted(outcomes, len(places))


def counted(outcomes: Iterator[tuple[int, Outcome]], total: int) -> Iterator[tuple[int, Outcome]]:
    """The outcomes, with a progress bar of runs on standard error."""
    yield from tqdm(outcomes, total=total, unit="run", dynamic_ncols=True)


BACKENDS: dict[str, Callable[[Mapping[int, Place], Execution], Iterator[tuple[int, Outcome]]]] = {
    "local": local,
    "ray": cluster,
}
