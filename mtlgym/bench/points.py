"""Lines of what runs came to, against a number that they differ in."""

from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes

from mtlgym.bench import plots

Points = Mapping[float, list[float]]  # where runs stand on the axis -> a value a run, at least one


def draw(axes: Axes, points: Points, label: str, index: int) -> None:
    """The mean over the runs at each place, with their range shaded."""
    x = sorted(points)
    middle = [np.mean(points[place]) for place in x]
    low, high = ([end(points[place]) for place in x] for end in (min, max))
    axes.plot(x, middle, marker="o", label=label, **plots.line(index))
    axes.fill_between(x, low, high, alpha=0.15, color=plots.line(index)["color"])
