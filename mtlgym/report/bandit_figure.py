"""A figure of policies on many bandits: its table and its plots, from the results of its cells."""

import csv
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray
from rich.table import Table

from mtlgym.io.atomic import write_atomically
from mtlgym.presets.published import FigurePreset
from mtlgym.report.plots import style

Log = Sequence[Mapping[str, Any]]  # the rows of a run's log


@dataclass(frozen=True, eq=False)
class PolicyCurves:
    """The last episode of a policy on every oracle with every seed.

    Attributes:
        label: the row of the preset.
        agent: the policy's spec.
        steps: pulls at each point, (points,).
        scores: the mean score over arms, (points, oracles, seeds).
        gains: the sum of the gains of the arms pulled, (points, oracles, seeds).
        pulls: each arm's share of the pulls, (oracles, seeds, arms).
    """

    label: str
    agent: str
    steps: NDArray[np.int64]
    scores: NDArray[np.float64]
    gains: NDArray[np.float64]
    pulls: NDArray[np.float64]

    @classmethod
    def of(cls, result: Mapping[str, Any], log: Log) -> "PolicyCurves":
        """The curves of a finished cell of kind `bandits`, which start at 0."""
        shape = (result["bandits"]["oracles"], len(result["bandits"]["seeds"]))

        def points(key: str) -> NDArray[np.float64]:
            values = np.array([row[key] for row in log]).reshape(-1, *shape)
            return np.concatenate([np.zeros((1, *shape)), values])

        return cls(
            label=result["label"],
            agent=result["agent"],
            steps=np.array([0, *(row["step"] for row in log)]),
            scores=points("mean_scores"),
            gains=points("gained"),
            pulls=np.reshape([each["pulls"] for each in result["bandits_results"]], (*shape, -1)),
        )

    @property
    def final(self) -> NDArray[np.float64]:
        """The mean scores at the end, (oracles, seeds)."""
        return self.scores[-1]


HIGH, LOW = "oracle", "uniform"  # agents between which a gap is closed
TITLES = ("policy", "score", "lowest", "highest", "gap closed", "its range")

Policies = Sequence[PolicyCurves]


def lines(policies: Policies) -> list[list[str]]:
    """A line a policy: medians over seeds, their median and range over oracles, and the gap closed.

    The gap that a policy closes on an oracle is (policy - uniform) / (oracle - uniform), of the
    medians over seeds of the final mean scores; "-" without these two policies.
    """
    medians = {p.agent: np.median(p.final, axis=1) for p in policies}
    found = []
    for policy in policies:
        mine = np.median(policy.final, axis=1)  # (oracles,)
        line = [policy.label, *(f"{f(mine):.4f}" for f in (np.median, np.min, np.max))]
        if HIGH in medians and LOW in medians:
            gaps = medians[HIGH] - medians[LOW]
            closed = (mine - medians[LOW])[gaps != 0] / gaps[gaps != 0]
        else:
            closed = np.empty(0)
        if len(closed):
            line += [f"{np.median(closed):.2f}", f"{closed.min():.2f} to {closed.max():.2f}"]
        else:
            line += ["-", "-"]
        found.append(line)
    return found


def caption(figure: FigurePreset, policies: Policies) -> str:
    """What the figures are of."""
    oracles, seeds = policies[0].final.shape
    return (
        f"{figure.name}: {figure.title}. {figure.env}, {policies[0].steps[-1]} steps, {oracles} "
        f"oracles, {seeds} seeds. Final mean scores, medians over seeds: median and range over "
        "oracles"
    )


def markdown(figure: FigurePreset, policies: Policies) -> str:
    """The table as Markdown, with what it was made from."""
    table = [list(TITLES), ["---"] * len(TITLES), *lines(policies)]
    body = "\n".join(f"| {' | '.join(line)} |" for line in table)
    return f"{caption(figure, policies)}\n\n{body}\n"


def curves(policies: Policies) -> Figure:
    """The mean score over the steps, a panel an oracle: median of the seeds, all of them shaded.

    Source: Glover and Hokamp (2019), Figure 1.
    """
    picture, panels = style.grid(policies[0].final.shape[0])
    for oracle, axes in enumerate(panels):
        for index, policy in enumerate(policies):
            style.band(axes, policy.steps, policy.scores[:, oracle], policy.label, index)
        axes.set(title=f"oracle {oracle}", xlabel="step", ylabel="mean score")
    style.legend(picture, panels[0])
    return picture


def regret(policies: Policies) -> Figure:
    """How far a policy's gains, added up, are below the oracle's of the same bandit and seed.

    Below 0 where it is ahead; median and range as in `curves`.
    """
    best = next((p for p in policies if p.agent == HIGH), policies[0])
    picture, panels = style.grid(best.final.shape[0])
    for oracle, axes in enumerate(panels):
        for index, policy in enumerate(policies):
            behind = best.gains[:, oracle] - policy.gains[:, oracle]
            style.band(axes, policy.steps, behind, policy.label, index)
        axes.set(title=f"oracle {oracle}", xlabel="step", ylabel=f"regret against {best.label}")
    style.legend(picture, panels[0])
    return picture


def pulls(policies: Policies, oracles: np.ndarray) -> Figure:
    """Each arm's share of the pulls beside the oracle's, a panel an oracle; means over seeds."""
    picture, panels = style.grid(len(oracles))
    for oracle, axes in enumerate(panels):
        shares = {p.label: p.pulls[oracle].mean(axis=0) for p in policies}
        names = [str(arm) for arm in range(oracles.shape[1])]
        style.bars(axes, {"the distribution itself": oracles[oracle]}, shares, names)
        axes.set(title=f"oracle {oracle}", xlabel="arm", ylabel="share of pulls")
    style.legend(picture, panels[0])
    return picture


def lines_of(results: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """A line a bandit of each cell, for results.jsonl."""
    return [
        {
            "env": result["env"],
            "label": result["label"],
            "agent": result["agent"],
            "oracle": each["oracle"],
            "seed": each["seed"],
            "steps": result["steps"],
            "score": each["score"],
            "pulls": each["pulls"],
        }
        for result in results
        for each in result["bandits_results"]
    ]


def terminal(figure: FigurePreset, policies: Policies) -> Table:
    """The table for the terminal."""
    table = Table(title=caption(figure, policies))
    for title in TITLES:
        table.add_column(title, justify="left" if title == "policy" else "right")
    for line in lines(policies):
        table.add_row(*line)
    return table


def write(
    figure: FigurePreset,
    results: Sequence[Mapping[str, Any]],
    logs: Sequence[Log],
    folder: Path,
) -> Policies:
    """Write results, tables and plots of a figure's finished cells; give their curves.

    Args:
        figure: the preset that the cells are rows of.
        results: of the cells.
        logs: of the cells.
        folder: where the files go.
    """
    policies = [PolicyCurves.of(*each) for each in zip(results, logs, strict=True)]
    folder.mkdir(parents=True, exist_ok=True)
    rows = "".join(json.dumps(line) + "\n" for line in lines_of(results))
    write_atomically(folder / "results.jsonl", rows.encode())
    write_atomically(folder / "table.md", markdown(figure, policies).encode())
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([TITLES, *lines(policies)])
    write_atomically(folder / "table.csv", text.getvalue().encode())
    style.write(curves(policies), folder / "scores.png")
    style.write(regret(policies), folder / "regret.png")
    distributions = np.array(results[0]["distributions"])
    style.write(pulls(policies, distributions), folder / "pulls.png")
    return policies
