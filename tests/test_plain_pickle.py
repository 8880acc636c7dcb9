"""Pickles from strangers: data comes out right, and nothing else happens."""

from __future__ import annotations

import copyreg
import pickle
import struct

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from loader_fixtures import (
    bounded,
    damage,
    little_memory,
    loaded_or_refused,
    needs_treebank,
    refused,
    treebank_file,
)

from lrplstm.loaders.plain_pickle import load_plain_pickle

PROTOCOLS = range(pickle.HIGHEST_PROTOCOL + 1)


def load(content):
    return load_plain_pickle(content, "strange.pkl")


# Right data -------------------------------------------------------------------------------------

plain_data = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda parts: (
        st.lists(parts)
        | st.lists(parts, max_size=4).map(tuple)
        | st.dictionaries(st.text(), parts, max_size=4)
    ),
    max_leaves=20,
)


@bounded
@given(plain_data, st.sampled_from(PROTOCOLS))
@example(["line\nbreak", "nul\0", "\\u0041", "\ud800", "😀", "a" * 300, "b" * 70_000], 0)
@example([-(2**2100), 2**63, -129, 255, 256, 65536, -0.0, float("inf")], 2)
@example([{str(n): n} for n in range(2500)], 4)
def test_plain_data(data, protocol):
    found = load(pickle.dumps(data, protocol))
    assert found == data
    assert repr(found) == repr(data)  # True is not 1, nor -0.0 0.0


GRID = np.random.default_rng(0).normal(size=(2, 3, 4))
ARRAYS = {
    "float64": GRID,
    "float32": GRID.astype("f4"),
    "float16": GRID.astype("f2"),
    "big-endian": GRID.astype(">f8"),
    "Fortran": np.asfortranarray(GRID),
    "transposed": GRID.transpose(1, 0, 2),
    "every other": GRID[:, ::2],
    "one number": np.array(2.5),
    "none": np.zeros((0, 5)),
    "NaN, infinity, -0": np.array([np.nan, -np.inf, -0.0, 5e-324]),
    "another NaN": np.array([0x7FF8000000000123], np.uint64).view(float),
    "int64": np.array([[-(2**63), 1], [2**63 - 1, -2]]),
    "uint8": np.arange(256, dtype=np.uint8),  # every byte there is
    "bool": np.array([True, False]),
    "str": np.array(["a", "naïve", "😀"]),
    "big-endian str": np.array(["a", "é"]).astype(">U3"),
    "bytes": np.array([b"a", b"bcd"]),
}


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("array", ARRAYS.values(), ids=ARRAYS)
def test_arrays_bit_by_bit(array, protocol):
    for module in (b"numpy._core", b"numpy.core"):
        content = pickle.dumps({"x": array}, protocol)
        # Some strings carry their length in the byte before them.
        content = content.replace(b"\x16numpy._core.multiarray", b"\x15numpy.core.multiarray")
        content = content.replace(b"\x13numpy._core.numeric", b"\x12numpy.core.numeric")
        found = load(content.replace(b"numpy._core", module))["x"]
        assert found.dtype == array.dtype
        assert found.dtype.byteorder == array.dtype.byteorder
        assert found.shape == array.shape
        assert found.tobytes() == array.tobytes()
        assert not found.flags.writeable


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize(
    "scalar", [np.float32(1.1), np.float64(-0.1), np.int64(-3), np.bool_(True), np.str_("é")]
)
def test_numpy_scalars(scalar, protocol):
    found = load(pickle.dumps([scalar], protocol))[0]
    assert type(found) is type(scalar)
    assert found == scalar


# What Python 2 wrote of {"x": array([[1.0, -2.0]])} ---------------------------------------------

PYTHON_2_PROTOCOL_0 = rb"""(dp0
S'x'
p1
cnumpy.core.multiarray
_reconstruct
p2
(cnumpy
ndarray
p3
(I0
tp4
S'b'
p5
tp6
Rp7
(I1
(I1
I2
tp8
cnumpy
dtype
p9
(S'f8'
p10
I0
I1
tp11
Rp12
(I3
S'<'
p13
NNNI-1
I-1
I0
tp14
bI00
S'\x00\x00\x00\x00\x00\x00\xf0?\x00\x00\x00\x00\x00\x00\x00\xc0'
p15
tp16
bs."""
PYTHON_2_PROTOCOL_2 = (
    b"\x80\x02}q\x00U\x01xq\x01cnumpy.core.multiarray\n_reconstruct\nq\x02cnumpy\nndarray\nq\x03"
    b"K\x00\x85q\x04U\x01bq\x05\x87q\x06Rq\x07(K\x01K\x01K\x02\x86q\x08cnumpy\ndtype\nq\t"
    b"U\x02f8q\nK\x00K\x01\x87q\x0bRq\x0c(K\x03U\x01<q\rNNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00"
    b"tq\x0eb\x89U\x10\x00\x00\x00\x00\x00\x00\xf0?\x00\x00\x00\x00\x00\x00\x00\xc0q\x0ftq\x10bs."
)


