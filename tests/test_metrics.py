import pytest

from mtlgym.metrics import Metric, delta_m
from mtlgym.presets.environments import preset

METRICS = (Metric("a", "error"), Metric("b", "accuracy", higher_is_better=True))


def test_delta_m_is_the_mean_drop_in_percent():
    values, baseline = {"a/error": 1.5, "b/accuracy": 0.6}, {"a/error": 1.0, "b/accuracy": 0.8}
    assert delta_m(values, baseline, METRICS) == pytest.approx(100 * (0.5 + 0.25) / 2)
    assert delta_m(baseline, baseline, METRICS) == 0.0


def test_delta_m_of_the_published_equal_weights_row_is_the_published_one():
    """Dai et al. (UAI 2023), Table 2, EW: the row gives 177.6."""
    row = {
        "mu": 0.106,
        "alpha": 0.325,
        "homo": 73.57,
        "lumo": 89.67,
        "r2": 5.19,
        "zpve": 14.06,
        "u0": 143.4,
        "u": 144.2,
        "h": 144.6,
        "g": 140.3,
        "cv": 0.128,
    }
    baseline = preset("MTL-QM9-v0").options["baseline"]["values"]
    metrics = [Metric(task, "mae") for task in row]
    values = {f"{task}/mae": value for task, value in row.items()}
    assert delta_m(values, baseline, metrics) == pytest.approx(177.6, abs=0.5)


@pytest.mark.parametrize("missing", ["values", "baseline"])
def test_a_missing_metric_is_named(missing):
    tables = {"values": {"a/error": 1.0, "b/accuracy": 1.0}}
    tables["baseline"] = dict(tables["values"])
    del tables[missing]["b/accuracy"]
    with pytest.raises(ValueError, match=rf"`{missing}` lacks 'b/accuracy'"):
        delta_m(tables["values"], tables["baseline"], METRICS)


def test_a_baseline_of_zero_is_refused():
    with pytest.raises(ValueError, match="baseline of 'a/error' is 0"):
        delta_m({"a/error": 1.0}, {"a/error": 0.0}, METRICS[:1])
