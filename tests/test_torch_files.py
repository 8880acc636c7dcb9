"""Files of PyTorch from strangers: a model or one error, no code run, and little memory."""

from __future__ import annotations

import argparse
import collections
import contextlib
import datetime
import fractions
import io
import json
import os
import pathlib
import pickle
import re
import struct
import subprocess
import sys
import uuid
import warnings
import zipfile

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from loader_fixtures import damage, little_memory, refused_or_read
from pairwise import pairwise
from random_models import relative_error
from safetensors.torch import save as safetensors_bytes
from torch import nn
from torch_networks import Network

import lrplstm

# What is assumed of weights alone has its own tests, in test_torch_forward.py.
pytestmark = pytest.mark.filterwarnings("ignore:source. .*so this is assumed:UserWarning")

NETWORK = Network(V=9, dtype=torch.float32)
STATE = NETWORK.state_dict()
HIDDEN = "encoder.rnn.weight_hh_l0"
FOLDER = "archive/"


def torch_bytes(content, **options):
    file = io.BytesIO()
    torch.save(content, file, **options)
    return file.getvalue()


def old_bytes(content, **options):
    return torch_bytes(content, _use_new_zipfile_serialization=False, **options)


def write(folder, content, name="model.pt"):
    (folder / name).write_bytes(content)
    return folder / name


def entries(content):
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def zipped(files, compression=zipfile.ZIP_STORED):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", compression) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return file.getvalue()


def archive_of(pickled, **others):
    """An archive with this pickle in it, and no storages."""
    files = {"data.pkl": pickled, "version": b"3\n", **others}
    return zipped({f"{FOLDER}{name}": content for name, content in files.items()})


def assert_reads(path, bound=1e-5):
    model = lrplstm.from_torch(path)
    for ids in ([1], [3, 0, 8, 2]):
        expected = NETWORK(torch.tensor(ids)).detach().numpy()
        assert relative_error(model.predict(ids), expected) < bound


def assert_refused(path, match, limit=2**22):
    with little_memory(limit), pytest.raises(ValueError, match=match) as caught:
        lrplstm.from_torch(path)
    text = str(caught.value)
    assert text.startswith(f"{path}: ")
    assert len(text.splitlines()) == 1
    assert len(text) < len(str(path)) + 500


@pytest.fixture(autouse=True, scope="module")
def _imported(tmp_path_factory):
    """What is imported on first use does not count as a file's memory."""
    lrplstm.from_torch(write(tmp_path_factory.mktemp("first"), torch_bytes(STATE)))
    path = tmp_path_factory.mktemp("first") / "model.safetensors"
    path.write_bytes(safetensors_bytes(STATE))
    lrplstm.from_torch(path)


# Where files lie --------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["model.pt", "model.safetensors"])
def test_paths(name, tmp_path):
    path = tmp_path / name
    assert_refused(path, "expected a file, found none")
    path.mkdir()
    assert_refused(path, "expected a file, found something else")
    path.rmdir()
    os.mkfifo(path)
    assert_refused(path, "expected a file, found something else")
    path.unlink()
    content = safetensors_bytes(STATE) if "safe" in name else torch_bytes(STATE)
    (tmp_path / "elsewhere").write_bytes(content)
    path.symlink_to("elsewhere")
    assert_reads(path)
    assert_reads(str(path))
    path.unlink()
    path.symlink_to(path)
    with pytest.raises(ValueError, match="model"):
        lrplstm.from_torch(path)


def test_the_ending_may_be_of_any_case(tmp_path):
    assert_reads(write(tmp_path, safetensors_bytes(STATE), "MODEL.SAFETENSORS"))
    assert_reads(write(tmp_path, torch_bytes(STATE), "checkpoint"))


def test_no_framework_is_needed(tmp_path):
    paths = [
        str(write(tmp_path, torch_bytes(STATE))),
        str(write(tmp_path, old_bytes(STATE), "model.pth")),
        str(write(tmp_path, safetensors_bytes(STATE), "model.safetensors")),
    ]
    code = (
        "import sys; sys.modules['torch'] = None; import lrplstm, numpy\n"
        "for path in sys.argv[1:]: print(*lrplstm.from_torch(path).predict([3, 0, 8]))"
    )
    result = subprocess.run([sys.executable, "-c", code, *paths], capture_output=True, check=True)
    found = np.array([line.split() for line in result.stdout.splitlines()], dtype=float)
    expected = NETWORK(torch.tensor([3, 0, 8])).detach().numpy()
    assert relative_error(found, np.array([expected] * 3)) < 1e-5


