"""A log of decisions that is written while they are made and evaluated later."""

import json
import os
import struct
import warnings
import zlib
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from io import FileIO
from operator import index
from pathlib import Path
from types import TracebackType
from typing import Any, SupportsFloat, SupportsIndex
from warnings import warn

import numpy as np
from numpy.typing import NDArray

from mtlgym import checks

MAGIC, VERSION = b"\x89MTLLOG\n", 1
FIELDS = np.dtype(
    [("crc", "<u4"), ("action", "<u4"), ("step", "<i8"), ("propensity", "<f8"), ("reward", "<f8")]
)
_START, _CRC, _BODY = struct.Struct("<8sII"), struct.Struct("<I"), struct.Struct("<Iqdd")
_HALVES = np.dtype([("crc", "<u4"), ("body", f"V{_BODY.size}")])
_CHUNK = 10_000  # records whose CRCs are computed at a time: more take more memory, not less time


@dataclass(frozen=True)
class Header:
    """What a log says of itself.

    Attributes:
        arms: how many there are to choose from.
        tasks: their names, one each, or none.
        policy: name of the policy that decided.
        metadata: whatever JSON can hold.

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


def pack_header(header: Header) -> bytes:
    """The header, as it stands in the file.

    Raises:
        ValueError: for metadata that JSON cannot hold.
    """
    said = {**asdict(header), "arms": int(header.arms)}
    try:
        text = json.dumps(said, allow_nan=False).encode()
    except (TypeError, ValueError) as error:
        raise ValueError(f"`metadata` must be what JSON can hold: {error}") from error
    start = _START.pack(MAGIC, VERSION, len(text)) + text
    return start + _CRC.pack(zlib.crc32(start))


def unpack_header(content: bytes, source: str) -> tuple[Header, int]:
    """The header of a file's content, and where its records start.

    Raises:
        ValueError: names the file and what is wrong with it.
    """
    if len(content) < _START.size or not content.startswith(MAGIC):
        raise ValueError(f"{source} does not start as a log of decisions does")
    _, version, length = _START.unpack_from(content)
    if version != VERSION:
        raise ValueError(f"{source} has version {version} of the format, not {VERSION}")
    end = _START.size + length
    crc = content[end : end + _CRC.size]
    if crc != _CRC.pack(zlib.crc32(content[:end])):
        raise ValueError(f"{source} has a damaged header")
    said = json.loads(content[_START.size : end])
    return Header(**{**said, "tasks": tuple(said["tasks"])}), end + _CRC.size


def pack_record(number: int, action: int, step: int, propensity: float, reward: float) -> bytes:
    """The record of that number, as it stands in the file."""
    body = _BODY.pack(action, step, propensity, reward)
    return _CRC.pack(zlib.crc32(body, number)) + body


@dataclass(frozen=True, eq=False)
class Content:
    """A file's content, taken apart.

    Attributes:
        header: what the log says of itself.
        start: where its records start, in bytes.
        records: of dtype `FIELDS`, those that were asked for; (records,).
        rest: bytes of a last record that was cut short.
    """

    header: Header
    start: int
    records: NDArray[Any]
    rest: int


def unpack(content: bytes, source: str, size: int | None = None) -> Content:
    """Take a file's content apart, with its first `size` records, or all.

    Raises:
        ValueError: names the file, and the first record that is damaged, or how many there are
            where `size` is more.
    """
    header, start = unpack_header(content, source)
    whole, rest = divmod(len(content) - start, FIELDS.itemsize)
    size = whole if size is None else size
    checks.integer("size", size, 0)
    if size > whole:
        raise ValueError(f"`size` must be at most {whole}, the records of {source}, not {size}")
    _verify(np.frombuffer(content, _HALVES, size, start), source)
    return Content(header, start, np.frombuffer(content, FIELDS, size, start), rest)


def _verify(records: NDArray[Any], source: str) -> None:
    """Refuse records whose CRCs are not what they say."""
    for first in range(0, len(records), _CHUNK):
        part = records[first : first + _CHUNK]
        numbers = range(first, first + len(part))
        crcs = np.fromiter(map(zlib.crc32, part["body"].tolist(), numbers), np.uint32, len(part))
        damaged = np.flatnonzero(crcs != part["crc"])
        if damaged.size:
            at = first + int(damaged[0])
            raise ValueError(
                f"record {at} of {source} is damaged; `OffPolicyLog.open` with `size={at}` keeps "
                "those before it"
            )


try:
    import fcntl
except ImportError:  # Windows; there two writers of one file are not kept apart
    fcntl = None  # type: ignore[assignment]


def lock(path: Path, mode: str) -> FileIO:
    """The file, unbuffered, locked against other writers until it is closed.

    Raises:
        OSError: if it cannot be opened, or another writer has it; names the file.
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
class Decisions:
    """Decisions of one log, or of several that are pooled.

    Attributes:
        actions: arms chosen; (decisions,).
        propensities: probability of each under the policy that chose it; (decisions,).
        rewards: what each brought; (decisions,).
        steps: when each was made; (decisions,).
        arms: how many there were to choose from.
        tasks: their names, or none.
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
        """How many decisions there are."""
        return len(self.actions)


def check_decisions(action: Any, propensity: Any, reward: Any, arms: int, source: str = "") -> None:
    """Refuse decisions that no policy can have made, or that nothing can be learnt from.

    Args:
        action: an arm, or an array of them.
        propensity: probability of the action; of the same shape.
        reward: what it brought; of the same shape.
        arms: how many there are to choose from.
        source: the file that arrays are from, for the message.

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