@pytest.mark.parametrize("content", [PYTHON_2_PROTOCOL_0, PYTHON_2_PROTOCOL_2])
def test_pickles_of_python_2(content):
    found = load(content)
    assert list(found) == ["x"]
    assert found["x"].dtype == np.float64
    np.testing.assert_array_equal(found["x"], [[1.0, -2.0]])
    np.testing.assert_array_equal(pickle.loads(content, encoding="latin1")["x"], found["x"])


def test_what_occurs_twice_is_one_object():
    array, words = np.arange(3.0), ["a", "b"]
    found = load(pickle.dumps([array, words, array, words]))
    assert found[0] is found[2]
    assert found[1] is found[3]


@needs_treebank
def test_the_2017_files():
    content = treebank_file("arras_model/model").read_bytes()
    found = load(content)
    expected = pickle.loads(content, encoding="latin1")
    assert list(found) == list(expected)
    for name, array in expected.items():
        assert found[name].dtype == array.dtype == np.float64
        assert found[name].shape == array.shape
        assert found[name].tobytes() == array.tobytes()
    content = treebank_file("arras_model/vocab").read_bytes()
    assert load(content) == pickle.loads(content)
    assert len(load(content)) == 19538


# Programs ---------------------------------------------------------------------------------------

PROGRAMS = {
    "REDUCE": "cos\nsystem\n(VCOMMAND\ntR.",
    "INST": "(VCOMMAND\nios\nsystem\n.",
    "OBJ": "(cos\nsystem\nVCOMMAND\no.",
    "NEWOBJ": "\x80\x02cnumpy\nmemmap\n(VMARKER\nVu1\nVw+\nI0\nI3\nt\x81.",
    "NEWOBJ_EX": "\x80\x04cnumpy\nmemmap\n(VMARKER\nVu1\nVw+\nI0\nI3\nt}\x92.",
    "EXT1": "\x80\x02\x82\xf0(VCOMMAND\ntR.",
    "EXT2": "\x80\x02\x83\xf0\x00(VCOMMAND\ntR.",
    "EXT4": "\x80\x02\x84\xf0\x00\x00\x00(VCOMMAND\ntR.",
    "STACK_GLOBAL": "\x80\x04\x8c\x02os\x8c\x06system\x93(VCOMMAND\ntR.",
    "dotted name": "\x80\x04\x8c\x09posixpath\x8c\x09os.system\x93(VCOMMAND\ntR.",
    "eval": "cbuiltins\neval\n(Vopen('MARKER', 'w').close()\ntR.",
    "exec": "c__builtin__\nexec\n(Vopen('MARKER', 'w').close()\ntR.",
    "getattr": "cbuiltins\ngetattr\n(cbuiltins\n__import__\n(Vos\ntRVsystem\ntR(VCOMMAND\ntR.",
    "numpy": "cnumpy\nsavetxt\n(VMARKER\n(lI1\natR.",
    "within data": "(dVx\n(lcos\nsystem\n(VCOMMAND\ntRas.",
    "within an array": "cnumpy.core.multiarray\n_reconstruct\n(cos\nsystem\n(VCOMMAND\ntRtR.",
}


@pytest.fixture
def extension():
    """Number 0xF0 among what pickles may name by number alone."""
    copyreg.add_extension("os", "system", 0xF0)
    yield
    copyreg.remove_extension("os", "system", 0xF0)
    copyreg.clear_extension_cache()


@pytest.mark.usefixtures("extension")
@pytest.mark.filterwarnings("ignore:numpy.core")
@pytest.mark.parametrize("program", PROGRAMS.values(), ids=PROGRAMS)
def test_nothing_is_run(program, tmp_path):
    marker = tmp_path / "marker"
    program = program.replace("COMMAND", f"echo > {marker}").replace("MARKER", str(marker))
    content = program.encode("latin1")
    with refused(r"^strange\.pkl: refused: it "):
        load(content)
    assert not marker.exists()
    try:  # it is a program that Python's own unpickler would have run
        pickle.loads(content)
    except TypeError:
        assert "_reconstruct" in program
    assert marker.exists()