# What PyTorch can write -------------------------------------------------------------------------


def test_files_without_checksums(tmp_path):
    computed = torch.serialization.get_crc32_options()
    torch.serialization.set_crc32_options(False)
    try:
        content = torch_bytes(STATE)
    finally:
        torch.serialization.set_crc32_options(computed)
    with pytest.raises(zipfile.BadZipFile):
        entries(content)
    assert_reads(write(tmp_path, content))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16], ids=str)
def test_files_of_big_endian_machines(dtype, tmp_path):
    state = {name: tensor.to(dtype) for name, tensor in STATE.items()}
    files = entries(torch_bytes(state))
    files[f"{FOLDER}byteorder"] = b"big"
    for name, content in files.items():
        if name.startswith(f"{FOLDER}data/"):
            size = dtype.itemsize
            files[name] = np.frombuffer(content, f"V{size}").view(f"u{size}").byteswap().tobytes()
    assert_reads(write(tmp_path, zipped(files)), 1e-5 if dtype != torch.bfloat16 else 0.05)


def test_a_checksum_that_differs(tmp_path):
    content = torch_bytes(STATE)
    numbers = STATE[HIDDEN].numpy().tobytes()
    at = content.index(numbers)
    content = content[:at] + numbers[::-1] + content[at + len(numbers) :]
    assert_refused(write(tmp_path, content), "refused: 'archive/data/.*' is damaged: its checksum")


@pytest.mark.filterwarnings("ignore")  # PyTorch has some about every one of these
@pytest.mark.parametrize(
    ("change", "match"),
    [
        (lambda t: t.to_sparse(), "it has a sparse tensor"),
        (lambda t: t.to_sparse_csr(), "it has a sparse tensor"),
        (lambda t: t.to("meta"), "it has a meta tensor"),
        (lambda t: torch.quantize_per_tensor(t, 0.1, 0, torch.qint8), "it has a quantized tensor"),
        (lambda t: torch.nested.nested_tensor([t]), "it has a nested tensor"),
        (lambda t: t.to(torch.float8_e4m3fn), "a dense tensor .*, got one of torch.float8_e4m3fn"),
        (lambda t: t.to(torch.uint16), "a dense tensor with numbers, got one of torch.uint16"),
        (lambda t: t.int(), "expected float16, .*, got dtype int32"),
        (lambda t: t.double(), "expected the dtype of .*, float64, got float32"),
        (
            lambda t: t.expand(10**6, 16, 4),
            r"of shape \(1000000, 16, 4\) in a storage of 64 numbers",
        ),
        (
            lambda t: torch.ones(1).expand(16, 4),
            r"a tensor of shape \(16, 4\) in a storage of 1 numbers",
        ),
        (lambda t: t[:, :0], r"expected shape .*, got \(16, 0\)"),
        (lambda t: torch.full_like(t, np.nan), "expected finite numbers, got NaN or infinity"),
    ],
)
@pytest.mark.parametrize("save", [torch_bytes, old_bytes])
def test_tensors_that_are_refused(change, match, save, tmp_path):
    content = save(STATE | {HIDDEN: change(STATE[HIDDEN])})
    assert_refused(write(tmp_path, content), match)


@pytest.mark.parametrize("save", [torch_bytes, old_bytes, safetensors_bytes])
@pytest.mark.parametrize("name", STATE)
def test_shapes_that_do_not_fit(name, save, tmp_path):
    """Whichever tensor it is, the error names the file."""
    changes = [lambda t: t[..., 1:], lambda t: t[None], lambda t: t[1:]]
    if name == "embed.weight":  # it may have any number of rows
        changes.pop()
    for change in changes:
        state = STATE | {name: change(STATE[name]).contiguous()}
        path = write(tmp_path, save(state), "m.safetensors" if save is safetensors_bytes else "m")
        assert_refused(path, ": expected[ ,]")