def check_shapes(shape: tuple[int, ...], **values: Any) -> None:
    """Refuse values of another shape.

    Raises:
        ValueError: names the argument and its shape.
    """
    for name, value in values.items():
        if np.shape(value) != shape:
            raise ValueError(f"`{name}` must have the shape {shape}, not {np.shape(value)}")


def read(path: str | os.PathLike[str]) -> Decisions:
    """The decisions in a file, which may still be written to.

    Warns:
        UserWarning: if the last record was cut short; it is left out.

    Raises:
        OSError: if it cannot be read.
        ValueError: for a damaged file; names it and the record.
    """
    content = unpack(Path(path).read_bytes(), str(path))
    if content.rest:
        warnings.warn(cut_short(content, str(path)), stacklevel=2)
    return decisions_of(content, str(path))


def cut_short(content: Content, source: str) -> str:
    """The warning for a last record that a crash cut short."""
    return f"record {len(content.records)}, the last of {source}, was cut short and is left out"


def decisions_of(content: Content, source: str) -> Decisions:
    """The decisions in a log's records.

    Raises:
        ValueError: names the file and the first decision out of range.
    """
    found, header = content.records, content.header
    decisions = Decisions(
        actions=found["action"].astype(np.int64),
        propensities=found["propensity"].astype(np.float64),
        rewards=found["reward"].astype(np.float64),
        steps=found["step"].astype(np.int64),
        arms=header.arms,
        tasks=header.tasks,
        source=source,
    )
    check_decisions(
        decisions.actions, decisions.propensities, decisions.rewards, header.arms, source
    )
    return decisions


def pool(logs: Sequence[Any]) -> Decisions:
    """The decisions of several logs, each with the propensity that it was logged with.

    Args:
        logs: an `OffPolicyLog`, `Decisions` or the path of a file each.

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

    return Decisions(
        actions=joined("actions"),
        propensities=joined("propensities"),
        rewards=joined("rewards"),
        steps=joined("steps"),
        arms=first.arms,
        tasks=first.tasks,
        source=", ".join(log.source for log in found),
    )


def _decisions(log: Any) -> Decisions:
    if isinstance(log, Decisions):
        return log
    return read(log) if isinstance(log, str | os.PathLike) else log.decisions()


class OffPolicyLog:
    """Write down decisions, the probabilities they were made with, and their rewards.

    What was flushed survives a crash of the process. A record that the crash cut short is dropped
    when the log is opened again, and writing continues there. One process writes at a time, any
    number may read.

    Attributes:
        path: the file; `mtlgym.agents.off_policy.log` describes it.
        header: arms, their names, the policy's name and whatever else the log says of itself.
        flush_every: records that are written at once; a crash can lose one fewer.
    """

    def __init__(
        self, file: FileIO, path: Path, header: Header, start: int, size: int, flush_every: int
    ) -> None:
        """Take a file that `OffPolicyLog.create` or `OffPolicyLog.open` has made ready."""
        self.path, self.header, self.flush_every = path, header, flush_every
        self._file, self._start = file, start
        self._written, self._pending = size, bytearray()

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
        """Start a log in a file that is not there yet.

        Args:
            path: the file.
            arms: how many there are to choose from.
            tasks: their names, one each, or none.
            policy: name of the policy that decides.
            metadata: whatever JSON can hold.
            flush_every: records that are written at once.

        Raises:
            OSError: if the file is there already or cannot be written; names it.
            ValueError: names the argument and the value.
        """
        checks.integer("flush_every", flush_every, 1)
        header, path = Header(arms, tuple(tasks), policy, metadata or {}), Path(path)
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
        """Continue a log, behind its last whole record or behind the first `size`.

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
            content = unpack(path.read_bytes(), str(path), size)
            decisions_of(content, str(path))
            kept = len(content.records)
            if content.rest and size is None:
                warn(cut_short(content, str(path)), stacklevel=2)
            file.truncate(content.start + kept * FIELDS.itemsize)
        except BaseException:
            file.close()
            raise
        return cls(file, path, content.header, content.start, kept, flush_every)

    def __len__(self) -> int:
        """How many decisions it holds, those that are still to be flushed included."""
        return self._written + len(self._pending) // FIELDS.itemsize

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
            action: the arm chosen.
            propensity: the probability that the policy chose it with, in (0, 1].
            reward: what it brought, finite.
            step: when it was made; None takes the number of decisions before it.

        Raises:
            OSError: if it cannot be written; names the file. The decision is not added then.
            ValueError: names the argument and the value, or the log, where it is closed.
        """
        self._check_open()
        check_decisions(action, propensity, reward, self.header.arms)
        step = len(self) if step is None else step
        checks.integer("step", step, 0)
        values = index(action), int(step), float(propensity), float(reward)
        self._pending += pack_record(len(self), *values)
        if len(self._pending) >= self.flush_every * FIELDS.itemsize:
            try:
                self.flush()
            except OSError:
                del self._pending[-FIELDS.itemsize :]
                raise

    def flush(self) -> None:
        """Hand what is pending to the operating system.

        Raises:
            OSError: if it cannot be written; names the file, which then ends where it did before.
            ValueError: if the log is closed.
        """
        self._check_open()
        end = self._start + self._written * FIELDS.itemsize
        write(self._file, end, bytes(self._pending), self.path)
        self._written, self._pending = len(self), bytearray()

    def decisions(self) -> Decisions:
        """All decisions, read back from the file.

        Raises:
            OSError: if what is pending cannot be written, or the file not read.
            ValueError: for a damaged file; names it and the record.
        """
        if not self._file.closed:
            self.flush()
        return read(self.path)

    def close(self) -> None:
        """Flush and close; a second time does nothing.

        Raises:
            OSError: if what is pending cannot be written; the log is closed all the same.
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