@pytest.mark.parametrize(
    "content",
    [
        b"c_codecs\nencode\n(N}V__defaults__\n(Vlatin1\ntstb.",
        b"cnumpy\nndarray\n}Vfill\nI0\nsb.",
        b"]}Vappend\nNsb.",
        b"cnumpy\ndtype\n(Vf8\ntR(NN}Vkind\nVO\nstb.",
        b"Vapp\nVend\n\x93.",
        b"]]\x93.",
        b"]cos\nsystem\na.",
        b"cnumpy\nndarray\n.",
        b"(lcnumpy\ndtype\n(Vf8\ntRa.",
        b"cnumpy.core.multiarray\n_reconstruct\n(tR.",
        b"c__builtin__\nbytes\n(I1000000000\ntR.",
        b"c_codecs\nencode\n(Va\nVutf-8\ntR.",
        b"c_codecs\nencode\n(]Vlatin1\ntR.",
        b"Vf8\n(tR.",
        b"Ppersistent\n.",
        b"\x80\x02X\x01\x00\x00\x00aQ.",
        b"\x80\x05\x97.",
        b"\x80\x05C\x01a\x98.",
        b"\x80\x04\x8f(K\x01\x90.",
    ],
)
def test_other_instructions_are_refused(content):
    with refused(r"^strange\.pkl: "):
        load(content)


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize(
    "data",
    [
        {1, 2},
        frozenset("a"),
        1 + 2j,
        range(3),
        {1: "integer key"},
        {("tuple",): "key"},
        {None: "key"},
        np.dtype("f8"),
        np.float64,
        np.array([1, "a", None], object),
        np.array([(1, 2.0)], "i4,f8"),
        np.zeros(2, "2f8,f8"),
        np.array([1 + 2j]),
        np.array(["2020-01-01"], "M8[D]"),
        np.zeros(2, "V3"),
        np.ma.masked_array([1.0, 2.0], [True, False]),
        np.datetime64("2020-01-01"),
        len,
    ],
    ids=repr,
)
def test_other_data_is_refused(data, protocol):
    with refused(r"^strange\.pkl: refused: "):
        load(pickle.dumps(data, protocol))


# Bombs ------------------------------------------------------------------------------------------

DTYPE = b"cnumpy\ndtype\n(VCODE\nI0\nI1\ntR(I3\nVORDER\nNNNI-1\nI-1\nI0\ntb"


def array_of(shape, *, code=b"f8", order=b"<", data=bytes(16)):
    """The pickle of an array; shape is in instructions."""
    dtype = DTYPE.replace(b"CODE", code).replace(b"ORDER", order)
    data = b"B" + struct.pack("<I", len(data)) + data
    start = b"cnumpy.core.multiarray\n_reconstruct\n(tR"
    return start + b"(I1\n" + shape + dtype + b"I00\n" + data + b"tb."


def test_array_of():
    np.testing.assert_array_equal(load(array_of(b"(I1\nI2\nt")), [[0.0, 0.0]])


def laughs(kind, levels=60):
    """Instructions that make 2**60 things of a few bytes: each level holds the one below twice."""
    value = kind("ha")
    for _ in range(levels):
        value = kind([value, value])
    return pickle.dumps(value, 2)[2:-1]


