"""Names that stand for several presets, and figures that tables publish of single tasks."""

import pytest

from mtlgym.cli import bench
from mtlgym.presets.published import read, tables
from mtlgym.report.run_tables import RunTable

SETS = ("imageclef", "office-caltech", "office-home")
DOMAINS = ("art", "clipart", "product", "real_world")


@pytest.mark.parametrize(
    ("given", "names"),
    [
        ("vmtl-table1", ["vmtl-table1"]),
        ("igb-table1", ["igb-table1"]),
        ("bandit-figure1", ["bandit-figure1"]),
        ("igb", [f"igb-table{i}" for i in range(1, 5)]),
        ("vmtl-table15", [f"vmtl-table15-{name}" for name in SETS]),
    ],
)
def test_a_preset_s_name_is_its_own_or_that_of_all_that_begin_with_it(given, names):
    assert sorted(bench.presets_of(given)) == names


@pytest.mark.parametrize("name", ["vmtl-table", "vmtl-table15-", "vmtl-table17", "vmlt-table7", ""])
def test_a_name_that_begins_no_preset_up_to_a_dash_is_refused(name):
    with pytest.raises(ValueError, match=f"unknown preset '{name}'"):
        bench.presets_of(name)


def test_a_group_s_presets_are_planned_before_the_first_is_run_and_fail_together(monkeypatch):
    planned: list[str] = []
    run: list[str] = []

    class Plan:
        def __init__(self, name):
            self.name = name

        def cells(self, rows, seeds):
            planned.append(self.name)
            return [self.name]

    def table(chosen, cells, *rest):
        assert len(planned) == 3
        run.append(*cells)
        return int("caltech" in chosen.name)

    monkeypatch.setattr(bench, "table", lambda name: name)
    monkeypatch.setattr(bench, "plan", lambda name, data, given: Plan(name))
    monkeypatch.setattr(bench, "_table", table)
    assert bench.bench(preset="vmtl-table15") == bench.FAILED
    assert sorted(run) == bench.presets_of("vmtl-table15")


TEXT = """
name = "x"
title = "X"
env = "MTL-QM9-v0"
stand_in = "MTL-QM9-Mini-v0"
[[rows]]
label = "A"
agent = "equal"
published = { "mu/accuracy" = 1.5 }
"""


@pytest.mark.parametrize(
    ("key", "message"),
    [
        ("mu/acuracy", "unknown figure 'acuracy'. Did you mean 'accuracy'"),
        ("mu/", "unknown figure ''"),
        ("/accuracy", "unknown figure '/accuracy'"),
        ("accuracy", "unknown figure 'accuracy'"),
        ("mu/accuracy/x", "unknown figure 'accuracy/x'"),
    ],
)
def test_a_published_figure_is_a_known_one_or_a_task_s_known_metric(key, message, tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text(TEXT)
    assert read(path).rows[0].published == {"mu/accuracy": 1.5}
    path.write_text(TEXT.replace("mu/accuracy", key))
    with pytest.raises(ValueError, match=r"mine\.toml: row 'A': `published\.") as told:
        read(path)
    assert message in str(told.value)


def finished(row, preset, seed, art):
    test = {"score": 60.0, **{f"{d}/accuracy": 50.0 for d in DOMAINS}}
    return {
        "env": preset.env,
        "agent": row.agent,
        "seed": seed,
        "options": preset.options_of(row, real=True),
        "label": row.label,
        "data": "real",
        "baseline": None,
        "delta_m": None,
        "test": test | {"art/accuracy": art, "art/nll": 1.25},
        "higher_is_better": dict.fromkeys(test, True),
        "units": {**dict.fromkeys(test, "%"), "art/nll": "nats"},
        "seconds": 1.0,
        "feature_width": 4096,
        "failure": "",
    }


def test_published_accuracies_of_domains_stand_beside_ours_on_the_real_data_alone():
    preset = tables()["vmtl-table3"]
    results = [finished(row, preset, s, 40.0 + s) for row in preset.rows for s in (0, 2)]
    found = RunTable.of(results, preset)
    markdown = found.markdown().splitlines()
    titles = markdown[2].strip("| ").split(" | ")
    assert titles[titles.index("art/accuracy [%]") + 1] == "published art/accuracy [%]"
    assert "published art/nll [nats]" not in titles
    line = dict(zip(titles, markdown[4].strip("| ").split(" | "), strict=True))
    assert line["method"] == "STL, 5 %"
    assert line["art/accuracy [%]"] == "41 ± 13"
    assert line["published art/accuracy [%]"] == "36.7"
    assert line["art/nll [nats]"] == "1.25 ± 0"
    names, first = (
        text.split(",") for text in found.csv().replace('"STL, 5 %"', "STL").splitlines()[:2]
    )
    table = dict(zip(names, first, strict=True))
    assert (table["published score"], table["published real_world/accuracy"]) == ("49.2", "61.7")
    assert float(table["art/accuracy ±"]) == pytest.approx(12.706, abs=1e-3)  # Student's t for 1
    embedded = [result | {"data": "embedded"} for result in results]
    assert "published art" not in RunTable.of(embedded, preset).markdown()
