"""How a report groups runs, and what it scores them by."""

import numpy as np
import pytest

from mtlgym.metrics import Metric, delta_m
from mtlgym.report import page, tables
from mtlgym.report.measures import (
    PROBABILITY,
    aggregate,
    blocks,
    gains,
    improvements,
    measure_agents,
)
from mtlgym.report.sections import EMBEDDED
from tests.report import page_runs
from tests.report.page_runs import entries, runs_of, sectioned


def test_runs_on_other_data_are_a_section_of_their_own():
    found = sectioned(
        *runs_of(["equal"]),
        *runs_of(["equal"], data="real"),
        *runs_of(["equal"], stand_in_for="MTL-NYUv2-v0"),
        *runs_of(["uniform"], kind="bandit"),
    )
    assert [(s.env, s.data, s.note) for s in found] == [
        ("MTL-Bandit-v0", "synthetic", ""),
        ("MTL-Rooms-v0", "embedded", EMBEDDED),
        ("MTL-Rooms-v0", "embedded", EMBEDDED),
        ("MTL-Rooms-v0", "real", ""),
    ]
    assert len({section.slug for section in found}) == 4
    assert [section.kind for section in found] == ["bandit", *["training"] * 3]


@pytest.mark.parametrize(
    ("agents", "reference"),
    [(["uw", "uniform", "equal"], "equal"), (["zz", "uniform"], "uniform"), (["b", "a"], "a")],
)
def test_the_reference_is_equal_weights_else_uniform_else_the_first(agents, reference):
    (section,) = sectioned(*runs_of(agents))
    assert section.reference == reference
    assert next(iter(section.agents)) == reference


def test_a_labelled_row_of_equal_weights_is_the_reference_too():
    plain = runs_of(["equal"], label="EW")
    more = runs_of(["equal"], label="EW, annealed", options={"epochs": 3, "anneal": 1})
    (section,) = sectioned(*more, *plain, *runs_of(["uw"], label="UW"))
    assert section.reference == "EW"


def test_runs_that_were_tuned_in_several_ways_have_several_names():
    ways = [{"agent": "equal", "settings": {"lr": lr}, "trials": 9, "by": "val"} for lr in (1, 2)]
    tuned = [page_runs.result("equal", seed, tuned=way) for way in ways for seed in range(2)]
    (section,) = sectioned(*tuned, *runs_of(["equal"], label="EW"))
    assert list(section.agents) == ["EW", "equal 1", "equal 2"]
    assert section.repeated == 0


def test_a_second_run_from_a_seed_does_not_count_twice():
    (section,) = sectioned(*runs_of(["equal"]), page_runs.result("equal", 1))
    assert [run.result["seed"] for run in section.runs] == [0, 1]
    assert section.repeated == 1
    assert "1 run from a seed that had a run is left out" in page.overview([section])


def test_an_improvement_is_minus_delta_m_against_the_references_mean():
    (section,) = sectioned(*runs_of(["equal", "uw", "igbv1"], seeds=3))
    results = [run.result["test"] for run in section.agents["equal"]]
    base = {key: float(np.mean([each[key] for each in results])) for key in results[0]}
    metrics = [Metric("depth", "abs_err"), Metric("normal", "within_30", higher_is_better=True)]
    for name, values in gains(section).items():
        for run, value in zip(section.agents[name], values, strict=True):
            assert value == pytest.approx(-delta_m(run.result["test"], base, metrics))
    found = improvements(section)
    assert found["uw"][0] < 0 < found["igbv1"][2]  # worse, and better


def test_a_mean_score_is_what_improves_where_there_is_one():
    (section,) = sectioned(*runs_of(["uniform", "wpl"], seeds=1, kind="routing"))
    base, other = (section.agents[n][0].result["test"]["score"] for n in ("uniform", "wpl"))
    assert gains(section) == {"uniform": [0.0], "wpl": [pytest.approx(100 * (other / base - 1))]}


def test_a_run_that_lacks_a_metric_has_no_improvement():
    test = {"depth/abs_err": None, "normal/within_30": 0.2}
    (section,) = sectioned(*runs_of(["equal"]), page_runs.result("uw", 0, test=test))
    assert gains(section)["uw"] == [None]
    assert list(improvements(section)) == ["equal"]
    entry = entries(tables.environment(section, measure_agents(section)))["uw"]
    assert entry["depth/abs_err [m] ↓"].text == tables.NONE
    assert entry["normal/within_30 ↑"].text == "0.2"


def test_a_reference_of_zero_leaves_its_metric_out():
    zero = {"depth/abs_err": 0.0, "normal/within_30": 0.1}
    better = {"depth/abs_err": 5.0, "normal/within_30": 0.2}
    (section,) = sectioned(
        page_runs.result("equal", 0, test=zero), page_runs.result("uw", 0, test=better)
    )
    assert gains(section)["uw"] == [pytest.approx(100.0)]


def test_blocks_compare_agents_in_the_environments_that_they_share():
    found = sectioned(
        *runs_of(["equal", "uw", "si"]),
        *runs_of(["equal", "uw"], env="MTL-QM9-Mini-v0"),
        *runs_of(["uniform"], kind="bandit"),
    )
    names = [([s.env for s in b.sections], list(b.scores)) for b in blocks(found)]
    assert names == [
        (["MTL-QM9-Mini-v0", "MTL-Rooms-v0"], ["equal", "uw"]),
        (["MTL-Rooms-v0"], ["equal", "uw", "si"]),
    ]
    assert blocks(found)[0].others == ["uw"]
    assert blocks(found)[0].note == EMBEDDED


def test_an_aggregate_ranks_agents_and_says_what_it_compares_with():
    found = sectioned(*runs_of(["equal", "uw", "longest"], seeds=3))
    made = aggregate(blocks(found)[0], np.random.default_rng(0))
    assert list(made.profiles) == ["longest", "equal", "uw"]
    assert made.statistics["mean"]["equal"].value == pytest.approx(0, abs=1e-9)
    assert made.probabilities["longest"].value == 1.0
    assert list(made.probabilities) == ["longest", "uw"]
    assert made.block.reference == "the mean of equal in the same environment"
    assert entries(tables.aggregates(made))["equal"][f"{PROBABILITY} ↑"].hint == "the reference"
    assert "longest" in page.conclusion(made)
