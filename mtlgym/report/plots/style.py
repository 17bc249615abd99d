"""The look of figures, and how they are saved: as PNG files, and as SVG for the page."""

import base64
import io
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray

from mtlgym.io.atomic import write_atomically

# Okabe and Ito's palette, told apart with any colour vision, then the same with other lines.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#999999")
STYLES = ("-", "--", ":")
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
DPI = 120  # of the page's PNG files
RC: Any = {
    "axes.axisbelow": True,
    "axes.edgecolor": "#8A8A8A",
    "axes.grid": True,
    "axes.labelsize": 9,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlesize": 9,
    "font.size": 9,
    "grid.color": "#E6E6E6",
    "grid.linewidth": 0.6,
    "legend.frameon": False,
    "svg.fonttype": "none",
    "xtick.color": "#444444",
    "xtick.labelsize": 8,
    "ytick.color": "#444444",
    "ytick.labelsize": 8,
}

Palette = Mapping[str, int]  # agent -> the number of its line and its points
Points = Mapping[float, list[float]]  # position on the x-axis -> a value for each run, at least one


@contextmanager
def look(salt: str = "mtlgym") -> Iterator[None]:
    """Draw and save with the settings of reports, without warnings that names can cause.

    Args:
        salt: what ids within an SVG are made from.
    """
    with mpl.rc_context({**RC, "svg.hashsalt": salt}), warnings.catch_warnings():
        # A name may have characters that the font lacks; it has a box for each.
        warnings.filterwarnings("ignore", message="Glyph .* missing", category=UserWarning)
        warnings.filterwarnings("ignore", message="constrained_layout not applied")
        warnings.filterwarnings("ignore", message="Matplotlib currently does not support")
        yield


def write(figure: Figure, path: Path) -> None:
    """Save the figure as PNG, atomically.

    Raises:
        OSError: if it cannot be written; an older file is unchanged.
    """
    FigureCanvasAgg(figure)
    content = io.BytesIO()
    figure.savefig(content, dpi=130, format="png")
    write_atomically(path, content.getvalue())


@dataclass(frozen=True, eq=False)
class PageFigure:
    """A figure of the page with its texts.

    Attributes:
        file: the name of its file, without an ending.
        title: what it shows, in a few words.
        caption: how to read it.
        alt: the text in place of the image, for screen readers.
        note: a warning about comparisons that the data do not allow; empty if there is none.
        svg: the image as a `data:` address.
        png: the content of the file.
        size: width and height in CSS pixels.
    """

    file: str
    title: str
    caption: str
    alt: str
    note: str
    svg: str
    png: bytes
    size: tuple[int, int]


def page_figure(
    make: Callable[[], Figure], file: str, title: str, caption: str, alt: str, note: str = ""
) -> PageFigure:
    """Draw a figure of the page, with the note in a corner; the same figure gives the same bytes.

    Args:
        make: returns the figure.
        file: the name of its file, without an ending; unique on the page.
        title: as in `PageFigure`, like `caption`, `alt` and `note`.
        caption: how to read it.
        alt: the text in place of the image.
        note: a warning, or empty.
    """
    with look(file):
        figure = make()
        if note:
            figure.suptitle(note, x=0.005, ha="left", fontsize=7.5, color="#8A4B00")
        FigureCanvasAgg(figure)
        engine = figure.get_layout_engine()
        if engine is not None:  # once, instead of once for each format
            engine.execute(figure)
            figure.set_layout_engine("none")
        svg, png = io.BytesIO(), io.BytesIO()
        figure.savefig(png, format="png", dpi=DPI, metadata={"Software": None})
        figure.savefig(svg, format="svg", metadata={"Date": None, "Creator": None})
    width, height = figure.get_size_inches()
    address = "data:image/svg+xml;base64," + base64.b64encode(svg.getvalue()).decode()
    size = (round(96 * width), round(96 * height))
    return PageFigure(file, title, caption, alt, note, address, png.getvalue(), size)


def palette_of(names: Sequence[str]) -> dict[str, int]:
    """The numbers of the agents' lines, in this order."""
    return {name: number for number, name in enumerate(names)}


def line(index: int) -> dict[str, Any]:
    """The look of the line of that number."""
    style = STYLES[index // len(COLOURS) % len(STYLES)]
    return {"color": COLOURS[index % len(COLOURS)], "linestyle": style, "linewidth": 1.2}


def point(index: int) -> dict[str, Any]:
    """The look of the point of that number; points of one colour have different markers."""
    marker = MARKERS[(index + index // len(COLOURS)) % len(MARKERS)]
    return {**line(index), "marker": marker, "linestyle": "none"}


def panel(size: tuple[float, float] = (6.5, 4.0)) -> tuple[Figure, Axes]:
    """A figure with one panel."""
    figure = Figure(figsize=size, layout="constrained")
    return figure, figure.add_subplot()


def grid(panels: int) -> tuple[Figure, list[Axes]]:
    """A figure with that many panels."""
    columns = min(panels, 4)
    lines = -(-panels // columns)
    figure = Figure(figsize=(3.2 * columns, 2.4 * lines + 0.5), layout="constrained")
    axes = figure.subplots(lines, columns, squeeze=False).ravel()
    for unused in axes[panels:]:
        unused.set_axis_off()
    return figure, list(axes[:panels])


def legend(figure: Figure, axes: Axes, columns: int = 6) -> None:
    """One legend for all panels, below them: that of one panel."""
    handles, labels = axes.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=columns, fontsize="small")


def band(axes: Axes, x: NDArray[Any], values: NDArray[Any], label: str, index: int) -> None:
    """The median over the runs, (points, runs), with the range of the runs shaded."""
    axes.plot(x, np.median(values, axis=1), label=label, **line(index))
    low, high = values.min(axis=1), values.max(axis=1)
    axes.fill_between(x, low, high, alpha=0.15, color=line(index)["color"])


def mean_and_range(axes: Axes, points: Points, index: int, **more: Any) -> None:
    """The mean over the runs at each position, with the range of the runs shaded."""
    x = sorted(points)
    look = line(index) | more
    axes.plot(x, [np.mean(points[place]) for place in x], **look)
    low, high = ([end(points[place]) for place in x] for end in (min, max))
    if low != high:
        axes.fill_between(x, low, high, alpha=0.15, color=look["color"], linewidth=0)


def bars(
    axes: Axes,
    known: Mapping[str, NDArray[Any]],
    shares: Mapping[str, NDArray[Any]],
    names: Sequence[str],
) -> None:
    """Distributions over the same names side by side; the known ones first, in grey."""
    both = [(*each, "#BBBBBB") for each in known.items()]
    both += [(*e, COLOURS[i % len(COLOURS)]) for i, e in enumerate(shares.items())]
    width, places = 0.8 / len(both), np.arange(len(names))
    for index, (label, values, colour) in enumerate(both):
        offset = (index - (len(both) - 1) / 2) * width
        axes.bar(places + offset, values, width, label=label, color=colour)
    axes.set_xticks(places, names)
