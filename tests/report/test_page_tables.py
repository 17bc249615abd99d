"""What a report's tables, sentences and CSV say of runs."""

import csv
import io

import numpy as np
import pytest

from mtlgym.presets.published import tables as presets
from mtlgym.report import page, tables
from mtlgym.report.measures import (
    PROBABILITY,
    Measure,
    aggregate,
    blocks,
    gains,
    measure_agents,
    regrets,
)
from mtlgym.report.sections import EMBEDDED
from mtlgym.report.text import clean, in_figure, in_spreadsheet
from tests.report import page_runs
from tests.report.page_runs import entries, runs_of, sectioned


def rows_of(text):
    return list(csv.DictReader(io.StringIO(text)))


def published(**changes):
    preset = presets()["igb-table1"]
    row = next(row for row in preset.rows if row.published)
    options = {**preset.options_of(row, real=True), **changes.pop("options", {})}
    said = {"env": preset.env, "label": row.label, "options": options, "data": "real"}
    agent = changes.pop("agent", row.agent)
    (section,) = sectioned(page_runs.result(agent, 0, **{**said, **preset.needs, **changes}))
    heads = [c.title for c in tables.environment(section, measure_agents(section)).columns]
    return [head for head in heads if "published" in head]


def test_the_table_has_means_intervals_and_failures():
    failed = page_runs.result("uw", 3, failure="broke", delta_m=None)
    (section,) = sectioned(*runs_of(["equal", "uw"], seeds=3), failed)
    table = tables.environment(section, measure_agents(section))
    assert table.note == EMBEDDED
    row = entries(table)["uw"]
    deltas = [run.result["delta_m"] for run in section.agents["uw"][:3]]
    assert row["Δm [%] ↓"].text == str(Measure.of(deltas))
    assert row["Δm [%] ↓"].hint == "3 of 4 runs"
    assert row["Δm [%] ↓"].value == pytest.approx(np.mean(deltas))
    assert (row["runs"].text, row["failed"].text) == ("4", "1")
    assert entries(table)["equal"]["T ↓"].value == pytest.approx(1)
    assert page.failures(section.runs) == ["uw, seed 3: broke"]


def test_one_run_has_no_interval_and_the_page_says_so():
    (section,) = sectioned(page_runs.result("uw", 0))
    row = entries(tables.environment(section, measure_agents(section)))["uw"]
    assert "±" not in row["Δm [%] ↓"].text
    assert "no intervals" in page.how_to_read(section)
    assert blocks([section]) == []


def test_what_was_tuned_is_said_and_what_was_not_too():
    tuned = {"agent": "si", "settings": {"lr": 0.1}, "trials": 7, "by": "validation"}
    found = sectioned(page_runs.result("si:lr=0.1", 0, tuned=tuned), page_runs.result("uw", 0))
    rows = entries(tables.tuning(found))
    assert [rows["si:lr=0.1"][k].text for k in ("tuned", "chosen settings", "trials")] == [
        "tuned",
        "lr = 0.1",
        "7",
    ]
    assert rows["uw"]["tuned"].text == "untuned"


def test_a_bandits_shortfall_is_what_its_score_lacks_of_one():
    (section,) = sectioned(*runs_of(["uniform"], seeds=1, kind="bandit"))
    score = section.results[0]["test"]["score"]
    (row,) = tables.bandit(section).rows
    assert row[2].value == pytest.approx(1 - score)


def test_a_bandits_regret_is_what_its_gains_are_below_the_oracles_of_the_same_seed():
    gains = {"oracle": (10.0, 20.0), "exp3s": (7.0, 21.0)}
    runs = [
        page_runs.result(agent, seed, "bandit", gained=each[seed])
        for agent, each in gains.items()
        for seed in (0, 1)
    ]
    (section,) = sectioned(*runs)
    rows = entries(tables.bandit(section))
    assert rows["oracle"]["regret ↓"].value == 0
    assert rows["exp3s"]["regret ↓"].value == pytest.approx((3 - 1) / 2)
    other = [{**run, "options": {"steps": 3}} for run in runs[2:]]  # no oracle ran with these
    assert regrets(sectioned(*runs[:2], *other)[0])["exp3s"] == []


def test_published_figures_stand_beside_runs_of_their_protocol_alone():
    assert published()
    assert not published(data="embedded")
    assert not published(options={"epochs": 1})
    assert not published(env="MTL-Rooms-v0")
    assert not published(agent="another")


def test_csv_has_a_row_a_run_and_an_agent_and_marks_embedded_data():
    found = sectioned(*runs_of(["equal", "uw"], seeds=3), *runs_of(["exp3s"], kind="bandit"))
    runs = rows_of(tables.runs_csv(found))
    assert [(r["name"], r["seed"]) for r in runs[:3]] == [
        ("exp3s", "0"),
        ("exp3s", "1"),
        ("equal", "0"),
    ]
    assert [r["note"] for r in runs] == [""] * 2 + [EMBEDDED] * 6
    assert float(runs[-1]["gain"]) == pytest.approx(gains(found[1])["uw"][2])
    agents = rows_of(tables.agents_csv(found, [measure_agents(section) for section in found]))
    row = next(r for r in agents if r["name"] == "uw")
    interval = measure_agents(found[1])["uw"]["delta_m"]
    assert float(row["delta_m high"]) == pytest.approx(interval.mean + interval.half_width)
    assert row["note"] == EMBEDDED
    over = rows_of(tables.aggregates_csv([aggregate(blocks(found)[0], np.random.default_rng(0))]))
    assert {r["statistic"] for r in over} == {"mean", "median", "IQM", PROBABILITY}
    assert all(r["note"] == EMBEDDED for r in over)


def test_texts_of_others_are_made_fit_for_where_they_go():
    assert clean("a\x00b\u202ec\ud800") == "a\ufffdb\ufffdc\ufffd"
    assert in_figure("_a $x$") == " _a \\$x\\$"
    assert len(in_figure("x" * 500)) < 40
    assert [in_spreadsheet(t) for t in ("=1+1", "@a", "uw")] == ["'=1+1", "'@a", "uw"]


def test_a_result_of_an_id_that_is_not_registered_here_keeps_its_kind():
    runs = runs_of(["equal", "uw"], env="MTL-Elsewhere-v0")
    for kind, shown in (({"kind": "routing"}, "routing"), ({}, "training")):
        results = [{k: v for k, v in run.items() if k != "kind"} | kind for run in runs]
        (section,) = sectioned(*results)
        assert section.kind == shown
