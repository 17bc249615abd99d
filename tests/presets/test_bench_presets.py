"""Table presets: the files, and what they make of a published table."""

import re
from importlib.resources import files
from typing import Any

import numpy as np
import pytest

from mtlgym.bench.plan import plan
from mtlgym.bench.runs.factory import make
from mtlgym.presets.environments import preset
from mtlgym.presets.published import read, table, tables
from tests.bench import routing_toys
from tests.envs.routing import toy_images

ROOMS: dict[str, Any] = {
    "filters": [4, 4],
    "height": 24,
    "width": 32,
    "rooms": [8, 4, 4],
    "batch_size": 2,
}
MOLECULES: dict[str, Any] = {"dim": 4, "edge_hidden": 2, "batch_size": 8}
TEXTS: dict[str, Any] = {"layers": 1, "width": 8, "attention_heads": 1, "batch_size": 2}
DOMAINS: dict[str, Any] = {
    "hidden": 8,
    "latent": 4,
    "samples": 2,
    "batch_size": 25,
    "validate_steps": 2,
}
TINY: dict[str, dict[str, Any]] = {
    "MTL-Emoji-v0": DOMAINS | {"steps": 2},
    "MTL-Rooms-v0": ROOMS | {"steps": 2},
    "MTL-QM9-Mini-v0": MOLECULES | {"steps": 2},
    "MTL-TextMix-v0": TEXTS | {"steps": 2},
    "MTL-Emoji-Routing-v0": toy_images.SMALL,
    "MTL-Fashion-Routing-v0": toy_images.SMALL,
}
ROWS = {  # each once, of those that several tables have
    (each.stand_in, row.label, *(str(each.options_of(row, real)) for real in (True, False))): (
        each.name,
        row.label,
    )
    for each in tables().values()
    for row in each.rows
    if row.data != "real"  # which the stand-in cannot give
}


def tiny(name, **options):
    """The preset on its stand-in, with a network and data so small that a step takes no time."""
    chosen = table(name)
    return plan(chosen, "embedded", TINY[chosen.stand_in] | options)


def test_every_file_is_a_preset_of_its_own_name():
    names = {path.name for path in (files("mtlgym.envs_config") / "tables").iterdir()}
    assert {each.file for each in tables().values()} == names
    assert len(names) == len(tables()) >= 4


@pytest.mark.parametrize(("name", "label"), ROWS.values())
def test_every_row_makes_an_environment_and_its_agent_steps(name, label, monkeypatch):
    routing_toys.stand_in(monkeypatch)
    cell = tiny(name, **tables()[name].real_options).cells([label])[0]
    env, agent, _ = make(cell)
    observation, info = env.reset(seed=0)
    action = agent.act(observation, info)
    after, reward, *ends, info = env.step(action)
    agent.learn(observation, action, reward, after, *ends, info)
    assert env.problem.source.kind == "embedded"
    assert not info["failure"]
    assert np.isfinite(after["value"] if isinstance(after, dict) else after).all()
    env.close()


@pytest.mark.parametrize(
    ("name", "label", "delta_m", "time"),
    [
        ("igb-table1", "DWA", 7.08, 1.00),
        ("igb-table1", "MGDA", 1.63, 2.88),
        ("igb-table1", "IGBv2 + PCGrad", 3.66, 2.60),
        ("igb-table1", "IGBv1 + IMTL-G", -2.35, 2.85),
        ("igb-table1", "IGBv2 + Nash", -4.15, 3.23),
        ("igb-table2", "EW", 177.6, 1.00),
        ("igb-table2", "MGDA", 120.5, 22.90),
        ("igb-table2", "Nash", 62.0, 7.20),
        ("igb-table3", "IGBv2 (reward / min, buffer 1e4)", 5.97, 1.09),
        ("igb-table3", "IGBv2 (reward / alpha, buffer 1e4)", 0.91, 1.09),
        ("igb-table3", "IGBv2 (full reward, buffer 1e6)", 3.48, 1.06),
        ("igb-table4", "RLW + SI", 6.24, 1.00),
        ("igb-table4", "DWA + SI", 3.25, 1.00),
    ],
)
def test_published_figures_are_the_paper_s(name, label, delta_m, time):
    row = next(row for row in table(name).rows if row.label == label)
    assert row.published == {"delta_m": delta_m, "T": time}


