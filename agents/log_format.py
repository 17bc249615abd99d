r"""The file format of logged decisions.

All numbers are little-endian. A file starts with a header:

    8 bytes  the magic number, \x89MTLLOG\n
    uint32   version of the format, 1
    uint32   length of the JSON text
    ...      JSON text, UTF-8: {"arms", "tasks", "policy", "metadata"}
    uint32   CRC-32 of all before

Records of 32 bytes follow, one a decision:

    uint32   CRC-32 of the other 28 bytes, started from the record's number, counted from 0
    uint32   action, in [0, arms)
    int64    step
    float64  propensity, in (0, 1]
    float64  reward, finite

So a record that was changed, moved or repeated has another CRC. One that was cut short can only be
the last.
"""

import json
import struct
import zlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

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
