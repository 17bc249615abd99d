"""Logs of decisions: their format, what they survive, what they refuse, and how they are pooled."""

import json
import os
import resource
import struct
import subprocess
import sys
import zlib
from contextlib import contextmanager
from itertools import product
from pathlib import Path

import numpy as np
import pytest

from mtlgym.agents import OffPolicyLog
from mtlgym.agents.off_policy.log import pool, read

DECISIONS = [(0, 0.5, 1.25), (2, 0.125, -3.0), (1, 1.0, 0.0), (2, 1e-9, 1e300), (0, 0.25, 5e-324)]


def write(path, decisions=DECISIONS, **options):
    with OffPolicyLog.create(path, 3, **options) as log:
        for decision in decisions:
            log.write(*decision)
    return path


def triples(decisions):
    return list(
        zip(
            decisions.actions.tolist(),
            decisions.propensities.tolist(),
            decisions.rewards.tolist(),
            strict=True,
        )
    )


def record(number, action, step, propensity, reward):
    """As the documentation of the format says, written down anew."""
    body = (
        f'{{"action": {action}, "step": {step}, "propensity": {json.dumps(propensity)}, '
        f'"reward": {json.dumps(reward)}'
    ).encode()
    return body + f', "crc32": "{zlib.crc32(body, number + 1):08x}"}}\n'.encode()


def header(said, version=2):
    values = ", ".join(f'"{key}": {json.dumps(value)}' for key, value in said.items())
    body = f'{{"format": "mtlgym decisions", "version": {version}, {values}'.encode()
    return body + f', "crc32": "{zlib.crc32(body):08x}"}}\n'.encode()


def lines_of(path):
    """The header and the records, each with its newline."""
    return [line + b"\n" for line in path.read_bytes().split(b"\n")[:-1]]


def lengths(decisions=DECISIONS):
    """Bytes of the records of these decisions, the first ones of a log."""
    return [len(record(k, a, k, p, r)) for k, (a, p, r) in enumerate(decisions)]


SAID = {"arms": 3, "tasks": ["cola", "rte", "qnli"], "policy": "uniform", "metadata": {"lr": 0.1}}


