"""Logs of decisions, written while they are made and evaluated later.

A log is a text file of JSON lines. The first describes the log:

    {"format": "mtlgym decisions", "version": 2, "arms": 2, "tasks": ["cola", "rte"],
     "policy": "uniform", "metadata": {}, "crc32": "aefe0e75"}

Each of the others is a decision:

    {"action": 1, "step": 0, "propensity": 0.5, "reward": 0.25, "crc32": "1cb54899"}

The checksum of a line is the CRC-32 of the text before `, "crc32"`, with the number of the line,
from 0 on, as its initial value: lines that were swapped, repeated or lost are found too.
"""

import json
import os
import re
import warnings
import zlib
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from io import BytesIO, FileIO
from operator import index
from pathlib import Path
from types import TracebackType
from typing import Any, SupportsFloat, SupportsIndex

import numpy as np
from numpy.typing import NDArray

from mtlgym import checks

FORMAT, VERSION = "mtlgym decisions", 2
START = re.compile(rb'\{"format": "mtlgym decisions", "version": (\d+), ')
BINARY = b"\x89MTLLOG\n"  # the first bytes of version 1
LAST_STEP = 2**63 - 1


def pack(number: int, values: Mapping[str, Any]) -> bytes:
    """The values as a line of a log, with its checksum."""
    text = json.dumps(values, allow_nan=False)[:-1].encode()
    return text + checksum(text, number)


def checksum(text: bytes, number: int) -> bytes:
    """The end of the line of that number, which begins with this text."""
    return b', "crc32": "%08x"}\n' % zlib.crc32(text, number)


def is_whole(line: bytes, number: int) -> bool:
    """Whether the line, with its newline, has the checksum of the line of that number."""
    text = line[: -len(checksum(b"", 0))]
    return line == text + checksum(text, number)