HUGE = b"\x8b" + struct.pack("<i", 50_000) + b"\x7f" * 50_000  # a number of 400,000 bits
BOMBS = {
    "bytes": b"\x8e" + struct.pack("<Q", 2**40) + b"abc.",
    "bytearray": b"\x96" + struct.pack("<Q", 2**40) + b"abc.",
    "str": b"\x8d" + struct.pack("<Q", 2**63) + b"abc.",
    "Python 2 str": b"T" + struct.pack("<i", -5) + b"abcdefgh.",
    "long": b"\x8b" + struct.pack("<i", 2**31 - 1) + b"abc.",
    "decimal": b"L" + b"9" * 50_000 + b"L\n.",
    "frame": b"\x80\x04\x95" + struct.pack("<Q", 2**62) + b"\x8e" + bytes(7),
    "memo": b"Np4000000000\n0.",
    "binary memo": b"Nr" + struct.pack("<I", 2**32 - 1) + b".",
    "negative memo": b"Np-1\n.",
    "long shape": array_of(b"(I1099511627776\nt"),
    "negative shape": array_of(b"(I-2\nt"),
    "two negative sizes": array_of(b"(I-2\nI-1\nt"),
    "many dimensions": array_of(b"(" + b"I1\n" * 5000 + b"I2\nt"),
    "huge dimensions": array_of(b"(" + HUGE + b"q\x00" + b"h\x00" * 2000 + b"t"),
    "huge dimensions of nothing": array_of(b"(I0\n" + HUGE + b"t", data=b""),
    "shape of floats": array_of(b"(F2.0\nt"),
    "shape of True": array_of(b"(I01\nI2\nt"),
    "shape in a list": array_of(b"(lI2\na"),
    "shape of shapes": array_of(laughs(tuple)),
    "object": array_of(b"(I2\nt", code=b"O8"),
    "void": array_of(b"(I2\nt", code=b"V8"),
    "complex": array_of(b"(I1\nt", code=b"c16"),
    "records": array_of(b"(I1\nt", code=b"f8,f8"),
    "subarray": array_of(b"(I1\nt", code=b"2f8"),
    "empty str": array_of(b"(I1099511627776\nt", code=b"U0", data=b""),
    "endless str": array_of(b"(I2\nt", code=b"U99999999999"),
    "no Unicode": array_of(b"(I2\nt", code=b"U2", data=b"\xff" * 16),
    "no number": array_of(b"(I2\nt", code=b"f3"),
    "byte order": array_of(b"(I2\nt", order=b"?"),
    "bytes that fill no shape": array_of(b"(I2\nt", data=bytes(15)),
    "dict key": b"}" + laughs(tuple) + b"Ns.",
    "encoding": b"c_codecs\nencode\n(Va\n" + laughs(tuple) + b"tR.",
    "name": laughs(tuple) + b"Va\n\x93.",
    "called": laughs(list) + b"(tR.",
    "state": b"cnumpy\ndtype\n(Vf8\ntR" + laughs(tuple) + b"b.",
}


@pytest.mark.parametrize("content", BOMBS.values(), ids=BOMBS)
def test_bombs_are_refused_in_little_memory(content):
    with little_memory(50_000 + 5 * len(content)), refused(r"^strange\.pkl: "):
        load(content)


def test_one_list_a_billion_times():
    content = laughs(list) + b"."
    with little_memory(50_000):
        found = load(content)
    for _ in range(60):
        assert found[0] is found[1]
        found = found[0]
    assert found == ["h", "a"]


def test_one_text_in_many_arrays_takes_its_memory_once():
    text = b"X" + struct.pack("<I", 80_000) + b"a" * 80_000
    once = b"c_codecs\nencode\nq\x00(" + text + b"Vlatin1\ntq\x01R"
    with little_memory(1_000_000):
        found = load(b"(l" + once + b"a" + b"h\x00h\x01Ra" * 2000 + b".")
    assert found == [b"a" * 80_000] * 2001


def nested(depth):
    return b"]" * depth + b"a" * (depth - 1) + b"."


def test_nesting():
    assert repr(load(nested(101))).count("[") == 101
    for depth in (102, 1000, 100_000):
        with refused("nested more than 100 deep"):
            load(nested(depth))
    with refused("nested more than 100 deep"):
        load(b"]q\x00h\x00a.")  # a list that contains itself


# Damage -----------------------------------------------------------------------------------------

HONEST = [
    pickle.dumps({"x": np.arange(6.0).reshape(2, 3), "y": ["a", 2, 0.5, None, (True,)]}, protocol)
    for protocol in PROTOCOLS
] + [PYTHON_2_PROTOCOL_0, PYTHON_2_PROTOCOL_2]


@pytest.mark.parametrize("content", HONEST)
def test_every_beginning_is_refused(content):
    for stop in range(len(content)):
        with refused(r"^strange\.pkl: "):
            load(content[:stop])


def is_plain(value):
    if isinstance(value, dict):
        return all(type(key) is str and is_plain(item) for key, item in value.items())
    if isinstance(value, list | tuple):
        return all(map(is_plain, value))
    return value is None or type(value) in (bool, int, float, str, bytes, np.ndarray, np.float64)


@bounded
@given(damage(HONEST) | st.binary() | st.binary().map(lambda content: content + b"."))
def test_damage_is_refused_or_harmless(content):
    assert is_plain(loaded_or_refused(load, content))


@pytest.mark.parametrize("content", [b"", b".", b"N", b"\x80", b"\x80\x04.", b"not a pickle\n"])
def test_no_pickle(content):
    with refused(r"^strange\.pkl: "):
        load(content)


def test_errors_name_what_a_pickle_asks_for():
    with refused(r"strange\.pkl: refused: it names os\.system; expected lists, dicts, strings"):
        load(b"cos\nsystem\n.")
    with refused(r"strange\.pkl: refused: it names o\\ns\.\\x1b; expected"):
        load(b"Vo\\u000as\nV\\u001b\n\x93.")