def test_safetensors_that_are_refused(tmp_path):
    for dtype in (torch.float8_e4m3fn, torch.int64, torch.complex64):
        content = safetensors_bytes(STATE | {HIDDEN: STATE[HIDDEN].to(dtype)})
        assert_refused(write(tmp_path, content, "m.safetensors"), f"{HIDDEN}: expected .*, got ")
    content = safetensors_bytes(STATE | {HIDDEN: torch.zeros(16, 0)})
    assert_refused(write(tmp_path, content, "m.safetensors"), rf"{HIDDEN}: .*, got \(16, 0\)")


# What checkpoints have beside weights -----------------------------------------------------------


def with_attribute(tensor):
    tensor.note = "mine"
    return tensor


BESIDE = {
    "Counter": collections.Counter("abca"),
    "defaultdict": collections.defaultdict(list, loss=[0.5], steps=[1]),
    "OrderedDict": collections.OrderedDict(a=1),
    "deque": collections.deque([0.5, 0.25], maxlen=3),
    "set": {1, 2, ("a", "b")},
    "empty set": set(),
    "frozenset": frozenset("ab"),
    "bytearray": bytearray(b"a\xff"),
    "bytes": b"a\xff",
    "complex": 1 + 2j,
    "range": range(3),
    "slice": slice(1, 2),
    "Path": pathlib.Path("runs/1"),
    "PureWindowsPath": pathlib.PureWindowsPath("runs/1"),
    "Namespace": argparse.Namespace(lr=0.1, path=pathlib.Path("a"), layers=[1], inner=None),
    "date": datetime.date(2024, 2, 29),
    "datetime": datetime.datetime(2024, 2, 29, 1, 2, 3, 4, datetime.UTC),
    "time": datetime.time(1, 2),
    "timedelta": datetime.timedelta(1, 2, 3),
    "dtype": torch.float32,
    "dtypes": [torch.bfloat16, torch.int64, torch.uint32, torch.bool, torch.float8_e5m2],
    "classes": [int, dict, torch.Tensor],
    "device": torch.device("cuda:0"),
    "layout": torch.strided,
    "size": torch.Size([1, 2]),
    "float8": torch.ones(3).to(torch.float8_e4m3fn),
    "Parameter": nn.Parameter(torch.ones(3)),
    "Parameter with state": with_attribute(nn.Parameter(torch.ones(3))),
    "tensor with state": with_attribute(torch.ones(3)),
}


@pytest.mark.filterwarnings("ignore")  # PyTorch has one about protocols
@pairwise(name=BESIDE, protocol=[2, 3, 4, 5], save=[torch_bytes, old_bytes])
def test_what_checkpoints_have_beside_weights(name, protocol, save, tmp_path):
    what = BESIDE[name]
    content = {"before": what, "model": STATE, "after": {"again": [what, (what,)]}}
    path = write(tmp_path, save(content, pickle_protocol=protocol))
    assert_reads(path)
    path = write(tmp_path, save({"model": STATE | {"x": what}}, pickle_protocol=protocol))
    with contextlib.suppress(ValueError):  # a tensor more than there is a place for
        lrplstm.from_torch(path)


@pytest.mark.parametrize("what", ["set", "Path", "Namespace", "dtype", "complex"])
def test_what_is_no_state_dict(what, tmp_path):
    match = r"refused: expected a state dict, got \w+(\.\w+)?$"
    assert_refused(write(tmp_path, torch_bytes(BESIDE[what])), match)


@pytest.mark.parametrize(
    "change", [collections.Counter, lambda s: collections.defaultdict(list, s)]
)
def test_weights_in_dicts_of_other_classes(change, tmp_path):
    assert_reads(write(tmp_path, torch_bytes(change(STATE))))
    assert_reads(write(tmp_path, torch_bytes(change({"epoch": 1, "model": STATE}))))


def test_weights_with_attributes(tmp_path):
    for change in (torch.clone, nn.Parameter):
        state = {name: with_attribute(change(tensor)) for name, tensor in STATE.items()}
        assert_reads(write(tmp_path, torch_bytes(state)))


@pytest.mark.parametrize("name", ["text", "set", "Path", "complex"])
def test_weights_that_are_something_else(name, tmp_path):
    state = STATE | {HIDDEN: BESIDE.get(name, "text")}
    assert_refused(write(tmp_path, torch_bytes(state)), "got no 'weight_hh_l0'")


