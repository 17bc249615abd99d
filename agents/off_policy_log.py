"""A log of decisions that is written while they are made and evaluated later."""

import os
from collections.abc import Mapping, Sequence
from io import FileIO
from operator import index
from pathlib import Path
from types import TracebackType
from typing import Any, SupportsFloat, SupportsIndex
from warnings import warn

from mtlgym import checks
from mtlgym.agents import log_file, log_format, logged_decisions
from mtlgym.agents.log_format import FIELDS, Header
from mtlgym.agents.logged_decisions import Decisions


class OffPolicyLog:
    """Write down decisions, the probabilities they were made with, and their rewards.

    What was flushed survives a crash of the process. A record that the crash cut short is dropped
    when the log is opened again, and writing continues there. One process writes at a time, any
    number may read.

    Attributes:
        path: the file; `mtlgym.agents.log_format` describes it.
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
        content = log_format.pack_header(header)
        file = log_file.lock(path, "x")
        try:
            log_file.write(file, 0, content, path)
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
        file = log_file.lock(path, "r+")
        try:
            content = log_format.unpack(path.read_bytes(), str(path), size)
            logged_decisions.decisions_of(content, str(path))
            kept = len(content.records)
            if content.rest and size is None:
                warn(logged_decisions.cut_short(content, str(path)), stacklevel=2)
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
        logged_decisions.check_decisions(action, propensity, reward, self.header.arms)
        step = len(self) if step is None else step
        checks.integer("step", step, 0)
        values = index(action), int(step), float(propensity), float(reward)
        self._pending += log_format.pack_record(len(self), *values)
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
        log_file.write(self._file, end, bytes(self._pending), self.path)
        self._written, self._pending = len(self), bytearray()

    def decisions(self) -> Decisions:
        """All decisions, read back from the file.

        Raises:
            OSError: if what is pending cannot be written, or the file not read.
            ValueError: for a damaged file; names it and the record.
        """
        if not self._file.closed:
            self.flush()
        return logged_decisions.read(self.path)

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