@contextmanager
def largest_file(size):
    """No file can grow past that size, as on a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_what_is_written_is_read_bit_for_bit(tmp_path):
    rng = np.random.default_rng(0)
    actions, steps = rng.integers(0, 7, 12_000), rng.integers(0, 2**62, 12_000)
    propensities, rewards = 1 - rng.random(12_000), rng.normal(size=12_000) * 1e100
    with OffPolicyLog.create(tmp_path / "a.log", 7, flush_every=1000) as log:
        for action, step, propensity, reward in zip(
            actions, steps, propensities, rewards, strict=True
        ):
            log.write(action, propensity, reward, step=step)
        assert len(log) == 12_000
    found = read(tmp_path / "a.log")
    np.testing.assert_array_equal(found.actions, actions)
    np.testing.assert_array_equal(found.steps, steps)
    np.testing.assert_array_equal(found.propensities, propensities)
    np.testing.assert_array_equal(found.rewards, rewards)
    assert (len(found), found.arms, found.tasks) == (12_000, 7, ())


def test_the_file_is_what_the_documentation_of_its_format_says(tmp_path):
    path = tmp_path / "a.log"
    with OffPolicyLog.create(
        path, 3, tasks=SAID["tasks"], policy="uniform", metadata={"lr": 0.1}
    ) as log:
        log.write(2, 0.25, -1.5)
        log.write(0, 1.0, 3.0, step=77)
    expected = header(SAID) + record(0, 2, 0, 0.25, -1.5) + record(1, 0, 77, 1.0, 3.0)
    assert path.read_bytes() == expected


def test_a_log_says_what_it_is_of(tmp_path):
    path = write(tmp_path / "a.log", tasks=("x", "y", "z"), policy="size", metadata={"runs": [1]})
    with OffPolicyLog.open(path) as log:
        assert log.header.arms == 3
        assert log.header.tasks == ("x", "y", "z")
        assert log.header.policy == "size"
        assert log.header.metadata == {"runs": [1]}
        assert log.path == path


def test_each_decision_is_in_the_file_at_once_and_by_default(tmp_path):
    with OffPolicyLog.create(tmp_path / "a.log", 3) as log:
        for number, decision in enumerate(DECISIONS):
            log.write(*decision)
            assert triples(read(tmp_path / "a.log")) == DECISIONS[: number + 1]


def test_decisions_wait_for_one_another_with_flush_every(tmp_path):
    path = tmp_path / "a.log"
    with OffPolicyLog.create(path, 3, flush_every=3) as log:
        for number, decision in enumerate(DECISIONS):
            log.write(*decision)
            assert len(log) == number + 1
            assert len(read(path)) == (number + 1) // 3 * 3
        assert triples(log.decisions()) == DECISIONS
        log.write(1, 0.5, 2.0)
    assert triples(read(path)) == [*DECISIONS, (1, 0.5, 2.0)]


def test_what_was_flushed_survives_a_crash_of_the_process(tmp_path):
    code = (
        "import os, sys; from mtlgym.agents import OffPolicyLog\n"
        "log = OffPolicyLog.create(sys.argv[1], 3, flush_every=4)\n"
        "for step in range(10): log.write(step % 3, 0.5, float(step))\n"
        "os._exit(9)"
    )
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path / "a.log")], check=False)
    assert done.returncode == 9
    assert read(tmp_path / "a.log").rewards.tolist() == list(range(8))
    with OffPolicyLog.open(tmp_path / "a.log") as log:
        log.write(0, 0.5, 8.0)
    assert read(tmp_path / "a.log").rewards.tolist() == list(range(9))


@pytest.mark.parametrize("lost", range(1, lengths()[-1]))
def test_a_last_record_cut_short_is_dropped_and_written_over(tmp_path, lost):
    path = write(tmp_path / "a.log")
    os.truncate(path, path.stat().st_size - lost)
    with pytest.warns(UserWarning, match=rf"record 4, the last of .*{path.name}, was cut short"):
        assert triples(read(path)) == DECISIONS[:4]
    with pytest.warns(UserWarning, match="cut short"):
        log = OffPolicyLog.open(path)
    with log:
        assert len(log) == 4
        log.write(*DECISIONS[4])
    assert triples(read(path)) == DECISIONS


def test_a_file_cut_short_in_its_header_is_refused(tmp_path):
    path = write(tmp_path / "a.log", [])
    whole = path.read_bytes()
    assert triples(read(path)) == []
    for size in range(len(whole)):
        path.write_bytes(whole[:size])
        with pytest.raises(ValueError, match=path.name):
            read(path)
        with pytest.raises(ValueError, match=path.name):
            OffPolicyLog.open(path)
        assert path.read_bytes() == whole[:size]


def test_every_changed_byte_is_found_and_its_record_named(tmp_path):
    path = write(tmp_path / "a.log")
    whole = path.read_bytes()
    number_of = [n for n, line in enumerate(lines_of(path)) for _ in line]  # a byte's line
    for place, bit in product(range(len(whole)), (0x01, 0x04, 0x10, 0x80)):
        damaged = bytearray(whole)
        damaged[place] ^= bit
        path.write_bytes(damaged)
        where = f"record {number_of[place] - 1} of .*" if number_of[place] else ""
        with pytest.raises(ValueError, match=f"{where}{path.name}"):
            read(path)
        with pytest.raises(ValueError, match=f"{where}{path.name}"):
            OffPolicyLog.open(path)
        assert path.read_bytes() == bytes(damaged)


def test_records_that_were_swapped_repeated_or_lost_are_found(tmp_path):
    path = write(tmp_path / "a.log", [(1, 0.5, 1.0)] * 4)
    start, *records = lines_of(path)
    for order in ([1, 0, 2, 3], [0, 1, 1, 2, 3], [0, 2, 3]):
        path.write_bytes(start + b"".join(records[k] for k in order))
        with pytest.raises(ValueError, match="is damaged"):
            read(path)


def test_damage_far_into_a_long_log_is_found_where_it_is(tmp_path):
    path = tmp_path / "a.log"
    records = [bytearray(record(k, 1, k, 0.5, 1.0)) for k in range(25_000)]
    records[-1 - 4_321][-10] ^= 1
    path.write_bytes(header(SAID) + b"".join(records))
    with pytest.raises(ValueError, match=r"record 20678 of .*`size=20678` keeps those before"):
        read(path)
    with OffPolicyLog.open(path, size=20_678) as log:
        assert len(log.decisions()) == 20_678


def test_a_resumed_run_keeps_the_records_it_had(tmp_path):
    path = write(tmp_path / "a.log")
    with OffPolicyLog.open(path, size=2) as log:
        assert len(log) == 2
        log.write(1, 0.5, 9.0)
    found = read(path)
    assert triples(found) == [*DECISIONS[:2], (1, 0.5, 9.0)]
    assert found.steps.tolist() == [0, 1, 2]
    OffPolicyLog.open(path, size=0).close()
    assert len(read(path)) == 0


def test_more_records_than_there_are_cannot_be_kept(tmp_path):
    path = write(tmp_path / "a.log")
    os.truncate(path, path.stat().st_size - 1)
    whole = path.read_bytes()
    with pytest.raises(ValueError, match=r"`size` must be at most 4, the records of .*, not 5"):
        OffPolicyLog.open(path, size=5)
    with pytest.raises(ValueError, match="`size` must be an integer of at least 0, not -1"):
        OffPolicyLog.open(path, size=-1)
    assert path.read_bytes() == whole


REFUSED = {
    "action too large": ((3, 0.5, 1.0), r"`action` must be an arm in \[0, 3\), not 3"),
    "action negative": ((-1, 0.5, 1.0), "`action`"),
    "no propensity": ((0, 0.0, 1.0), r"`propensity` must be in \(0, 1\], not 0.0"),
    "propensity above 1": ((0, 1.0000001, 1.0), "`propensity`"),
    "propensity unknown": ((0, np.nan, 1.0), "`propensity`"),
    "reward unknown": ((0, 0.5, np.nan), "`reward` must be finite, not nan"),
    "reward infinite": ((0, 0.5, -np.inf), "`reward`"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_decisions_out_of_range_are_neither_written_nor_read(tmp_path, case):
    decision, message = REFUSED[case]
    path = write(tmp_path / "a.log")
    before = path.read_bytes()
    with OffPolicyLog.open(path) as log:
        with pytest.raises(ValueError, match=message):
            log.write(*decision)
        assert len(log) == 5
    assert path.read_bytes() == before
    if decision[0] >= 0:
        path.write_bytes(before + record(5, decision[0], 5, *decision[1:]))
        with pytest.raises(ValueError, match=f"{message}.* in record 5 of .*{path.name}"):
            read(path)


def test_actions_and_steps_are_integers(tmp_path):
    with OffPolicyLog.create(tmp_path / "a.log", 3) as log:
        with pytest.raises(ValueError, match="`action`"):
            log.write(True, 0.5, 1.0)
        with pytest.raises(ValueError, match="`step` must be an integer of at least 0, not -1"):
            log.write(1, 0.5, 1.0, step=-1)
        log.write(np.int64(1), np.float32(0.5), np.float32(2.0), step=np.int64(4))
        assert triples(log.decisions()) == [(1, 0.5, 2.0)]


def test_a_full_disk_leaves_whole_records_and_a_log_that_goes_on(tmp_path):
    path = tmp_path / "a.log"
    log = OffPolicyLog.create(path, 3)
    room = path.stat().st_size + sum(lengths()[:2]) + 5
    with largest_file(room):
        log.write(*DECISIONS[0])
        log.write(*DECISIONS[1])
        for _ in range(2):
            with pytest.raises(OSError, match=path.name):
                log.write(*DECISIONS[2])
            assert len(log) == 2
            assert triples(read(path)) == DECISIONS[:2]
    for decision in DECISIONS[2:]:
        log.write(*decision)
    log.close()
    assert triples(read(path)) == DECISIONS


def test_a_full_disk_keeps_what_waits_to_be_written(tmp_path):
    path = tmp_path / "a.log"
    log = OffPolicyLog.create(path, 3, flush_every=4)
    with largest_file(path.stat().st_size + sum(lengths()[:2])):
        for decision in DECISIONS[:3]:
            log.write(*decision)
        with pytest.raises(OSError, match=path.name):
            log.write(*DECISIONS[3])
        assert len(log) == 3
        assert len(read(path)) == 0
        with pytest.raises(OSError, match=path.name):
            log.close()
    with pytest.raises(ValueError, match=f"{path.name} is closed"):
        log.write(*DECISIONS[3])
    log.close()


def test_a_log_that_cannot_be_started_leaves_no_file(tmp_path):
    path = tmp_path / "a.log"
    with largest_file(10), pytest.raises(OSError, match=path.name):
        OffPolicyLog.create(path, 3)
    assert not path.exists()
    with pytest.raises(FileNotFoundError, match="nowhere"):
        OffPolicyLog.create(tmp_path / "nowhere" / "a.log", 3)
    with pytest.raises(FileNotFoundError, match=path.name):
        OffPolicyLog.open(path)


def test_a_log_is_not_started_over_another(tmp_path):
    path = write(tmp_path / "a.log")
    with pytest.raises(FileExistsError, match=path.name):
        OffPolicyLog.create(path, 3)
    assert triples(read(path)) == DECISIONS


def test_two_logs_do_not_write_to_one_file(tmp_path):
    path = tmp_path / "a.log"
    with OffPolicyLog.create(path, 3) as log:
        with pytest.raises(OSError, match=f"another log writes to it.*{path.name}"):
            OffPolicyLog.open(path)
        log.write(*DECISIONS[0])
    OffPolicyLog.open(path).close()
    assert triples(read(path)) == DECISIONS[:1]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"arms": 0}, "`arms` must be an integer of at least 1, not 0"),
        ({"tasks": ("a", "b")}, "`tasks` must be 3 different names"),
        ({"tasks": ("a", "b", "a")}, "`tasks` must be 3 different names"),
        ({"metadata": {"model": object()}}, "`metadata` must be what JSON can hold"),
        ({"metadata": {"loss": float("nan")}}, "`metadata` must be what JSON can hold"),
        ({"flush_every": 0}, "`flush_every` must be an integer of at least 1, not 0"),
    ],
)
def test_settings_out_of_range_start_no_log(tmp_path, options, message):
    with pytest.raises(ValueError, match=message):
        OffPolicyLog.create(tmp_path / "a.log", **{"arms": 3, **options})
    assert not list(tmp_path.iterdir())


def test_other_files_and_later_versions_are_refused(tmp_path):
    path = tmp_path / "a.log"
    path.write_bytes(b"step,loss\n1,2\n" * 10)
    with pytest.raises(ValueError, match=r"a\.log does not start as a log of decisions does"):
        read(path)
    path.write_bytes(header(SAID, version=3))
    with pytest.raises(ValueError, match=r"a\.log has version 3 of the format, not 2"):
        read(path)


def test_logs_of_the_earlier_binary_format_are_refused_with_what_to_do(tmp_path):
    path = tmp_path / "a.log"
    text = json.dumps(SAID).encode()
    content = b"\x89MTLLOG\n" + struct.pack("<II", 1, len(text)) + text
    content += struct.pack("<I", zlib.crc32(content))
    body = struct.pack("<Iqdd", 0, 0, 0.5, 1.0)
    path.write_bytes(content + struct.pack("<I", zlib.crc32(body, 0)) + body)
    for use in (read, OffPolicyLog.open, lambda path: OffPolicyLog.open(path, size=1)):
        with pytest.raises(ValueError, match=r"a\.log is a log of an earlier version.*delete it"):
            use(path)


def test_pooled_logs_keep_each_decision_with_its_own_propensity(tmp_path):
    first = write(tmp_path / "first.log", DECISIONS[:2])
    second = write(tmp_path / "second.log", DECISIONS[2:], tasks=("x", "y", "z"))
    with OffPolicyLog.open(second) as log:
        for pooled in (pool([first, log]), pool([str(first), read(second)])):
            assert triples(pooled) == DECISIONS
            assert pooled.tasks == ("x", "y", "z")
            assert pooled.steps.tolist() == [0, 1, 0, 1, 2]
    with pytest.raises(ValueError, match="`logs` must hold at least one log"):
        pool([])


def test_logs_of_other_arms_are_not_pooled(tmp_path):
    first = write(tmp_path / "first.log", tasks=("x", "y", "z"))
    other = write(tmp_path / "other.log", tasks=("x", "y", "w"))
    OffPolicyLog.create(tmp_path / "four.log", 4).close()
    for path in (other, tmp_path / "four.log"):
        with pytest.raises(ValueError, match=rf"first\.log and .*{path.name} cannot be pooled"):
            pool([first, path])


def test_a_log_is_read_from_any_kind_of_path(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write("a.log")
    assert triples(read("a.log")) == triples(read(Path("a.log"))) == DECISIONS