def test_other_classes_are_refused_by_name(tmp_path):
    for what, name in (
        (uuid.UUID(int=3), "uuid.UUID"),
        (fractions.Fraction(1, 3), "fractions.Fraction"),
        (nn.init.xavier_normal_, "torch.nn.init.xavier_normal_"),
    ):
        path = write(tmp_path, torch_bytes({"model": STATE, "x": what}))
        assert_refused(path, rf"it names '{re.escape(name)}'; .*state_dict\(\), path\) writes; ")


@pytest.mark.parametrize(
    ("program", "match"),
    [
        (b"cbuiltins\ngetattr\n.", "it names 'builtins.getattr'"),
        (b"c__builtin__\neval\n.", "it names 'builtins.eval'"),
        (b"cbuiltins\nset.__class__\n.", "it names 'builtins.set.__class__'"),
        (b"cposix\nsystem\n)\x81.", "it names 'posix.system'"),
        (b"ccollections\nOrderedDict\n)\x81.", "it makes an object of something"),
        (b"ctorch\nFloatStorage\n)\x81.", "it makes an object of something"),
        (b"})\x81.", "it makes an object of something"),
        (b"](K\1\x90.", "it adds to something that is no set"),
        (b"\x81.", "it takes more than it has"),
        (b"\x91.", "not a readable PyTorch file"),
        (b"ccollections\nCounter\n]\x85R.", "it calls collections.Counter with something"),
        (b"ccollections\ndefaultdict\n(NNtR.", "it calls collections.defaultdict with something"),
        (b"cbuiltins\nset\n}R.", "it calls something"),
        (b"ctorch._tensor\n_rebuild_from_type_v2\n(cbuiltins\nset\nN)NtR.", "it calls torch"),
        (b"ctorch._utils\n_rebuild_parameter_with_state\n(N\x89)NtR.", "it calls torch"),
    ],
)
def test_programs_of_harmless_names(program, match, tmp_path):
    assert_refused(write(tmp_path, archive_of(b"\x80\2" + program)), match)


def test_names_that_are_no_strings(tmp_path):
    """Written out, this one would have 2**60 parts."""
    laughs = b"X\1\0\0\0a" + b"".join(b"q%ch%c\x86" % (n, n) for n in range(60))
    for names in (laughs + b"X\1\0\0\0a", b"X\1\0\0\0a" + laughs):
        path = write(tmp_path, archive_of(b"\x80\2" + names + b"\x93."))
        assert_refused(path, "a name that is no string")


def test_a_call_within_calls_within_calls(tmp_path):
    """Each names the one before as its function's arguments; nothing goes down into them."""
    again = b"ctorch._tensor\n_rebuild_from_type_v2\n(h\0h\1h\2NtR"
    program = b"ctorch._utils\n_rebuild_tensor_v2\nq\0ctorch\nTensor\nq\1)q\2" + again
    match = r"it calls torch\._utils\._rebuild_tensor_v2 with something unexpected"
    assert_refused(write(tmp_path, archive_of(b"\x80\2" + program + b".")), match)


# Code -------------------------------------------------------------------------------------------


