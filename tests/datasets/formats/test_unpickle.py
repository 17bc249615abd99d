import pickle
import pickletools
import struct
from collections import OrderedDict
from datetime import date
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from mtlgym.datasets.formats import unpickle
from tests.datasets.formats.pickles import python2

NAMES = {b"text": "\u00e9", b"bytes": bytes(range(256)) * 2, 3: [1, -5, 2**40, 10**30]}
VALUE = NAMES | {b"nested": {b"a": [{}, [], None, True, False, 0.25]}, b"long": list(range(3000))}
ARRAYS = {
    "bytes": np.arange(24, dtype=np.uint8).reshape(2, 3, 4),
    "fortran": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
    "big_endian": np.arange(5, dtype=">i4"),
    "halves": np.arange(5, dtype=np.float16),
    "flags": np.array([True, False]),
    "empty": np.zeros((0, 4), np.int64),
    "number": np.array(7.0),
}
BEGUN = b"\x80\x02cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\nK\x00\x85U\x01btR"
ELEMENT = (
    b"cnumpy\ndtype\nU\x02u1K\x00K\x01\x87R(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"
)


def load(tmp_path, content):
    path = tmp_path / "file"
    path.write_bytes(content)
    return unpickle.load(path)


def refused(tmp_path, content, match):
    with pytest.raises(ValueError, match=match) as caught:
        load(tmp_path, content)
    assert str(tmp_path / "file") in str(caught.value)


def array(shape=b"K\x03\x85", data=b"U\x03abc", dtype=ELEMENT, version=b"K\x01"):
    """A dict with an array of these opcodes."""
    return (
        b"\x80\x02}U\x01a" + BEGUN[2:] + b"(" + version + shape + dtype + b"\x89" + data + b"tbs."
    )


def pickled(value, form):
    return python2(value) if form == 2 else pickle.dumps(value, form)


@pytest.mark.parametrize("form", [2, 3, 4])
def test_plain_values_are_as_pickle_reads_them(tmp_path, form):
    content = pickled(VALUE, form)
    assert load(tmp_path, content) == pickle.loads(content, encoding="bytes") == VALUE


@pytest.mark.parametrize("form", [2, 3, 4])
@pytest.mark.parametrize("name", ARRAYS)
def test_arrays_are_as_they_were(tmp_path, form, name):
    found = load(tmp_path, pickled({"x": ARRAYS[name], "again": [ARRAYS[name]]}, form))
    for each in (found["x"], found["again"][0]):
        assert each.dtype == ARRAYS[name].dtype
        assert_array_equal(each, ARRAYS[name])


def test_the_helpers_files_are_in_the_official_form(tmp_path):
    content = python2({b"data": ARRAYS["bytes"], b"label": b"training batch 1 of 1"})
    asked = {argument for code, argument, _ in pickletools.genops(content) if code.name == "GLOBAL"}
    assert asked == {"numpy.core.multiarray _reconstruct", "numpy ndarray", "numpy dtype"}
    assert b"U\x15training batch 1 of 1" in content
    assert not any("BYTES" in code.name for code, *_ in pickletools.genops(content))


def test_the_arrays_by_hand_are_read(tmp_path):
    assert load(tmp_path, array())[b"a"].tolist() == [97, 98, 99]


class Call:
    """Calls something when it is unpickled."""

    def __init__(self, what, *arguments):
        self.parts = what, arguments

    def __reduce__(self):
        return self.parts


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_no_call_that_a_pickle_asks_for_is_made(tmp_path, protocol):
    mark = tmp_path / "mark"
    content = pickle.dumps({"a": Call(Path.mkdir, mark)}, protocol)
    with pytest.raises(ValueError, match="file is damaged, or no pickle of plain"):
        load(tmp_path, content)
    assert not mark.exists()
    pickle.loads(content)  # it is one that works
    assert mark.exists()


