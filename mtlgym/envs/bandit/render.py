"""Rendering of a bandit's episode, as a picture or as a table."""

import io
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mtlgym.envs.bandit.arms import Bandit
from mtlgym.envs.bandit.scores import Scores


@dataclass
class BanditHistory:
    """The pulls of an episode that are rendered.

    Attributes:
        pulled: the arm of each pull.
        scores: all arms' scores after each pull.
    """

    pulled: list[int] = field(default_factory=list)
    scores: list[list[float]] = field(default_factory=list)

    def add(self, arm: int, scores: list[float]) -> None:
        """Add one pull."""
        self.pulled.append(arm)
        self.scores.append(scores)

    def shares(self, arms: int) -> NDArray[np.float64]:
        """Each arm's share of the pulls, (arms,); zeros before the first one."""
        counts = np.bincount(np.array(self.pulled, np.int64), minlength=arms)
        return counts / max(len(self.pulled), 1)

    def state_dict(self) -> dict[str, Any]:
        """All pulls, as arrays."""
        return {"pulled": np.array(self.pulled, np.int64), "scores": np.array(self.scores)}

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> "BanditHistory":
        """The history of a state returned by `state_dict`."""
        return cls(state["pulled"].tolist(), state["scores"].tolist())


def draw_picture(history: BanditHistory, tasks: tuple[str, ...], step: int) -> NDArray[np.uint8]:
    """The scores over the pulls up to this step, and their mean, (240, 320, 3)."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg  # its import takes a while
    from matplotlib.figure import Figure

    figure = Figure(figsize=(3.2, 2.4), dpi=100, layout="constrained")
    canvas = FigureCanvasAgg(figure)
    axes = figure.subplots()
    pulls = len(history.scores)
    steps = np.arange(step - pulls + 1, step + 1)
    scores = np.reshape(history.scores, (pulls, len(tasks)))
    for task, curve in zip(tasks, scores.T, strict=True):
        axes.plot(steps, curve, label=task, linewidth=0.8)
    axes.plot(steps, scores.mean(axis=1), label="mean", color="black", linewidth=1.2)
    axes.set(xlabel="step", ylabel="score", ylim=(0.0, 1.0))
    if len(tasks) <= 10:  # more would hide the curves
        axes.legend(fontsize="xx-small", ncols=3, loc="upper left")
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].copy()


def format_table(
    history: BanditHistory, tasks: tuple[str, ...], bandit: Bandit, scores: Scores
) -> str:
    """The latest scores, the oracle, and each arm's share of the pulls so far, as text."""
    from rich.console import Console
    from rich.table import Table

    mean = scores.values()["mean_score"]
    rows = Table("arm", "score", "oracle", "pulls", title=f"step {scores.step}, mean {mean:.4f}")
    columns = (tasks, scores.arms, bandit.oracle, history.shares(len(tasks)))
    for task, score, oracle, share in zip(*columns, strict=True):
        rows.add_row(task, f"{score:.4f}", f"{oracle:.1%}", f"{share:.1%}")
    text = io.StringIO()
    Console(file=text, width=80).print(rows)
    return text.getvalue()