class Touch:
    """Makes a file where it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
@pytest.mark.parametrize("place", ["value", "nested", "beside"])
@pytest.mark.parametrize("save", [torch_bytes, old_bytes])
def test_no_code_is_run(save, place, protocol, tmp_path):
    evil = Touch(tmp_path / "made")
    content = {
        "value": STATE | {"x": evil},
        "nested": {"state": STATE, "optimizer": [{"x": (evil,)}]},
        "beside": [STATE, evil],
    }[place]
    path = write(tmp_path, save(content, pickle_protocol=protocol))
    assert_refused(path, r"refused: it names 'posix\.mkdir'; expected only tensors and plain data")
    assert not (tmp_path / "made").exists()
    # It would have been.
    torch.load(path, weights_only=False)
    assert (tmp_path / "made").exists()


@pytest.mark.parametrize("save", [torch_bytes, old_bytes])
def test_whole_modules(save, tmp_path):
    for module in (NETWORK, nn.Sequential(nn.Linear(3, 4))):
        path = write(tmp_path, save(module))
        lines = r"module = torch\.load\(path, weights_only=False\) and lrplstm\.from_torch\(mod"
        assert_refused(
            path, rf"it names '.*'; .*torch\.save\(module\.state_dict\(\), path\).*{lines}"
        )


class Scripted(nn.Module):
    """With what TorchScript writes beside tensors."""

    def __init__(self):
        super().__init__()
        self.sizes, self.name, self.count = [1, 2], "net", 3
        self.lstm, self.fc = nn.LSTM(5, 4, batch_first=True), nn.Sequential(nn.Linear(4, 3))

    def forward(self, x):
        return self.fc(self.lstm(x)[0][:, -1]) * self.count / self.sizes[0]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    "how", [torch.jit.script, lambda n: torch.jit.trace(n, torch.ones(1, 4, 5))]
)
def test_weights_of_torchscript(how, tmp_path):
    file, network = io.BytesIO(), Scripted()
    torch.jit.save(how(network), file)
    model = lrplstm.from_torch(write(tmp_path, file.getvalue()))
    assert dict(model.origin) == {"lstm": "lstm", "head": "fc.0"}
    np.testing.assert_array_equal(model.head_weight, network.fc[0].weight.detach())
    np.testing.assert_array_equal(model.layers[0].weight_hh, network.lstm.weight_hh_l0.detach())


def test_torchscript_that_lies(tmp_path):
    """Modules in modules for ever, one module a billion times over, and calls."""
    begin, end = b"\x80\2", b"."

    def refused(program, match):
        content = archive_of(begin + program + end, **{"constants.pkl": b""})
        assert_refused(write(tmp_path, content), match, 2**24)

    module = b"c__torch__\nN\n)\x81"
    refused(b"c__torch__\nN\n(K\1t\x81", "it makes an object of something")
    refused(b"c__torch__\nN\n)R", "it calls something")
    refused(b"cposix\nsystem\n)\x81", "it names 'posix.system'")
    again = module + b"q\0}X\1\0\0\0ah\0sb"
    refused(again, "expected an LSTM, GRU or RNN, found none")
    deep = (module + b"}X\4\0\0\0aaaa") * 3000 + module + b"sb" * 3000
    refused(deep, "a module in a module in a module")


def test_other_files(tmp_path):
    assert_refused(write(tmp_path, zipped({"a": b"b"})), "a zip archive that torch.save did not")
    assert_refused(write(tmp_path, b""), "it is cut short")
    assert_refused(write(tmp_path, b"PK"), "not a readable PyTorch file")
    assert_refused(write(tmp_path, b"\x89HDF\r\n"), "refused: it has the instruction")
    assert_refused(write(tmp_path, pickle.dumps({"a": 1})), "a pickle that torch.save did")
    assert_refused(write(tmp_path, torch_bytes([1, 2])), "expected a state dict, got list")
    assert_refused(write(tmp_path, torch_bytes(STATE[HIDDEN])), "expected a state dict, got Tensor")
    assert_refused(
        write(tmp_path, torch_bytes({"a": 1})), "expected an LSTM, GRU or RNN, found none"
    )
    path = write(tmp_path, torch_bytes(STATE), "model.safetensors")
    assert_refused(path, "not a readable safetensors file")
    assert_refused(write(tmp_path, safetensors_bytes(STATE)), "refused: ")


# Damage and lies --------------------------------------------------------------------------------

FORMATS = {
    "model.pt": torch_bytes(STATE),
    "model.pth": old_bytes(STATE),
    "model.safetensors": safetensors_bytes(STATE),
}
# Nothing hides in an archive whose checksums are all left out.
UNCHECKED = torch_bytes(STATE)
for entry in zipfile.ZipFile(io.BytesIO(UNCHECKED)).infolist():
    UNCHECKED = UNCHECKED.replace(struct.pack("<I", entry.CRC), bytes(4))
FORMATS["unchecked.pt"] = UNCHECKED
BESIDE_WEIGHTS = {"model": STATE} | {key: value for key, value in BESIDE.items() if key != "float8"}

fuzzed = settings(
    max_examples=150,
    derandomize=True,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


@pytest.mark.parametrize("name", FORMATS)
@fuzzed
@given(st.data())
def test_damaged_files(name, tmp_path, data):
    path = write(tmp_path, data.draw(damage([FORMATS[name]])), name)
    refused_or_read(lrplstm.from_torch, path, times=16)


@fuzzed
@given(st.data())
def test_damaged_pickles(tmp_path, data):
    """Where no checksum can tell."""
    files = entries(FORMATS["model.pt"])
    files[f"{FOLDER}data.pkl"] = data.draw(damage([files[f"{FOLDER}data.pkl"]]))
    refused_or_read(lrplstm.from_torch, write(tmp_path, zipped(files)), times=16)


@pytest.mark.filterwarnings("ignore")  # PyTorch has one about protocols
@pytest.mark.parametrize("protocol", [2, 4])
@fuzzed
@given(st.data())
def test_damaged_checkpoints(tmp_path, protocol, data):
    files = entries(torch_bytes(BESIDE_WEIGHTS, pickle_protocol=protocol))
    files[f"{FOLDER}data.pkl"] = data.draw(damage([files[f"{FOLDER}data.pkl"]]))
    refused_or_read(lrplstm.from_torch, write(tmp_path, zipped(files)), times=16)


@pytest.fixture(scope="module")
def scripted():
    """The files in an archive of TorchScript."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # PyTorch has some about TorchScript
        file = io.BytesIO()
        torch.jit.save(torch.jit.script(Scripted()), file)
    with zipfile.ZipFile(file) as archive:
        names = [name.partition("/")[2] for name in archive.namelist()]
        return {f"{FOLDER}{name}": archive.read(f"archive/{name}") for name in names}


