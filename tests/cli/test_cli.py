import json

import pytest

from mtlgym.bench.runs.options import parse_options
from mtlgym.cli.main import main
from mtlgym.presets.environments import presets
from mtlgym.presets.published import tables
from mtlgym.report.run_tables import RESULTS

ENV = "MTL-QM9-Mini-v0"
TINY = ["--set", "batch_size=250", "steps=8", "scheduler=constant", "validate_steps=4"]
TINY += ["dim=4", "edge_hidden=2"]
FEW = [*TINY, 'tasks=["mu","homo","cv"]']  # so that there is less to plot


def test_list_names_every_id(capsys):
    assert main(["list"]) == 0
    out = capsys.readouterr().out
    assert all(id in out for id in presets())
    assert all(name in out for name in tables())


def test_train_writes_a_result_and_is_not_run_twice(tmp_path, capsys):
    arguments = ["train", "--env", ENV, "--agent", "igbv1", "--out", str(tmp_path), *TINY]
    assert main(arguments) == 0
    first = json.loads(capsys.readouterr().out)
    assert main(arguments) == 0
    assert json.loads(capsys.readouterr().out) == first
    assert first["steps"] == 8


@pytest.mark.parametrize("jobs", ["1", "2"])
def test_bench_writes_results_tables_and_plots(jobs, tmp_path, capsys):
    arguments = ["bench", "--env", ENV, "--agents", "equal", "uw", "--seeds", "0", "1"]
    assert main([*arguments, "--jobs", jobs, "--out", str(tmp_path), *FEW]) == 0
    assert "uw" in capsys.readouterr().out
    folder = tmp_path / ENV
    assert len((folder / RESULTS).read_text().splitlines()) == 4
    pictures = ("learning-curves.png", "weights.png", "trade-off.png")
    assert all((folder / name).read_bytes().startswith(b"\x89PNG") for name in pictures)
    assert "[meV]" in (folder / "table.md").read_text()
    assert main(["bench", "--env", ENV, "--agents", "gls", "--out", str(tmp_path), *FEW]) == 0
    table = (folder / "table.csv").read_text()  # what was finished before is still in it
    assert all(f",{agent}," in table for agent in ("equal", "uw", "gls"))


def test_stl_prints_a_baseline_for_every_metric(tmp_path, capsys):
    options = [*TINY[:1], 'tasks=["mu","cv"]', *TINY[1:]]
    assert main(["bench", "--env", ENV, "--stl", "--out", str(tmp_path), *options]) == 0
    text = capsys.readouterr().out
    assert '"mu/mae" = ' in text
    assert '"cv/mae" = ' in text
    assert "u0" not in text


@pytest.mark.parametrize("env", [ENV, "MTL-QM9-v0"])
def test_check_passes_and_says_what(env, capsys):
    assert main(["check", "--env", env, *TINY, "--steps", "2"]) == 0
    assert capsys.readouterr().out.count("passed") == 4


def test_data_status_and_verify(capsys):
    assert main(["data", "status"]) == 0
    assert "qm9" in capsys.readouterr().out
    assert main(["data", "verify"]) == 0
    assert "sound" in capsys.readouterr().out


def test_options_are_json_or_text():
    assert parse_options(["lr=5e-4", "data=real", 'tasks=["mu"]']) == {
        "lr": 5e-4,
        "data": "real",
        "tasks": ["mu"],
    }


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["train", "--env", "MTL-QM8-v0"], "Did you mean 'MTL-QM9-v0'"),
        (["train", "--env", ENV, "--agent", "igbv3"], "Did you mean"),
        (["bench", "--env", ENV, "--agents", "equal", "wu"], "unknown agent 'wu'"),
        (["bench", "--env", ENV, "--jobs", "0"], "`jobs`"),
        (["bench", "--env", ENV, "--agents", "fixed:weights=[1,2]"], "weights"),
        (["bench"], "one of `--env` and `--preset`"),
        (["bench", "--env", ENV, "--preset", "igb-table2"], "one of `--env` and `--preset`"),
        (["bench", "--env", ENV, "--rows", "EW"], "`--rows`"),
        (["bench", "--preset", "igb-table2", "--agents", "uw"], "`--agents`"),
        (["bench", "--preset", "igb-table5"], "Did you mean 'igb-table"),
        (["bench", "--preset", "igb-table2", "--rows", "nash"], "Did you mean 'Nash'"),
        (["bench", "--preset", "igb-table1", "--rows", "IGBv1+Nash"], "mean 'IGBv1 + Nash'"),
        (["bench", "--preset", "igb-table2", "--set", "epoch=3"], "Did you mean 'epochs'"),
        (["bench", "--preset", "igb-table2", "--set", "data=real"], "`--data`"),
        (["train", "--env", ENV, "--checkpoint-every", "0"], "`checkpoint_every`"),
        (["train", "--env", ENV, "--threads", "0"], "`threads`"),
        (["train", "--env", ENV, "--set", "lr"], "KEY=VALUE"),
        (["train", "--env", ENV, "--set", "epoch=3"], "Did you mean 'epochs'"),
        (["train", "--env", ENV, "--set", "data=reel"], "Did you mean 'real'"),
        (["train", "--env", ENV, "--set", 'tasks=["alpa"]'], "Did you mean 'alpha'"),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_1(arguments, message, tmp_path, capsys):
    assert main([*arguments, "--out", str(tmp_path)]) == 1
    captured = capsys.readouterr()
    assert message in captured.err
    assert "Traceback" not in captured.err


def test_a_mistake_does_not_claim_the_folder(tmp_path):
    arguments = ["train", "--env", ENV, "--agent", "equal", "--out", str(tmp_path)]
    assert main([*arguments, *TINY, "epoch=1"]) == 1
    assert main([*arguments, *TINY]) == 0


def test_a_folder_that_cannot_be_written_is_named(tmp_path, capsys):
    blocked = tmp_path / "file"
    blocked.write_text("")
    assert main(["train", "--env", ENV, "--out", str(blocked), *TINY]) == 1
    assert str(blocked) in capsys.readouterr().err


def test_wrong_usage_is_exit_code_2():
    with pytest.raises(SystemExit) as stop:
        main(["train"])
    assert stop.value.code == 2
