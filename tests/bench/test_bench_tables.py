"""Published tables, run and shown."""

import json

from mtlgym.bench.bench import bench, bench_table
from mtlgym.bench.plan import plan
from mtlgym.bench.runs.cell import LOG, RESULT, SETTINGS, Cell
from mtlgym.bench.runs.execution import Execution
from mtlgym.bench.runs.run import run_cell
from mtlgym.cli.main import main
from mtlgym.io import checked_json
from mtlgym.presets.published import table
from mtlgym.report.run_tables import RunTable

ROOMS = {"filters": [4, 4], "height": 24, "width": 32, "rooms": [8, 4, 4], "batch_size": 2}
MOLECULES = {"dim": 4, "edge_hidden": 2, "batch_size": 8, "steps": 2}
FEW = ["--data", "embedded", "--set", "steps=2", *(f"{k}={v}" for k, v in ROOMS.items())]


def tiny(name, **options):
    """A table of NYUv2 on few small rooms, with a small network."""
    return plan(table(name), "embedded", ROOMS | {"steps": 2} | options)


def result(label, agent, seconds, options=None, env="MTL-NYUv2-v0", data="real", **more):
    return {
        "env": env,
        "agent": agent,
        "seed": 0,
        "options": {"data": data, "metrics": "mtan"} | (options or {}),
        "label": label,
        "data": data,
        "baseline": "somewhere",
        "delta_m": 1.0,
        "test": {},
        "units": {},
        "higher_is_better": {},
        "seconds": seconds,
        "failure": "",
        **more,
    }


STAND_IN = {"env": "MTL-Rooms-v0", "data": "embedded", "stand_in_for": "MTL-NYUv2-v0"}


def shown(*results):
    """The table as Markdown and as CSV."""
    found = RunTable.of(results, table("igb-table1"))
    return found.markdown(), found.csv()


def test_published_figures_stand_beside_results_on_the_real_data_alone():
    markdown, csv = shown(result("EW", "equal", 1.0), result("UW", "uw", 2.0))
    assert "| method | seeds | Δm [%] ↓ | published Δm [%] ↓ | T ↓ | published T ↓ |" in markdown
    assert "| UW | 1 | 1 | 4.09 | 2 | 1 |" in markdown
    assert csv.splitlines()[0].endswith("published delta_m,published T")
    assert csv.count("8.45") == 1
    for mixed in ([], [result("UW", "uw", 2.0)]):
        markdown, csv = shown(result("EW", "equal", 1.0, **STAND_IN), *mixed)
        assert "8.45" not in markdown + csv
        assert "published Δm" not in markdown
        assert "published delta_m" not in csv


def test_the_caption_says_what_stands_in_and_what_was_set():
    markdown, _ = shown(result("EW", "equal", 1.0, {"epochs": 3}, **STAND_IN))
    assert "stand-in for MTL-NYUv2-v0, not comparable with published" in markdown
    assert "igb_table1.toml" in markdown
    assert "epochs = 3" in markdown
    markdown, _ = shown(result("EW", "equal", 1.0))
    assert "stand-in" not in markdown
    assert "metrics" not in markdown


def test_times_are_relative_to_the_row_of_equal_weights_with_no_option_of_its_own():
    clip = {"max_norm": 1.0}
    rows = RunTable.of(
        [
            result("EW, clipped", "equal", 8.0, clip),
            result("EW", "equal", 2.0),
            result("Nash", "nash", 6.0, clip),
        ]
    ).found
    assert {name: figures["T"].mean for name, figures in rows.items()} == {
        "EW, clipped": 4.0,
        "EW": 1.0,
        "Nash": 3.0,
    }
    rows = RunTable.of([result("EW, clipped", "equal", 8.0, clip), result("UW", "uw", 2.0)]).found
    assert all("T" not in figures for figures in rows.values())


