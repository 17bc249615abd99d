"""A run as a picture or as a table."""

import io
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from mtlgym.envs.history import History
from mtlgym.record import Record


def draw(history: History, tasks: tuple[str, ...]) -> NDArray[np.uint8]:
    """Losses, weights and reward over the steps, (480, 640, 3)."""
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


def table(record: Record, history: History, tasks: tuple[str, ...]) -> str:
    """The latest losses and weights, a row a task."""
    reward = f"{history.rewards[-1]:.4g}" if history.rewards else "-"
    title = f"step {record.step}, epoch {record.epoch}, lr {record.lr:.3g}, reward {reward}"
    rows = Table("task", "loss", "weight", title=title)
    info: dict[str, Any] = record.to_info()
    for task, loss, weight in zip(tasks, info["losses"], info["weights"], strict=True):
        rows.add_row(task, f"{loss:.4g}", f"{weight:.4g}")
    text = io.StringIO()
    Console(file=text, width=80).print(rows)
    return text.getvalue()