@pytest.mark.parametrize(
    ("content", "asked"),
    [
        (b"cos\nsystem\n(S'id'\ntR.", "asks for os.system"),
        (b"\x80\x02cos\nsystem\nU\x02id\x85R.", "asks for os.system"),
        (b"\x80\x02c__builtin__\neval\nU\x011\x85R.", "asks for __builtin__.eval"),
        (pickle.dumps({"a": Call(eval, "1")}, 4), "asks for builtins.eval"),
        (pickle.dumps(Call(eval, "1"), 2), "asks for __builtin__.eval"),
        (pickle.dumps({"a": Call(eval, "1")}, 0), "opcode DICT"),
        (b"(ios\nsystem\n.", "opcode INST with 'os system'"),
        (b"(cos\nsystem\no.", "asks for os.system"),
        (b"\x80\x02ccopyreg\n_reconstructor\n.", "asks for copyreg._reconstructor"),
        (b"\x80\x02ccopy_reg\n_reconstructor\n.", "asks for copy_reg._reconstructor"),
        (b"\x80\x02c_codecs\nencode\n.", "asks for _codecs.encode"),
        (b"\x80\x02cnumpy\nload\n.", "asks for numpy.load"),
        (b"\x80\x02cnumpy.core.multiarray\nscalar\n.", "asks for numpy.core.multiarray.scalar"),
        (pickle.dumps({"a": np.float64(1)}, 4), "asks for numpy._core.multiarray.scalar"),
        (pickle.dumps({"a": date(2020, 1, 1)}, 2), "asks for datetime.date"),
        (pickle.dumps(OrderedDict(a=1), 2), "asks for collections.OrderedDict"),
        (b"S'\\c'\n.", "opcode STRING"),
        (b"\x80\x02}\xff", "no opcode '\xff'"),
        (b"\x80\x02}", "it has no end"),
        (b"Pfile\n.", "opcode PERSID with 'file'"),
        (b"\x80\x02U\x01aQ.", "opcode BINPERSID"),
        (b"\x80\x02\x82\x01.", "opcode EXT1"),
        (b"\x80\x02\x83\x01\x00.", "opcode EXT2"),
        (b"\x80\x02\x84\x01\x00\x00\x00.", "opcode EXT4"),
        (b"\x80\x02cnumpy\nndarray\nK\x03\x85\x81.", "opcode NEWOBJ"),
        (b"\x80\x04\x8c\x05numpy\x8c\x07ndarrayK\x03\x85}\x92.", "damaged"),
        (b"\x80\x04]]\x93.", "expected str"),
        (b"\x80\x02cnumpy\nndarray\nJ\xff\xff\xff\x7f\x85R.", "calls ndarray"),
        (b"\x80\x02cnumpy\ndtype\nU\x02O8K\x00K\x01\x87R.", "asks for an array of 'O8'"),
        (b"\x80\x02cnumpy\ndtype\nU\x02V8K\x00K\x01\x87R.", "asks for an array of 'V8'"),
        (b"\x80\x02}U\x01aR.", "calls dict"),
        (b"\x80\x02}}b.", "sets the state of a dict"),
        (b"\x80\x02cnumpy\nndarray\n}b.", "sets the state of a Global"),
        (pickle.dumps({"a": np.array([{}, Call(eval, "1")])}, 4), "asks for an array of 'O8'"),
        (pickle.dumps({"a": np.zeros(2, "i4,f4")}, 4), "asks for an array of 'V8'"),
        (pickle.dumps({"a": {1, 2}}, 4), "opcode EMPTY_SET"),
        (pickle.dumps({"a": (1, 2)}, 4), "holds a tuple"),
        (b"\x80\x02}U\x01acnumpy\nndarray\ns.", "holds a Global"),
        (b"\x80\x02}U\x01a" + BEGUN[2:] + b"s.", "holds a NoneType"),
        (BEGUN + b".", "holds a Unfinished, not a dict"),
        (pickle.dumps([1], 4), "holds a list, not a dict"),
        (b"\x80\x02}]Ns.", "unhashable"),
        (b"\x80\x02}Na.", "appends to what is no list"),
        (b"\x80\x02]NNs.", "sets an item of what is no dict"),
        (b"\x80\x02}(Nu.", "zip"),
        (b"\x80\x02s.", "takes more than it has put in"),
        (b"\x80\x02}u.", "takes more than it has put in"),
        (b"\x80\x02h\x05.", "damaged"),
        (b"\x80\x02q\x05.", "damaged"),
        (b"\x80\x02}.}", "something follows its end"),
        (b"", "damaged"),
        (b"\x1f\x8b\x08\x00 a gzip", "damaged"),
        (b"<!DOCTYPE html>", "damaged"),
    ],
)
def test_all_that_is_not_plain_is_refused_by_name(tmp_path, content, asked):
    refused(tmp_path, content, asked)


