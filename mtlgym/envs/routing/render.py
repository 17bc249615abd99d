"""Rendering of the latest decisions of each task, as a picture or as a table."""

import io

import numpy as np
from numpy.typing import NDArray


def shares(counts: NDArray[np.int64]) -> NDArray[np.float64]:
    """Each action's share of a task's decisions at a depth; zeros without decisions."""
    return counts / np.maximum(counts.sum(axis=2, keepdims=True), 1)


def draw_picture(counts: NDArray[np.int64], tasks: tuple[str, ...]) -> NDArray[np.uint8]:
    """Draw the shares of `counts`, (tasks, depths, actions), a panel a depth, (240, 480, 3)."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg  # its import takes a while
    from matplotlib.figure import Figure

    figure = Figure(figsize=(4.8, 2.4), dpi=100, layout="constrained")
    canvas = FigureCanvasAgg(figure)
    panels = figure.subplots(1, counts.shape[1], squeeze=False)[0]
    for depth, axes in enumerate(panels):
        axes.imshow(shares(counts)[:, depth], vmin=0.0, vmax=1.0, aspect="auto", cmap="viridis")
        axes.set(xlabel="action", title=f"depth {depth}", yticks=[])
    panels[0].set_yticks(range(len(tasks)), tasks, fontsize="xx-small")
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].copy()


def format_table(counts: NDArray[np.int64], tasks: tuple[str, ...]) -> str:
    """Each task's most frequent action at each depth with its share, as text."""
    from rich.console import Console
    from rich.table import Table

    rows = Table("task", *(f"depth {depth}" for depth in range(counts.shape[1])))
    for task, by_depth in zip(tasks, shares(counts), strict=True):
        rows.add_row(task, *(f"{each.argmax()} ({each.max():.0%})" for each in by_depth))
    text = io.StringIO()
    Console(file=text, width=80).print(rows)
    return text.getvalue()