@dataclass(frozen=True)
class LogHeader:
    """The description of a log.

    Attributes:
        arms: number of arms to choose from.
        tasks: names of the arms, one each, or none.
        policy: name of the policy that decided.
        metadata: values that JSON can hold.

    Raises:
        ValueError: names the argument and the value.
    """

    arms: int
    tasks: tuple[str, ...] = ()
    policy: str = ""
    metadata: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Refuse arms out of range, and names that are not one for each."""
        checks.integer("arms", self.arms, 1)
        if self.tasks and not len(set(self.tasks)) == len(self.tasks) == self.arms:
            raise ValueError(
                f"`tasks` must be {self.arms} different names, one for each arm, or none, "
                f"not {self.tasks!r}"
            )


def pack_header(header: LogHeader) -> bytes:
    """The first line of a log.

    Raises:
        ValueError: for metadata that JSON cannot hold.
    """
    values = {**asdict(header), "arms": int(header.arms)}
    try:
        return pack(0, {"format": FORMAT, "version": VERSION, **values})
    except (TypeError, ValueError) as error:
        raise ValueError(f"`metadata` must be what JSON can hold: {error}") from error


def unpack_header(line: bytes, source: str) -> LogHeader:
    """The description in the first line of a file, with its newline.

    Raises:
        ValueError: names the file and what is wrong with it.
    """
    if line.startswith(BINARY):
        raise ValueError(
            f"{source} is a log of an earlier version of mtlgym, in a binary format: read it with "
            "that version, or delete it and log the decisions again (a run: delete its folder)"
        )
    begun = START.match(line)
    if begun is None:
        raise ValueError(f"{source} does not start as a log of decisions does")
    if int(begun[1]) != VERSION:
        raise ValueError(f"{source} has version {int(begun[1])} of the format, not {VERSION}")
    if not is_whole(line, 0):
        raise ValueError(f"{source} has a damaged header")
    try:
        values = json.loads(line)
        settings = {name: values[name] for name in ("arms", "policy", "metadata")}
        return LogHeader(tasks=tuple(values["tasks"]), **settings)
    except (LookupError, RecursionError, TypeError, ValueError) as error:
        raise ValueError(f"{source} has a damaged header: {error}") from error


try:
    import fcntl
except ImportError:  # Windows, where a second writer is not detected
    fcntl = None  # type: ignore[assignment]


def lock(path: Path, mode: str) -> FileIO:
    """The file, unbuffered, locked against other writers until it is closed.

    Raises:
        OSError: if it cannot be opened, or another writer has locked it; names the file.
    """
    file = FileIO(path, mode)
    if fcntl is not None:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            file.close()
            reason = f"cannot be locked, as where another log writes to it: {error.strerror}"
            raise OSError(error.errno, reason, str(path)) from error
    return file


def write(file: FileIO, at: int, content: bytes, path: Path) -> None:
    """Write all of the content at that place, the file's end.

    Raises:
        OSError: if not all of it can be written; names the file, which then ends there.
    """
    try:
        file.seek(at)
        left = memoryview(content)
        while left:
            left = left[file.write(left) :]
    except OSError as error:
        with suppress(OSError):
            file.truncate(at)
        raise OSError(error.errno, error.strerror or str(error), str(path)) from error


@dataclass(frozen=True, eq=False)
class LoggedDecisions:
    """Decisions of one log, or of several that are pooled.

    Attributes:
        actions: chosen arms; (decisions,).
        propensities: probability of each under the policy that chose it; (decisions,).
        rewards: reward of each; (decisions,).
        steps: step of the run in which each was made; (decisions,).
        arms: number of arms to choose from.
        tasks: names of the arms, or none.
        source: the file or files, for messages.
    """

    actions: NDArray[np.int64]
    propensities: NDArray[np.float64]
    rewards: NDArray[np.float64]
    steps: NDArray[np.int64]
    arms: int
    tasks: tuple[str, ...]
    source: str

    def __len__(self) -> int:
        """Number of decisions."""
        return len(self.actions)


def check_decisions(action: Any, propensity: Any, reward: Any, arms: int, source: str = "") -> None:
    """Refuse decisions with a value out of range.

    Args:
        action: an arm, or an array of them.
        propensity: probability of the action; of the same shape.
        reward: reward of the action; of the same shape.
        arms: number of arms to choose from.
        source: the file that arrays come from, for the message.

    Raises:
        ValueError: names the argument, the first value out of range, and its place.
    """
    for name, values in (("action", action), ("propensity", propensity), ("reward", reward)):
        if np.asarray(values).dtype.kind not in "biuf":
            raise ValueError(f"`{name}` must be a number, or an array of them, not {values!r}")
    integers = np.asarray(action).dtype.kind in "iu"
    for name, values, good, allowed in (
        ("action", action, integers & (action >= 0) & (action < arms), f"an arm in [0, {arms})"),
        ("propensity", propensity, (propensity > 0) & (propensity <= 1), "in (0, 1]"),
        ("reward", reward, np.isfinite(reward), "finite"),
    ):
        if not np.all(good):
            at = int(np.flatnonzero(~np.atleast_1d(good))[0])
            place = f" in record {at} of {source}" if source else ""
            found = np.atleast_1d(values)[at]
            raise ValueError(f"`{name}` must be {allowed}, not {found}{place}")


def read(path: str | os.PathLike[str]) -> LoggedDecisions:
    """The decisions in a file, which may still be written to.

    Warns:
        UserWarning: if the last record was cut short; it is left out.

    Raises:
        OSError: if it cannot be read.
        ValueError: for a damaged file; names it and the record.
    """
    return _parse(Path(path))[1]


def _parse(path: Path, size: int | None = None) -> tuple[LogHeader, LoggedDecisions, int]:
    """The description and the first `size` decisions of a file, or all, and where they end.

    Raises:
        ValueError: names the file, and the first record that is damaged or out of range, or how
            many records there are where `size` is more.
    """
    source, (first, *lines) = str(path), BytesIO(path.read_bytes()).readlines() or [b""]
    header = unpack_header(first, source)
    cut = bool(lines) and not lines[-1].endswith(b"\n")
    if cut and is_whole(lines[-1][:-1] + b"\n", len(lines)):
        cut = False  # it is complete: its newline was changed
    records = len(lines) - cut
    if cut and size is None:
        text = f"record {records}, the last of {source}, was cut short and is left out"
        warnings.warn(text, stacklevel=3)
    size = records if size is None else size
    checks.integer("size", size, 0)
    if size > records:
        raise ValueError(f"`size` must be at most {records}, the records of {source}, not {size}")
    rows = [_decision(line, number, source) for number, line in enumerate(lines[:size])]
    actions, steps, propensities, rewards = zip(*rows, strict=True) if rows else [()] * 4
    decisions = LoggedDecisions(
        actions=np.array(actions, np.int64),
        propensities=np.array(propensities, np.float64),
        rewards=np.array(rewards, np.float64),
        steps=np.array(steps, np.int64),
        arms=header.arms,
        tasks=header.tasks,
        source=source,
    )
    check_decisions(
        decisions.actions, decisions.propensities, decisions.rewards, header.arms, source
    )
    return header, decisions, len(first) + sum(map(len, lines[:size]))


def _decision(line: bytes, number: int, source: str) -> tuple[int, int, float, float]:
    """The action, step, propensity and reward of the decision of that number.

    Raises:
        ValueError: if the line is damaged; names the file and the record.
    """
    if is_whole(line, number + 1):
        with suppress(LookupError, OverflowError, RecursionError, TypeError, ValueError):
            row = json.loads(line)
            action, step = int(np.int64(index(row["action"]))), int(np.int64(index(row["step"])))
            return action, step, float(row["propensity"]), float(row["reward"])
    raise ValueError(
        f"record {number} of {source} is damaged; `OffPolicyLog.open` with `size={number}` keeps "
        "those before it"
    )


def pool(logs: Sequence[Any]) -> LoggedDecisions:
    """The decisions of several logs, each with the propensity that it was logged with.

    Args:
        logs: an `OffPolicyLog`, `LoggedDecisions` or the path of a file each.

    Raises:
        OSError: if one cannot be read.
        ValueError: for no log, a damaged one, or logs of different arms; names both.
    """
    found = [_decisions(log) for log in logs]
    if not found:
        raise ValueError("`logs` must hold at least one log")
    first = next((log for log in found if log.tasks), found[0])
    for log in found:
        if log.arms != first.arms or log.tasks not in ((), first.tasks):
            raise ValueError(
                f"{first.source} and {log.source} cannot be pooled: the one is of {first.arms} "
                f"arms {first.tasks}, the other of {log.arms} {log.tasks}"
            )

    def joined(name: str) -> NDArray[Any]:
        return np.concatenate([getattr(log, name) for log in found])

    return LoggedDecisions(
        actions=joined("actions"),
        propensities=joined("propensities"),
        rewards=joined("rewards"),
        steps=joined("steps"),
        arms=first.arms,
        tasks=first.tasks,
        source=", ".join(log.source for log in found),
    )


def _decisions(log: Any) -> LoggedDecisions:
    if isinstance(log, LoggedDecisions):
        return log
    return read(log) if isinstance(log, str | os.PathLike) else log.decisions()


class OffPolicyLog:
    """Writes decisions, the probabilities they were made with, and their rewards to a file.

    Flushed decisions survive a crash of the process. A record that the crash cut short is dropped
    when the log is opened again, and writing continues there. One process writes at a time, any
    number may read.

    Attributes:
        path: the file; `mtlgym.agents.off_policy.log` describes it.
        header: the description of the log: arms, their names, the policy's name and metadata.
        flush_every: records that are written at once; a crash can lose one fewer.
    """

    def __init__(
        self, file: FileIO, path: Path, header: LogHeader, end: int, size: int, flush_every: int
    ) -> None:
        """Take a file that `OffPolicyLog.create` or `OffPolicyLog.open` has prepared."""
        self.path, self.header, self.flush_every = path, header, flush_every
        self._file, self._end = file, end
        self._written, self._pending = size, list[bytes]()

    @classmethod
    def create(
        cls,
        path: str | os.PathLike[str],
        arms: int,
        *,
        tasks: Sequence[str] = (),
        policy: str = "",
        metadata: Mapping[str, Any] | None = None,
        flush_every: int = 1,
    ) -> "OffPolicyLog":
        """Start a log in a new file.

        Args:
            path: the file.
            arms: number of arms to choose from.
            tasks: names of the arms, one each, or none.
            policy: name of the policy that decides.
            metadata: values that JSON can hold.
            flush_every: records that are written at once.

        Raises:
            OSError: if the file exists already or cannot be written; names it.
            ValueError: names the argument and the value.
        """
        checks.integer("flush_every", flush_every, 1)
        header, path = LogHeader(arms, tuple(tasks), policy, metadata or {}), Path(path)
        content = pack_header(header)
        file = lock(path, "x")
        try:
            write(file, 0, content, path)
        except OSError:
            file.close()
            path.unlink()
            raise
        return cls(file, path, header, len(content), 0, flush_every)

    @classmethod
    def open(
        cls, path: str | os.PathLike[str], *, size: int | None = None, flush_every: int = 1
    ) -> "OffPolicyLog":
        """Continue a log after its last complete record, or after the first `size`.

        Args:
            path: the file.
            size: records to keep, those that a resumed run had written when it was saved; the
                others are dropped. None keeps all.
            flush_every: records that are written at once.

        Warns:
            UserWarning: if, without `size`, a last record that was cut short is dropped.

        Raises:
            OSError: if the file cannot be opened, or is being written by another log; names it.
            ValueError: if it is damaged, naming it and the record, or has fewer records.
        """
        checks.integer("flush_every", flush_every, 1)
        path = Path(path)
        file = lock(path, "r+")
        try:
            header, decisions, end = _parse(path, size)
            file.truncate(end)
        except BaseException:
            file.close()
            raise
        return cls(file, path, header, end, len(decisions), flush_every)

    def __len__(self) -> int:
        """Number of decisions, including those that are not flushed yet."""
        return self._written + len(self._pending)

    def write(
        self,
        action: SupportsIndex,
        propensity: SupportsFloat,
        reward: SupportsFloat,
        *,
        step: SupportsIndex | None = None,
    ) -> None:
        """Add a decision.

        Args:
            action: the chosen arm.
            propensity: the probability that the policy chose it with, in (0, 1].
            reward: reward of the action, finite.
            step: step of the run, below 2^63; None takes the number of decisions before it.

        Raises:
            OSError: if it cannot be written; names the file. The decision is not added then.
            ValueError: names the argument and the value, or the log, where it is closed.
        """
        self._check_open()
        check_decisions(action, propensity, reward, self.header.arms)
        step = len(self) if step is None else step
        checks.integer("step", step, 0, LAST_STEP)
        values = {
            "action": index(action),
            "step": int(step),
            "propensity": float(propensity),
            "reward": float(reward),
        }
        self._pending.append(pack(len(self) + 1, values))
        if len(self._pending) >= self.flush_every:
            try:
                self.flush()
            except OSError:
                self._pending.pop()
                raise

    def flush(self) -> None:
        """Write the pending decisions to the operating system.

        Raises:
            OSError: if it cannot be written; names the file, which then ends where it did before.
            ValueError: if the log is closed.
        """
        self._check_open()
        content = b"".join(self._pending)
        write(self._file, self._end, content, self.path)
        self._end += len(content)
        self._written, self._pending = len(self), []

    def decisions(self) -> LoggedDecisions:
        """All decisions, read back from the file.

        Raises:
            OSError: if the pending decisions cannot be written, or the file cannot be read.
            ValueError: for a damaged file; names it and the record.
        """
        if not self._file.closed:
            self.flush()
        return read(self.path)

    def close(self) -> None:
        """Flush and close; a second time does nothing.

        Raises:
            OSError: if the pending decisions cannot be written; the log is closed all the same.
        """
        if not self._file.closed:
            try:
                self.flush()
            finally:
                self._file.close()

    def __enter__(self) -> "OffPolicyLog":
        """The log itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close it."""
        self.close()

    def _check_open(self) -> None:
        if self._file.closed:
            raise ValueError(f"the log {self.path} is closed")
