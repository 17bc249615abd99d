"""Rendering of an episode, as a picture or as a table."""

import io
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mtlgym.record import Record


@dataclass
class TrainingHistory:
    """The steps of an episode that are rendered.

    Attributes:
        losses: an array, (tasks,), a step.
        weights: an array, (tasks,), a step.
        rewards: a number a step.
    """

    losses: list[NDArray[np.float64]] = field(default_factory=list)
    weights: list[NDArray[np.float64]] = field(default_factory=list)
    rewards: list[float] = field(default_factory=list)

    def add(self, record: Record, reward: float) -> None:
        """Add one step."""
        info = record.to_info()
        self.losses.append(info["losses"])
        self.weights.append(info["weights"])
        self.rewards.append(reward)

    def state_dict(self) -> dict[str, Any]:
        """All steps, as arrays."""
        return {
            "losses": np.array(self.losses),
            "weights": np.array(self.weights),
            "rewards": np.array(self.rewards),
        }

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> "TrainingHistory":
        """The history of a state returned by `state_dict`."""
        return cls(list(state["losses"]), list(state["weights"]), state["rewards"].tolist())


def draw_picture(history: TrainingHistory, tasks: tuple[str, ...]) -> NDArray[np.uint8]:
    """Draw losses, weights and reward over the steps, (480, 640, 3)."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg  # its import takes a while
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.4, 4.8), dpi=100, layout="constrained")
    canvas = FigureCanvasAgg(figure)
    top, middle, bottom = figure.subplots(3, sharex=True)
    steps = np.arange(1, len(history.rewards) + 1)
    for axes, rows, label in ((top, history.losses, "loss"), (middle, history.weights, "weight")):
        for task, values in zip(tasks, np.reshape(rows, (-1, len(tasks))).T, strict=True):
            axes.plot(steps, values, label=task, linewidth=0.8)
        axes.set_ylabel(label)
    if history.rewards:
        top.set_yscale("log", nonpositive="mask")
    top.legend(fontsize="xx-small", ncols=4, loc="upper right")
    bottom.plot(steps, history.rewards, color="black", linewidth=0.8)
    bottom.set(ylabel="reward", xlabel="step")
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].copy()


def format_table(record: Record, history: TrainingHistory, tasks: tuple[str, ...]) -> str:
    """The latest losses and weights as text, a row a task."""
    from rich.console import Console
    from rich.table import Table

    reward = f"{history.rewards[-1]:.4g}" if history.rewards else "-"
    title = f"step {record.step}, epoch {record.epoch}, lr {record.lr:.3g}, reward {reward}"
    rows = Table("task", "loss", "weight", title=title)
    info: dict[str, Any] = record.to_info()
    for task, loss, weight in zip(tasks, info["losses"], info["weights"], strict=True):
        rows.add_row(task, f"{loss:.4g}", f"{weight:.4g}")
    text = io.StringIO()
    Console(file=text, width=80).print(rows)
    return text.getvalue()