@pytest.mark.parametrize(
    "content",
    [
        b"\x80\x02}r" + b"\xff" * 4 + b".",  # a memo of four billion entries
        b"\x80\x04}B" + b"\xff" * 4 + b"x.",  # four billion bytes
        b"\x80\x04}\x8e" + struct.pack("<Q", 2**62) + b"x.",
        b"\x80\x04}X" + b"\xff" * 4 + b"x.",
        b"\x80\x02}T" + b"\xff\xff\xff\x7f" + b"x.",
        b"\x80\x02}\x8b" + b"\xff\xff\xff\x7f" + b"x.",
        array(shape=b"\x8a\x07" + b"\xff" * 6 + b"\x00\x85"),
        array(shape=b"(" + b"J\xff\xff\xff\x7f" * 30 + b"t"),
        array(shape=b"K\x00\x8a\x0a" + b"\xff" * 9 + b"\x00\x86", data=b"U\x00"),
    ],
)
def test_no_more_memory_is_taken_than_the_file_has(tmp_path, content):
    if content[3:4] == b"r":  # no memory is set aside for the entries in between
        assert load(tmp_path, content) == {}
    else:
        refused(tmp_path, content, "damaged")


@pytest.mark.parametrize(
    ("opcodes", "what"),
    [
        ({"data": b"U\x02ab"}, r"an array \(3,\) of uint8 in 2 bytes"),
        ({"data": b"X\x03\x00\x00\x00abc"}, "an unknown form"),
        ({"data": b"]"}, "an unknown form"),
        ({"dtype": b"N"}, "an unknown form"),
        ({"dtype": b"cnumpy\ndtype\nU\x02u1K\x00K\x01\x87R"}, "an unknown form"),
        ({"version": b"K\x02"}, "an unknown form"),
        ({"shape": b"K\x03"}, "without a shape"),
        ({"shape": b"J\xfd\xff\xff\xffJ\xff\xff\xff\xff\x86"}, "without a shape"),
        ({"shape": b"G\x40\x08\x00\x00\x00\x00\x00\x00\x85"}, "without a shape"),
        ({"shape": b"(" + b"K\x01" * 33 + b"t"}, "without a shape"),
        ({"dtype": ELEMENT.replace(b"|NNN", b"|N}N")}, "'u1' with more to it"),
        ({"dtype": ELEMENT.replace(b"U\x02u1", b"U\x02b8")}, "damaged"),
    ],
)
def test_arrays_whose_parts_do_not_fit_are_refused(tmp_path, opcodes, what):
    refused(tmp_path, array(**opcodes), what)


@pytest.mark.parametrize("form", [2, 4])
def test_a_file_that_is_cut_anywhere_is_refused(tmp_path, form):
    content = pickled({b"a": ARRAYS["bytes"], b"b": [1, b"x"]}, form)
    for end in range(len(content)):
        refused(tmp_path, content[:end], "damaged")


@pytest.mark.parametrize("form", [2, 4])
def test_whatever_bytes_are_flipped_it_is_read_or_refused(tmp_path, form):
    content, rng = (
        pickled(VALUE | {"x": ARRAYS["bytes"], b"long": [1]}, form),
        np.random.default_rng(0),
    )
    found = 0
    for _ in range(200):
        damaged = bytearray(content)
        for at in rng.integers(len(content), size=2):
            damaged[at] = rng.integers(256)
        try:
            found += isinstance(load(tmp_path, bytes(damaged)), dict)
        except ValueError as error:
            assert str(tmp_path / "file") in str(error)
    assert 0 < found < 200


def test_an_array_can_be_read_only_and_takes_no_second_copy(tmp_path):
    found = load(tmp_path, array())[b"a"]
    assert not found.flags.writeable
    assert isinstance(found.base, bytes)
