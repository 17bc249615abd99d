"""Figures that compare agents: quality against time, aggregates, profiles, probabilities."""

from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mtlgym.report.measures import DELTA, GAIN, TIME, Measures
from mtlgym.report.plots import style
from mtlgym.report.plots.style import Palette
from mtlgym.report.statistics import Estimate, Profile
from mtlgym.report.text import in_figure

Estimates = Mapping[str, Estimate]  # agent -> estimate


def trade_off(found: Measures, reference: str, palette: Palette) -> Figure:
    """Delta_m, or the improvement where there is none, against relative training time."""
    quality = DELTA if any(DELTA in figures for figures in found.values()) else GAIN
    figure, axes = style.panel()
    for name, figures in found.items():
        if {TIME, quality} <= set(figures):
            x, y = figures[TIME], figures[quality]
            axes.errorbar(
                x.mean,
                y.mean,
                xerr=np.nan_to_num(x.half_width),
                yerr=np.nan_to_num(y.half_width),
                label=in_figure(name),
                elinewidth=1,
                **style.point(palette[name]),
            )
    low = "Δm [%], lower is better"
    high = f"improvement over {in_figure(reference)} [%]"
    label = f"training time, {in_figure(reference)} = 1"
    axes.set(xlabel=label, ylabel=low if quality == DELTA else high)
    _legend(axes)
    return figure


def forest(panels: Mapping[str, Estimates], palette: Palette, label: str) -> Figure:
    """A panel for each statistic: each agent's value and interval; 0 is the reference."""
    names = list(next(iter(panels.values())))
    size = (2.6 * len(panels) + 1.2, 0.32 * len(names) + 1.1)
    figure = Figure(figsize=size, layout="constrained")
    grid = figure.subplots(1, len(panels), sharey=True, squeeze=False)[0]
    for axes, (title, estimates) in zip(grid, panels.items(), strict=True):
        _rows(axes, estimates, palette)
        axes.axvline(0, color="#444444", linewidth=0.8)
        axes.set_title(title)
    figure.supxlabel(label, fontsize=9)
    return figure


def probabilities(estimates: Estimates, palette: Palette, label: str) -> Figure:
    """Each agent's probability of improvement and its interval; 1/2 is no difference."""
    figure, axes = style.panel((6.5, 0.32 * len(estimates) + 1.1))
    _rows(axes, estimates, palette)
    axes.axvline(0.5, color="#444444", linewidth=0.8)
    axes.set(xlim=(-0.02, 1.02), xlabel=label)
    return figure


def profiles(found: Mapping[str, Profile], palette: Palette, label: str) -> Figure:
    """The share of runs above each score, a line for each agent, with its pointwise intervals."""
    figure, axes = style.panel()
    for name, profile in found.items():
        look = style.line(palette[name])
        x = profile.thresholds
        axes.plot(x, profile.share, label=in_figure(name), drawstyle="steps-post", **look)
        if np.isfinite(profile.low).all():
            ends = (profile.low, profile.high)
            axes.fill_between(x, *ends, alpha=0.12, color=look["color"], step="post", linewidth=0)
    axes.set(xlabel=label, ylabel="share of runs above it", ylim=(-0.02, 1.02))
    _legend(axes)
    return figure


def _rows(axes: Axes, estimates: Estimates, palette: Palette) -> None:
    """A row for each agent, the first one on top."""
    for place, (name, each) in enumerate(estimates.items()):
        ends = np.nan_to_num([[each.value - each.low], [each.high - each.value]])
        look = style.point(palette[name])
        axes.errorbar(each.value, place, xerr=np.maximum(ends, 0), elinewidth=2, **look)
    axes.set_yticks(range(len(estimates)), [in_figure(name) for name in estimates])
    axes.set_ylim(len(estimates) - 0.5, -0.5)
    axes.grid(axis="y", visible=False)


def _legend(axes: Axes) -> None:
    if axes.get_legend_handles_labels()[0]:
        axes.legend(loc="center left", bbox_to_anchor=(1.01, 0.5), fontsize=8)