@fuzzed
@given(st.data())
def test_damaged_torchscript(tmp_path, scripted, data):
    pickled = data.draw(damage([scripted[f"{FOLDER}data.pkl"]]))
    path = write(tmp_path, zipped(scripted | {f"{FOLDER}data.pkl": pickled}))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of what is assumed of weights alone
        refused_or_read(lrplstm.from_torch, path, times=16)


def test_every_way_to_cut_a_file_short(tmp_path):
    for name, content in FORMATS.items():
        for size in [*range(0, len(content), 97), len(content) - 1]:
            path = write(tmp_path, content[:size], name)
            with pytest.raises(ValueError, match=name) as caught:
                lrplstm.from_torch(path)
            assert len(str(caught.value).splitlines()) == 1


def number(n):
    return b"J" + struct.pack("<i", n)


def with_pickle(old, new):
    """An archive in whose pickle something was replaced."""
    state = {HIDDEN: STATE[HIDDEN], "encoder.rnn.weight_ih_l0": torch.ones(16, 5)}
    files = entries(torch_bytes(state))
    name = f"{FOLDER}data.pkl"
    assert old in files[name]
    files[name] = files[name].replace(old, new)
    return zipped(files)


SHAPE = b"K\x10K\x04\x86"  # (16, 4)
STRIDES = b"K\x04K\x01\x86"
COUNT = b"K@t"  # 64 numbers, in the end of the tuple that is a storage's name
OFFSET = b"QK\0"
HUGE = number(2**31 - 1)
NO_ROOM = "a tensor of shape .* in a storage of 64 numbers"
NO_SHAPE = r"it calls torch\._utils\._rebuild_tensor_v2 with something unexpected"
NO_STORAGE = "a reference to something that is no storage"


@pytest.mark.parametrize(
    ("true", "lie", "match"),
    [
        (COUNT, HUGE + b"t", "a storage of 8589934588 bytes of which there are"),
        (COUNT, b"K\x3ft", "a tensor of shape .* in a storage of 63 numbers"),
        (COUNT, number(-64) + b"t", NO_STORAGE),
        (SHAPE, HUGE * 2 + b"\x86", NO_ROOM),
        (SHAPE, number(-16) + b"K\x04\x86", NO_SHAPE),
        (SHAPE, b"K\x10G" + b"\0" * 8 + b"\x86", NO_SHAPE),
        (SHAPE, b"K\x40\x85", NO_SHAPE),
        (SHAPE, b"(" + b"K\x01" * 70 + b"t", NO_SHAPE),
        (SHAPE, b"\x8a\x0a" + b"\xff" * 9 + b"\x7fK\0\x86", NO_SHAPE),
        (STRIDES, HUGE + b"K\x01\x86", NO_ROOM),
        (STRIDES, number(-4) + b"K\x01\x86", NO_SHAPE),
        (OFFSET, b"QK\x01", NO_ROOM),
        (OFFSET, b"Q" + HUGE, NO_ROOM),
        (OFFSET, b"Q" + number(-1), NO_SHAPE),
        (b"X\1\0\0\x000", b"X\1\0\0\x007", "it has no 'data/7'"),
        (b"torch\nFloat", b"torch\nDouble", "a storage of 512 bytes of which"),
        (b"torch\nFloatS", b"torch\nFloats", r"it names 'torch\.Floatstorage'"),
        (b"storage", b"modules", NO_STORAGE),
    ],
)
def test_lies(true, lie, match, tmp_path):
    assert_refused(write(tmp_path, with_pickle(true, lie)), match)


