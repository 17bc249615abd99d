"""Pictures as a report has them: SVG for its page, the same as PNG beside it."""

import base64
import io
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import matplotlib as mpl
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

DPI = 120  # of the PNG
STYLE: Any = {
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


@dataclass(frozen=True, eq=False)
class Picture:
    """A picture with what is said of it.

    Attributes:
        file: its name without an ending.
        title: what it shows, in a few words.
        caption: how to read it.
        alt: what it shows, for those who do not see it.
        note: what its figures must not be compared with; empty for nothing.
        svg: as a `data:` address.
        png: the file's content.
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


def draw(
    make: Callable[[], Figure], file: str, title: str, caption: str, alt: str, note: str = ""
) -> Picture:
    """The picture of a figure, with the note in a corner; the same figure gives the same bytes.

    Args:
        make: gives the figure.
        file: its name without an ending, which no other picture of the page has.
        title: what it shows, in a few words.
        caption: how to read it.
        alt: what it shows, for those who do not see it.
        note: what its figures must not be compared with; empty for nothing.
    """
    with mpl.rc_context({**STYLE, "svg.hashsalt": file}), warnings.catch_warnings():
        # A name may have characters that the picture's font lacks; a box stands for each then.
        warnings.filterwarnings("ignore", message="Glyph .* missing", category=UserWarning)
        warnings.filterwarnings("ignore", message="constrained_layout not applied")
        warnings.filterwarnings("ignore", message="Matplotlib currently does not support")
        figure = make()
        if note:
            figure.suptitle(note, x=0.005, ha="left", fontsize=7.5, color="#8A4B00")
        FigureCanvasAgg(figure)
        _lay_out(figure)
        svg, png = io.BytesIO(), io.BytesIO()
        figure.savefig(png, format="png", dpi=DPI, metadata={"Software": None})
        figure.savefig(svg, format="svg", metadata={"Date": None, "Creator": None})
    width, height = figure.get_size_inches()
    address = "data:image/svg+xml;base64," + base64.b64encode(svg.getvalue()).decode()
    size = (round(96 * width), round(96 * height))
    return Picture(file, title, caption, alt, note, address, png.getvalue(), size)


def _lay_out(figure: Figure) -> None:
    """Place everything once, so that it is not done again for each format."""
    engine = figure.get_layout_engine()
    if engine is not None:
        engine.execute(figure)
        figure.set_layout_engine("none")
