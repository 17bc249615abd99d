"""Damaged data files of every kind: what is in them, or an error that names the file."""

import resource
import signal
import warnings
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.datasets.data_files import KINDS
from tests.envs.hostile import few

MEMORY = 3 << 30  # bytes that a reader may take beside what is taken already
SECONDS = 30  # far more than any of them needs


@st.composite
def damage(draw, content):
    """The content with bytes flipped or swapped, a piece left out or put in, or its end cut."""
    content = bytearray(content)
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, max(len(content) - 1, 0)))
        size = draw(st.sampled_from([1, 2, 4, 8, 30]))
        how = draw(st.sampled_from(["flip", "flip", "byte", "swap", "drop", "insert", "cut"]))
        if how == "flip" and content:
            content[at] ^= 1 << draw(st.integers(0, 7))
        elif how == "byte":
            content[at : at + 1] = draw(st.sampled_from([b"\0", b"\xff", b"\n", b"\x80", b"-"]))
        elif how == "swap":
            other = draw(st.integers(0, max(len(content) - 1, 0)))
            piece = content[other : other + size]
            content[other : other + size] = content[at : at + size]
            content[at : at + size] = piece
        elif how == "drop":
            del content[at : at + size]
        elif how == "insert":
            content[at:at] = draw(st.binary(min_size=1, max_size=size))
        else:
            del content[at:]
    return bytes(content)


@contextmanager
def fenced():
    """Neither gigabytes nor minutes are to be had inside."""

    def stop(number, frame):
        raise AssertionError(f"it reads for {SECONDS} s")

    taken = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    before = signal.signal(signal.SIGALRM, stop)
    resource.setrlimit(resource.RLIMIT_AS, (taken + MEMORY, hard))
    signal.alarm(SECONDS)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


def look(kind, folder):
    """Read a damaged folder."""
    try:
        with fenced(), warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # a line that was cut short is told so
            KINDS[kind].read(folder)
    except (ValueError, OSError) as error:
        assert str(folder) in str(error), f"{error!r} names no file"
        assert not isinstance(error, UnicodeError)


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="memory is fenced by Linux's")
@pytest.mark.parametrize("kind", KINDS)
def test_a_damaged_file_is_read_or_refused_by_name(kind, tmp_path):
    paths = KINDS[kind].make(tmp_path)
    whole = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    assert paths

    @few(12)
    @given(st.sampled_from(paths), st.data())
    def run(path, data):
        path.write_bytes(data.draw(damage(whole[path])))
        try:
            look(kind, tmp_path)
        finally:
            for each in [*tmp_path.rglob("*")]:
                if each.is_file() and each not in whole:
                    each.unlink()
            for each, content in whole.items():
                each.write_bytes(content)

    run()


@pytest.mark.parametrize("kind", KINDS)
def test_a_whole_file_is_read(kind, tmp_path):
    assert KINDS[kind].make(tmp_path)
    found = KINDS[kind].read(tmp_path)
    assert found is not None and (not hasattr(found, "__len__") or len(found))