def test_old_files_that_lie(tmp_path):
    content = old_bytes(STATE)
    size = struct.pack("<q", 64)
    at = content.index(size + STATE[HIDDEN].numpy().tobytes())
    for other in (63, 65, -1, 2**62):
        changed = content[:at] + struct.pack("<q", other) + content[at + 8 :]
        match = f"a storage of 64 numbers of which there are {other}"
        assert_refused(write(tmp_path, changed), match)
    key = pickle.dumps(["no key"], 2)
    keys = content.index(b"\x80\x02]", content.index(HIDDEN.encode()))
    assert_refused(write(tmp_path, content[:keys] + key + content[keys:]), "not a readable PyTorch")
    assert_refused(
        write(tmp_path, content[:keys] + pickle.dumps([], 2)), "it has not all of its storages"
    )


def test_strides_of_zero_within_a_storage(tmp_path):
    """They repeat numbers, but no more than there are."""
    path = write(tmp_path, with_pickle(STRIDES, b"K\0K\x01\x86"))
    expected = torch.load(path, weights_only=True)[HIDDEN]
    assert torch.equal(expected[3], expected[0])
    found = lrplstm.from_torch(path).layers[0].weight_hh
    np.testing.assert_array_equal(found, expected.numpy())


def test_compressed_archives(tmp_path):
    """A few bytes could become any number of them."""
    files = entries(torch_bytes(STATE))
    content = zipped(files, zipfile.ZIP_DEFLATED)
    match = "refused: 'archive/data.pkl' is compressed or encrypted, which torch.save does not do"
    assert_refused(write(tmp_path, content), match)
    zeros = torch.zeros(4 * 500, 500)
    content = zipped(
        entries(torch_bytes(STATE | {HIDDEN: zeros})) | {"x": b""}, zipfile.ZIP_DEFLATED
    )
    assert len(content) < 40_000
    assert_refused(write(tmp_path, content), match)


def test_archives_whose_entries_overlap(tmp_path):
    """A thousand entries of the same bytes would take a thousand times as long to read."""
    content = zipped({f"{FOLDER}data.pkl": bytes(2**16), f"{FOLDER}data/0": b""})
    directory = zipfile.ZipFile(io.BytesIO(content)).start_dir
    end = content.rindex(b"PK\5\6")
    first = content[directory : content.index(b"PK\1\2", directory + 4)]
    other = first.replace(b"data.pkl", b"data/123")
    added = content[directory:end] + other
    record = bytearray(content[end:])
    struct.pack_into("<HHI", record, 8, 3, 3, len(added))
    assert_refused(
        write(tmp_path, content[:directory] + added + bytes(record)),
        "an archive of more bytes than the file has",
    )


def test_many_tensors_in_the_same_bytes(tmp_path):
    """A language model may have four names for its words; nobody has a hundred."""
    big = torch.zeros(4 * 64, 64)
    state = {f"{n}.weight": big for n in range(3)}
    path = write(tmp_path, torch_bytes(STATE | state))
    assert lrplstm.from_torch(path, head="head", embedding="embed").origin["left_out"] == "0, 1, 2"
    for n in range(400):
        state[f"rnn.weight_ih_l{n}"] = state[f"rnn.weight_hh_l{n}"] = big
    path = write(tmp_path, torch_bytes(state))
    assert_refused(path, "at most 4 times the size of the file, .* too many share theirs", 2**23)