def test_the_published_scores_on_glue_are_the_paper_s():
    rows = {row.label: row.published["score"] for row in table("glue-table1").rows}
    assert rows == {"Random": 79.1, "Task size": 74.9, "Exp3.S": 78.9, "Counterfactual": 80.5}


@pytest.mark.parametrize(("name", "count"), [("igb-table1", 21), ("igb-table2", 11)])
def test_published_figures_are_those_of_the_environment_s_own_preset(name, count):
    known = preset(table(name).env).published
    found = {re.sub(r":[^+]*", "", row.agent): row.published for row in table(name).rows}
    assert len(found) == count
    assert found.items() <= known.items()


def test_a_row_that_several_tables_of_an_environment_have_is_one_and_the_same():
    rows: dict[tuple[str, str], object] = {}
    for each in tables().values():
        for row in each.rows:
            cell = (row.agent, each.options_of(row, real=True))
            assert rows.setdefault((each.env, row.label), cell) == cell


TEXT = """
name = "x"
title = "X"
env = "MTL-QM9-v0"
stand_in = "MTL-QM9-Mini-v0"
[[rows]]
label = "UW"
agent = "uw"
"""


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("title", "titel", "unknown key 'titel'. Did you mean 'title'"),
        ('agent = "uw"', "", "`agent` is missing"),
        ('agent = "uw"', 'agent = "uw"\nagnet = "uw"', "row 'UW': unknown key 'agnet'"),
        ('title = "X"', "title = 1", "`title` must be a text"),
        ('title = "X"', 'title = "X"\nfile = "y"', "unknown key 'file'"),
        ('title = "X"', "title =", "Invalid value"),
        ('title = "X"', 'title = "X"\nseeds = []', "`seeds` must be a list of at least one"),
        ('title = "X"', 'title = "X"\nseeds = [-1]', "`seeds` must be an integer"),
        ('"uw"', '"uw"\noptions = { data = "real" }', "`options` must be a table without `data`"),
        ('"uw"', '"uw"\ndata = "embedded"', "`data` of a row must be 'real' or left out"),
        ('"uw"', '"uw"\npublished = { delta = 1 }', "Did you mean 'delta_m'"),
        ('"uw"', '"uw"\npublished = { T = nan }', "`published.T`"),
        ('"uw"', '"uw"\n[[rows]]\nlabel = "uw"\nagent = "uw"', "`label` must tell rows"),
        ('"uw"', '"wu"', "row 'UW': unknown agent 'wu'"),
        ("MTL-QM9-v0", "MTL-QM8-v0", "Did you mean 'MTL-QM9-v0'"),
        ('[[rows]]\nlabel = "UW"\nagent = "uw"', "rows = [1]", "`rows` must be tables"),
    ],
)
def test_a_mistake_in_a_file_is_an_error_that_names_it(old, new, message, tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text(TEXT)
    read(path).check()
    path.write_text(TEXT.replace(old, new))
    with pytest.raises(ValueError, match=r"mine\.toml") as told:
        read(path).check()
    assert message in str(told.value)


def test_real_data_are_taken_if_they_are_there(tmp_path, monkeypatch):
    monkeypatch.setenv("MTLGYM_DATA", str(tmp_path))
    chosen = table("igb-table1")
    assert plan(chosen).env == plan(chosen, "embedded").env == "MTL-Rooms-v0"
    with pytest.raises(FileNotFoundError, match=str(tmp_path)):
        plan(chosen, "real")
    for split in ("train", "val"):
        (tmp_path / "nyuv2" / split / "image").mkdir(parents=True)
        (tmp_path / "nyuv2" / split / "image" / "0.npy").write_bytes(b"")
    assert plan(chosen, "embedded").env == "MTL-Rooms-v0"
    for data in ("auto", "real"):
        assert plan(chosen, data).env == "MTL-NYUv2-v0"
        cell = plan(chosen, data).cells(["Nash"])[0]
        assert cell.options == {"data": "real", "metrics": "mtan", "max_norm": 1.0}
        assert cell.stand_in_for == ""


def test_options_that_make_a_row_another_method_are_refused():
    with pytest.raises(ValueError, match=r"`max_norm` is 1\.0 in row 'Nash' of igb-table1, not 2"):
        tiny("igb-table1", max_norm=2)
    with pytest.raises(ValueError, match="`--data`"):
        tiny("igb-table1", data="real")