def test_without_a_label_cells_say_nothing_of_tables(tmp_path):
    cell = Cell("MTL-QM9-Mini-v0", "dwa:window=2+si", 3, MOLECULES)
    folder = cell.folder(tmp_path)
    assert folder.parent == tmp_path / "MTL-QM9-Mini-v0" / "cells"
    assert list(cell.to_dict()) == ["env", "agent", "seed", "options"]
    found = run_cell(cell, folder)
    assert not {"label", "stand_in_for"} & set(found)
    assert not {"label", "stand_in_for"} & set(checked_json.read(folder / SETTINGS)["settings"])
    assert Cell.of(found) == cell
    rows = RunTable.of([found])
    assert rows.markdown().splitlines()[2].startswith("| agent |")
    assert rows.csv().startswith("env,data,agent,seeds,failed,")


def test_rows_of_one_agent_have_folders_and_lines_of_their_own(tmp_path):
    labels = [row.label for row in table("igb-table3").rows if row.agent == "igbv2"]
    chosen = tiny("igb-table3")
    results = bench_table(chosen, chosen.cells(labels, (0, 1)), tmp_path)
    assert [len({each[key] for each in results}) for key in ("agent", "label", "seed")] == [1, 2, 2]
    assert all(each["stand_in_for"] == "MTL-NYUv2-v0" for each in results)
    assert all((Cell.of(each).folder(tmp_path) / LOG).exists() for each in results)
    lines = (tmp_path / "MTL-Rooms-v0" / "igb-table3" / "table.csv").read_text().splitlines()
    assert len(lines) == 3
    assert all(label in "".join(lines) for label in labels)


def test_tables_share_their_rows_and_leave_other_runs_alone(tmp_path, monkeypatch):
    first, second = tiny("igb-table1"), tiny("igb-table4")
    bench_table(first, first.cells(["UW"]), tmp_path)
    steps = []
    monkeypatch.setattr("mtlgym.bench.runs.run.Run._advance", lambda run: steps.append(run))
    shared = bench_table(second, second.cells(["UW"]), tmp_path)
    assert [each["label"] for each in shared] == ["UW"]
    assert not steps
    monkeypatch.undo()
    options = ROOMS | {"data": "embedded", "steps": 2}
    plain = bench("MTL-Rooms-v0", ["uw"], (0,), tmp_path, options)
    assert [(each["agent"], "label" in each) for each in plain] == [("uw", False)]
    assert bench_table(second, second.cells(["UW"]), tmp_path) == shared


def test_a_table_that_was_cut_short_goes_on(tmp_path, monkeypatch):
    def stop(run):
        if run.cell.label == "Nash" and run.step == 3:
            raise KeyboardInterrupt

    chosen = tiny("igb-table1", steps=5)
    cells = chosen.cells(["UW", "Nash"])
    for cell in cells:
        try:
            run_cell(cell, cell.folder(tmp_path), stop, checkpoint_every=2)
        except KeyboardInterrupt:
            assert not (cell.folder(tmp_path) / RESULT).exists()
    resumed = bench_table(chosen, cells, tmp_path, Execution(checkpoint_every=2))
    whole = bench_table(chosen, cells, tmp_path / "whole", Execution(checkpoint_every=2))
    for each in (*resumed, *whole):
        del each["seconds"]
    assert resumed == whole
    assert len(resumed) == 2
    assert len(bench_table(chosen, chosen.cells(["EW"]), tmp_path)) == 3  # the finished stay


def test_the_command_runs_rows_of_a_preset_and_says_what_stands_in(tmp_path, capsys):
    arguments = ["bench", "--preset", "igb-table1", "--rows", "EW", "IGBv1 + Nash", *FEW]
    assert main([*arguments, "--out", str(tmp_path)]) == 0
    text = capsys.readouterr().out
    assert "MTL-Rooms-v0 stands in for MTL-NYUv2-v0" in text
    assert "-3.71" not in text
    folder = tmp_path / "MTL-Rooms-v0" / "igb-table1"
    assert "IGBv1 + Nash" in (folder / "table.md").read_text()
    written = [json.loads(line) for line in (folder / "results.jsonl").read_text().splitlines()]
    assert [each["label"] for each in written] == ["EW", "IGBv1 + Nash"]
    assert all(each["data"] == "embedded" for each in written)
    assert (folder / "trade-off.png").exists()