@pytest.mark.parametrize("options", [{}, {"embedding": False}, {"head": "0"}])
def test_thousands_of_parts(options, tmp_path):
    """What is left over is found in no more time than there are parts, or this would take hours."""
    weight = torch.zeros(4, 4)
    state = {f"{n}.weight": weight for n in range(40_000)}
    state |= nn.LSTM(4, 4).state_dict()
    path = write(tmp_path, torch_bytes(state))
    with pytest.raises(ValueError, match=r"'11' .* 399\d\d more") as caught:
        lrplstm.from_torch(path, **options)
    assert len(str(caught.value)) < len(str(path)) + 1200


def test_what_lies_in_itself(tmp_path):
    loop = {"epoch": 1}
    loop["again"] = loop
    loop["state_dict"] = STATE
    loop["same"] = STATE
    assert_reads(write(tmp_path, torch_bytes(loop)))
    loop["best"] = dict(STATE)
    path = write(tmp_path, torch_bytes(loop))
    assert_refused(path, r"one state dict with an LSTM, got source\['best'\], source\['s\w+'\]")


def test_dicts_within_dicts(tmp_path):
    """A few bytes can name one dict a billion times over, or one within another for ever."""
    lists = b"}q\0" + b"".join(
        b"}q%c(" % n + b"".join(b"X\1\0\0\0%ch%c" % (c, n - 1) for c in b"abcdefgh") + b"u"
        for n in range(1, 60)
    )
    assert_refused(write(tmp_path, archive_of(b"\x80\2" + lists + b".")), "found none$")
    chain = b"}" + b"X\1\0\0\0a}" * 20_000 + b"s" * 20_000
    assert_refused(write(tmp_path, archive_of(b"\x80\2" + chain + b".")), "found none$", 2**24)


@pytest.mark.parametrize("name", ["line\nbreak", "nul\0", "\x1b[31m", "x" * 501])
def test_names_that_would_spoil_an_error(name, tmp_path):
    state = {f"{name}.{key}": tensor for key, tensor in nn.LSTM(5, 4).state_dict().items()}
    for save, file in ((torch_bytes, "m.pt"), (safetensors_bytes, "m.safetensors")):
        path = write(tmp_path, save(state), file)
        assert_refused(path, r"m\.\w+: expected the name of a tensor, got '")


def test_keys_that_are_numbers(tmp_path):
    assert_reads(write(tmp_path, torch_bytes({"state": {0: STATE, 2**40: 1}})))
    for key in (-1, 2**63, 1.5, None, (1,)):
        path = write(tmp_path, torch_bytes(STATE | {key: 1}))
        assert_refused(path, "refused: a dict with keys that are no strings")


def safetensors_of(header, content=b""):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + content


@pytest.mark.parametrize(
    "content",
    [
        b"",
        bytes(8),
        struct.pack("<Q", 2**63) + b"{}",
        struct.pack("<Q", 90_000_000) + b"{}",
        safetensors_of(b"[]"),
        safetensors_of(b"{" * 10_000),
        safetensors_of({"a": {"dtype": "F32", "shape": [2**40], "data_offsets": [0, 4]}}, bytes(4)),
        safetensors_of({"a": {"dtype": "F32", "shape": [2**62, 8], "data_offsets": [0, 0]}}),
        safetensors_of({"a": {"dtype": "F32", "shape": [1], "data_offsets": [2**62, 4]}}, bytes(4)),
        safetensors_of({"a": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}),
        safetensors_of({"a": {"dtype": "X1", "shape": [0], "data_offsets": [0, 0]}}),
    ],
)
def test_safetensors_that_lie(content, tmp_path):
    path = write(tmp_path, content, "model.safetensors")
    assert_refused(path, r"not a readable safetensors file \(SafetensorError: ")


@pytest.mark.parametrize("name", ["model.pt", "model.pth", "model.safetensors"])
def test_memory_for_a_model_that_is_right(name, tmp_path):
    state = STATE | {"embed.weight": torch.randn(100_000, 5)}
    save = {"model.pt": torch_bytes, "model.pth": old_bytes}.get(name, safetensors_bytes)
    path = write(tmp_path, save(state), name)
    with little_memory(3.5 * path.stat().st_size + 2**20):
        model = lrplstm.from_torch(path)
    assert len(model.embedding) == 100_000
