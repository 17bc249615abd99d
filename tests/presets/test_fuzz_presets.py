"""Presets that somebody edited badly: one that is read, or a ValueError that names the file."""

import copy
import json
import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mtlgym import envs_config
from mtlgym.presets import environments, published
from mtlgym.presets.published import FigurePreset, TablePreset
from tests.envs.hostile import few

FOLDER = Path(next(iter(envs_config.__path__)))
READERS = {
    "": environments.read,
    "tables": published.read,
    "figures": lambda path: published.read_preset(path, FigurePreset),
}
KINDS = {"": environments.Preset, "tables": TablePreset, "figures": FigurePreset}
FILES = [(kind, path) for kind in READERS for path in sorted((FOLDER / kind).glob("*.toml"))]
ODD = st.one_of(
    st.sampled_from([0, -1, 2**40, 0.5, float("nan"), float("inf"), True, "", "x", "\n", "EW"]),
    st.sampled_from([[], [1], [[]], ["x", 1], [{}], {}, {"x": 1}, {"delta_m": "x"}, {"": {}}]),
)
KEYS = ["id", "name", "label", "rows", "options", "published", "seeds", "data", "file", "x", ""]


def written(value):
    """A value as TOML writes it in one line."""
    if isinstance(value, dict):
        return f"{{ {', '.join(f'{json.dumps(k)} = {written(v)}' for k, v in value.items())} }}"
    if isinstance(value, list):
        return f"[{', '.join(map(written, value))}]"
    if isinstance(value, float):
        return repr(value)
    return json.dumps(value)


def places(value, path=()):
    """Paths of all that can be changed in nested tables and lists."""
    inner = enumerate(value) if isinstance(value, list) else value.items()
    for key, each in inner:
        yield (*path, key)
        if isinstance(each, dict | list):
            yield from places(each, (*path, key))


@st.composite
def edits(draw, content):
    """The content with one to three things deleted, swapped, renamed, added or retyped."""
    content = copy.deepcopy(content)
    for _ in range(draw(st.integers(1, 3))):
        *where, last = draw(st.sampled_from(sorted(places(content), key=repr)))
        parent = content
        for key in where:
            parent = parent[key]
        how = draw(st.sampled_from(["delete", "swap", "retype", "rename"]))
        if how == "delete":
            del parent[last]
        elif how == "swap":
            keys = range(len(parent)) if isinstance(parent, list) else list(parent)
            other = draw(st.sampled_from(keys))
            parent[last], parent[other] = parent[other], parent[last]
        elif how == "rename" and isinstance(parent, dict):
            parent[draw(st.sampled_from(KEYS))] = parent.pop(last)
        else:
            parent[last] = copy.deepcopy(draw(ODD))
        if not content:
            break
    return "".join(f"{json.dumps(key)} = {written(value)}\n" for key, value in content.items())


def check(kind, path):
    try:
        found = READERS[kind](path)
    except ValueError as error:
        assert path.name in str(error)
    else:
        assert isinstance(found, KINDS[kind])


@pytest.mark.parametrize("kind", READERS)
def test_edited_presets_are_read_or_refused_by_name(kind, tmp_path):
    chosen = [path for of, path in FILES if of == kind]
    contents = [tomllib.loads(path.read_text(encoding="utf-8")) for path in chosen]

    @few(60)
    @given(st.sampled_from(contents).flatmap(edits))
    def run(text):
        (tmp_path / "edited.toml").write_text(text, encoding="utf-8")
        check(kind, tmp_path / "edited.toml")

    run()


@pytest.mark.parametrize("kind", READERS)
def test_presets_with_flipped_bytes_are_read_or_refused_by_name(kind, tmp_path):
    chosen = [path.read_bytes() for of, path in FILES if of == kind]

    @few(60)
    @given(st.sampled_from(chosen), st.data())
    def run(content, data):
        content = bytearray(content)
        for _ in range(data.draw(st.integers(1, 4))):
            content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
        cut = data.draw(st.none() | st.integers(0, len(content)))
        (tmp_path / "flipped.toml").write_bytes(content[:cut])
        check(kind, tmp_path / "flipped.toml")

    run()


@pytest.mark.parametrize(("kind", "path"), FILES)
def test_what_is_written_anew_is_read_as_what_is_shipped(kind, path, tmp_path):
    content = tomllib.loads(path.read_text(encoding="utf-8"))
    again = "".join(f"{json.dumps(key)} = {written(value)}\n" for key, value in content.items())
    (tmp_path / path.name).write_text(again, encoding="utf-8")
    assert READERS[kind](tmp_path / path.name) == READERS[kind](path)


def test_a_preset_that_is_nested_without_end_is_refused_by_name(tmp_path):
    (tmp_path / "deep.toml").write_text("x = " + "[" * 5000, encoding="utf-8")
    with pytest.raises(ValueError, match="deep"):
        environments.read(tmp_path / "deep.toml")
