"""What a report's figures draw."""

from typing import Any

import numpy as np
import pytest

from mtlgym.report.measures import measure_agents
from mtlgym.report.plots import comparisons, curves
from mtlgym.report.plots.style import page_figure
from mtlgym.report.statistics import Estimate, thresholds
from tests.report import page_runs
from tests.report.page_runs import runs_of, sectioned

PALETTE = {"equal": 0, "uw": 1, "uniform": 2}


def rows(values, unit="step"):
    """A log of two tasks whose score and losses are these."""
    return [
        {unit: k, "score": v, "losses": [v, v], "weights": [1.0, 1.0]}
        for k, v in enumerate(values, start=1)
    ]


def lines(axes):
    return [np.column_stack([line.get_xdata(), line.get_ydata()]).tolist() for line in axes.lines]


def test_a_curve_is_the_mean_of_the_runs_as_far_as_half_of_them_got():
    (section,) = sectioned(*runs_of(["equal"], seeds=4))
    logs = {"equal": [rows([9, 8, 7, 6]), rows([5, 4, 3]), rows([1, 0]), rows([None, 4, 5])]}
    figure = curves.learning_curves(section, logs, PALETTE)
    assert lines(figure.axes[0]) == [[[1, 5.0], [2, 4.0], [3, 5.0]]]
    assert figure.axes[0].get_xlabel() == "step"
    band: Any = figure.axes[0].collections[0].get_paths()[0].vertices
    assert (band[:, 1].min(), band[:, 1].max()) == (0, 9)


def test_a_long_curve_is_thinned_and_keeps_its_ends():
    (section,) = sectioned(*runs_of(["equal"], seeds=1))
    logs = {"equal": [rows(np.linspace(1, 2, 5000).tolist(), "epoch")]}
    ((first, *_, last),) = lines(curves.learning_curves(section, logs, PALETTE).axes[0])
    assert (first, last) == ([1, 1.0], [5000, 2.0])
    assert len(lines(curves.learning_curves(section, logs, PALETTE).axes[0])[0]) == curves.POINTS


@pytest.mark.parametrize(("last", "scale"), [(0.01, "log"), (0.5, "linear"), (0.0, "linear")])
def test_losses_have_a_logarithmic_axis_where_they_span_decades(last, scale):
    (section,) = sectioned(*runs_of(["equal"], seeds=1))
    figure = curves.learning_curves(section, {"equal": [rows([1.0, last])]}, PALETTE)
    assert [axes.get_yscale() for axes in figure.axes] == ["linear", scale, scale]


def test_of_many_tasks_the_first_ones_are_drawn():
    tasks = [f"task {k}" for k in range(20)]
    (section,) = sectioned(*runs_of(["equal"], seeds=1, tasks=tasks))
    logs = {"equal": [[{"epoch": 1, "score": 1.0, "losses": [1.0] * 20}]]}
    figure = curves.learning_curves(section, logs, PALETTE)
    assert len(figure.axes) == curves.PANELS


@pytest.mark.parametrize(
    ("kind", "agent", "label"),
    [("training", "equal", "mean weight"), ("bandit", "uniform", "share of the choices")],
)
def test_decisions_are_weights_or_shares_of_choices(kind, agent, label):
    (section,) = sectioned(*runs_of([agent], kind=kind))
    logs = {agent: [page_runs.log(result) for result in section.results]}
    figure = curves.decisions(section, logs)
    assert figure.axes[0].get_ylabel() == label
    mean = np.mean([[row["weights"][1] for row in log] for log in logs[agent]], axis=0)
    np.testing.assert_allclose(np.array(lines(figure.axes[0])[1])[:, 1], mean)


def test_choices_are_drawn_as_shares_of_stretches_of_a_run():
    (section,) = sectioned(*runs_of(["uniform"], seeds=1, kind="bandit"))
    log = [{"step": k, "weights": [k % 2, 1 - k % 2, 0.0]} for k in range(200)]
    figure = curves.decisions(section, {"uniform": [log]})
    first, *_ = lines(figure.axes[0])
    assert first == [[10 * k, 0.5] for k in range(curves.STRETCHES)]


def test_quality_and_time_are_drawn_where_the_table_has_them():
    (section,) = sectioned(*runs_of(["equal", "uw"]))
    found = measure_agents(section)
    axes = comparisons.trade_off(found, "equal", PALETTE).axes[0]
    drawn = {tuple(line) for each in lines(axes) for line in each if len(each) == 1}
    assert drawn == {(found[name]["T"].mean, found[name]["delta_m"].mean) for name in found}
    assert "Δm" in axes.get_ylabel()


def test_an_estimate_without_an_interval_is_a_point_alone():
    nan = float("nan")
    figure = comparisons.forest(
        {"mean": {"equal": Estimate(2.0, nan, nan), "uw": Estimate(3.0, 1.0, 4.0)}}, PALETTE, ""
    )
    bars: Any = figure.axes[0].collections
    ends = [bar.get_segments()[0][:, 0].tolist() for bar in bars]
    assert ends == [[2.0, 2.0], [1.0, 4.0]]
    names = [text.get_text() for text in figure.axes[0].get_yticklabels()]
    assert names == ["equal", "uw"]


def test_thresholds_lie_around_all_scores():
    tau = thresholds([np.array([3.0, 5.0]), np.array([-1.0])])
    assert tau[0] < -1.0
    assert tau[-1] > 5.0
    one = thresholds([np.array([2.0])])
    assert one[0] < 2.0 < one[-1]


def test_a_picture_is_the_same_bytes_again_and_carries_its_note():
    def make():
        return comparisons.probabilities({"uw": Estimate(0.5, 0.4, 0.6)}, PALETTE, "$a$ <b>")

    first, again = (
        page_figure(make, "file", "title", "caption", "alt", "a note") for _ in range(2)
    )
    plain = page_figure(make, "file", "title", "caption", "alt")
    assert (first.svg, first.png) == (again.svg, again.png)
    assert first.png != plain.png
