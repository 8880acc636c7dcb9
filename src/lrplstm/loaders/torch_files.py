"""Files of tensors: safetensors, and what `torch.save` writes. Neither needs PyTorch.

A .pt file is a zip archive: a pickle that says what there is (``data.pkl``), and the storages that
its tensors lie in (``data/<key>``). Before PyTorch 1.6 it was several pickles in a row, and the
storages after them. The pickles are read by the machine of `lrplstm.loaders.plain_pickle`, which
runs nothing. `torch.load` is not asked: it unpacks compressed storages of any size.
"""

from __future__ import annotations

import io
import math
import os
import pickle
import struct
import sys
import zipfile
import zlib
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any, Literal

import numpy as np

from lrplstm.loaders.arrays import bfloat16_as_float32, naming
from lrplstm.loaders.plain_pickle import Machine, room_for
from lrplstm.loaders.refusals import RefusedError, Room
from lrplstm.loaders.tensors import Tensor, find_state_dict
from lrplstm.plain_json import check_parts
from lrplstm.storage import read_file
from lrplstm.texts import shown
from lrplstm.weights import Array

__all__ = ["read_state_dict"]

_MOST_SHARED = 4
"""Tensors may share bytes, but as float32 take no more than this many times their file's size."""

_MOST_ENTRIES, _BYTES_PER_ENTRY = 2**14, 512  # of an archive

_MOST_DIMENSIONS = 32
_MOST_LETTERS = 500  # of a name
_BYTES_PER_TENSOR = 1000  # beside its numbers
_BYTES_PER_ATTRIBUTE = 200  # of a module in a TorchScript archive

_SCRIPT_NAMES = ("__torch__.", "torch.jit._pickle.build_", "torch.jit._pickle.restore_type_tag")
"""Classes of TorchScript, and what it marks lists with."""

_TWO_LINES = (
    "if it is a whole module that you trust: module = torch.load(path, weights_only=False) and "
    "lrplstm.from_torch(module)"
)
"""What reads a whole module."""


def read_state_dict(path: str | os.PathLike[str]) -> dict[str, Tensor]:
    """Return the tensors in a file by their names.

    Parameters
    ----------
    path : str or path
        A .safetensors file, or a file of any other name that `torch.save` made of a state dict, or
        of a checkpoint that contains one.

    Raises
    ------
    ValueError
        If it cannot be read, is damaged or something else, or asks for more than tensors, plain
        data and a few classes of Python and PyTorch that checkpoints have: a whole module, for
        example, or a call.
    """
    file = Path(path)
    content = read_file(file)
    kind, read = "PyTorch", _read_legacy
    if file.suffix.lower() == ".safetensors":
        kind, read = "safetensors", _read_safetensors
    elif content.startswith(b"PK"):
        read = _read_zip
    try:
        data = read(content)
        if not isinstance(data, dict):
            found = data.name if isinstance(data, _Opaque) else type(data).__name__
            raise RefusedError(f"expected a state dict, got {found}")
    except RefusedError as error:
        raise ValueError(f"{file}: refused: {error}") from None
    except Exception as error:  # what is damaged can raise nearly anything
        text = str(error).partition("\n")[0]
        raise ValueError(
            f"{file}: not a readable {kind} file ({type(error).__name__}: {text:.100})"
        ) from None
    with naming(file):
        return _check(find_state_dict(data), len(content))


def _check(tensors: dict[str, Tensor], size: int) -> dict[str, Tensor]:
    for name in tensors:
        if not name.isprintable() or len(name) > _MOST_LETTERS:
            raise ValueError(f"expected the name of a tensor, got {shown(name)}")
    total = sum(
        math.prod(tensor.shape) * max(4, _numpy_dtype(tensor.dtype).itemsize)
        for tensor in tensors.values()
        if tensor.lacking is None
    )
    if total > _MOST_SHARED * size:
        raise ValueError(
            f"expected tensors of at most {_MOST_SHARED} times the size of the file, "
            f"{size} bytes, got {total} bytes; too many share theirs"
        )
    return tensors


def _numpy_dtype(dtype: str) -> np.dtype[Any]:
    """Return what NumPy can read numbers as; it has no bfloat16."""
    return np.dtype("uint16" if dtype == "bfloat16" else dtype)


def _copy(dtype: str, read: Array) -> Array:
    """Return numbers that were read so, aligned and free of the file's bytes."""
    if dtype == "bfloat16":
        return bfloat16_as_float32(read)
    return read.copy()


# Where numbers lie ------------------------------------------------------------------------------

_ByteOrder = Literal["<", ">"]


@dataclass(eq=False)
class _Storage:
    """Numbers of one dtype, one after the other; their bytes follow when they have been found."""

    dtype: str
    count: int
    content: bytes | memoryview = b""
    byteorder: _ByteOrder = "<"

    @property
    def size(self) -> int:
        """How many bytes it has."""
        return self.count * _numpy_dtype(self.dtype).itemsize

    def fill(self, content: memoryview, byteorder: _ByteOrder) -> None:
        if len(content) != self.size:
            raise RefusedError(f"a storage of {self.size} bytes of which there are {len(content)}")
        self.content, self.byteorder = content, byteorder

    def tensor(self, offset: int, shape: tuple[int, ...], strides: tuple[int, ...]) -> Tensor:
        """Return a tensor that lies here; offset and strides count numbers."""
        count = math.prod(shape)
        last = offset + sum((n - 1) * stride for n, stride in zip(shape, strides, strict=True))
        # Strides of 0 would make any number of numbers of a few.
        if count > self.count or (count and last >= self.count):
            raise RefusedError(f"a tensor of shape {shape} in a storage of {self.count} numbers")

        def numbers() -> Array:
            if count == 0:
                return np.empty(shape, np.float32)
            dtype = _numpy_dtype(self.dtype).newbyteorder(self.byteorder)
            flat = np.frombuffer(self.content, dtype, self.count)
            steps = [stride * dtype.itemsize for stride in strides]
            view = np.lib.stride_tricks.as_strided(flat[offset:], shape, steps, writeable=False)
            return _copy(self.dtype, view)

        return Tensor(self.dtype, shape, numbers)


# Pickles ----------------------------------------------------------------------------------------


class _Call(Enum):
    """What a pickle may call, or rather: what it may believe that it calls."""

    ORDERED_DICT = "collections.OrderedDict"
    TENSOR = "torch._utils._rebuild_tensor_v2"
    NEW_TENSOR = "torch._utils._rebuild_tensor_v3"  # of dtypes that came later
    PARAMETER = "torch._utils._rebuild_parameter"
    PARAMETER_WITH_STATE = "torch._utils._rebuild_parameter_with_state"
    TENSOR_WITH_STATE = "torch._tensor._rebuild_from_type_v2"
    COUNTER = "collections.Counter"
    DEFAULT_DICT = "collections.defaultdict"
    SIZE = "torch.Size"
    DEVICE = "torch.device"


@dataclass(frozen=True)
class _StorageType:
    dtype: str


class _Script(dict[str, Any]):
    """The attributes of a module in a TorchScript archive: tensors, and modules within it."""


@dataclass(frozen=True)
class _ScriptClass:
    """Which class it is of does not matter: its code is not read."""


@dataclass(frozen=True)
class _Opaque:
    """A harmless class, or anything that a pickle makes of it: what is in it is passed over."""

    name: str


_NAMES: dict[str, _Call | _StorageType | _Opaque] = {call.value: call for call in _Call}
for _name, _dtype in {
    "DoubleStorage": "float64",
    "FloatStorage": "float32",
    "HalfStorage": "float16",
    "BFloat16Storage": "bfloat16",
    "LongStorage": "int64",
    "IntStorage": "int32",
    "ShortStorage": "int16",
    "CharStorage": "int8",
    "ByteStorage": "uint8",
    "BoolStorage": "bool",
    "ComplexFloatStorage": "complex64",
    "ComplexDoubleStorage": "complex128",
    "storage.UntypedStorage": "uint8",
}.items():
    _NAMES[f"torch.{_name}"] = _NAMES[f"torch.cuda.{_name}"] = _StorageType(_dtype)

_DTYPES = [
    *("bool", "float16", "bfloat16", "float32", "float64", "complex32", "complex64", "complex128"),
    *("float8_e4m3fn", "float8_e4m3fnuz", "float8_e5m2", "float8_e5m2fnuz", "float8_e8m0fnu"),
    *("float4_e2m1fn_x2", "qint8", "quint8", "qint32", "quint4x2", "quint2x4"),
    *(f"{kind}{bits}" for kind in ("int", "uint") for bits in (*range(1, 9), 16, 32, 64)),
]
# What checkpoints have beside weights.
for _module, _classes in {
    "torch": [*_DTYPES, "Tensor"],
    "torch.nn.parameter": ["Parameter"],
    "torch.serialization": ["_get_layout"],
    "builtins": [
        *("bool", "int", "long", "float", "complex", "str", "unicode", "bytearray"),
        *("list", "tuple", "dict", "set", "frozenset", "range", "xrange", "slice"),
    ],
    "collections": ["deque"],
    "argparse": ["Namespace"],
    "datetime": ["date", "datetime", "time", "timedelta", "timezone"],
    "pathlib": ["PosixPath", "PurePosixPath", "WindowsPath", "PureWindowsPath"],
}.items():
    for _name in _classes:
        _NAMES[f"{_module}.{_name}"] = _Opaque(f"{_module}.{_name}")
_SET = _NAMES["builtins.set"]
_MOVED = {"__builtin__": "builtins", "pathlib._local": "pathlib"}
"""What modules are called in pickles of protocol 2, and of Python 3.13."""

_OTHER_TENSORS = {
    "torch._utils._rebuild_sparse_tensor": "a sparse tensor",
    "torch._utils._rebuild_sparse_csr_tensor": "a sparse tensor",
    "torch._utils._rebuild_nested_tensor": "a nested tensor",
    "torch._utils._rebuild_qtensor": "a quantized tensor",
    "torch._utils._rebuild_meta_tensor_no_storage": "a meta tensor",
}


class _TensorMachine(Machine):
    """Makes tensors, and notes the storages that they lie in."""

    def __init__(
        self, content: bytes, room: Room, position: int = 0, *, script: bool = False
    ) -> None:
        super().__init__(content, room, position)
        self.script = script  # whether it is of a TorchScript archive
        self.storages: dict[str, _Storage] = {}

    def key(self, key: Any) -> str:
        # The state of an optimizer has numbers for keys; as text they are as safe as any text.
        return str(key) if type(key) is int and 0 <= key < 2**63 else super().key(key)

    def look_up(self, module: Any, name: Any) -> Any:
        if not isinstance(module, str) or not isinstance(name, str):
            return super().look_up(module, name)
        full = f"{_MOVED.get(module, module)}.{name}"
        if full in _NAMES:
            return _NAMES[full]
        if self.script and full.startswith(_SCRIPT_NAMES):
            is_class = full.startswith("__torch__.")
            return _ScriptClass() if is_class else _Opaque(full)
        if full in _OTHER_TENSORS:
            raise RefusedError(f"it has {_OTHER_TENSORS[full]}; expected dense ones with numbers")
        try:
            return super().look_up(module, name)
        except RefusedError:
            raise RefusedError(
                f"it names {shown(full)}; expected only tensors and plain data, as in what "
                f"torch.save(module.state_dict(), path) writes; {_TWO_LINES}"
            ) from None

    def persistent(self, identity: Any) -> Any:
        match identity:
            case ("storage", _StorageType() as kind, str(key), str(), int(count), *rest) if (
                count >= 0 and rest in ([], [None])  # None: no view of another storage
            ):
                storage = self.storages.setdefault(key, _Storage(kind.dtype, count))
                if (storage.dtype, storage.count) == (kind.dtype, count):
                    return storage
        raise RefusedError("a reference to something that is no storage")

    def call(self, name: Any, arguments: Any) -> Any:
        if isinstance(name, _Opaque) and type(arguments) is tuple:
            return name
        self.room.take(_BYTES_PER_TENSOR)
        if not isinstance(name, _Call) or type(arguments) is not tuple:
            return super().call(name, arguments)
        match name, arguments:
            case (_Call.ORDERED_DICT, ()) | (_Call.DEFAULT_DICT, () | (_,)):
                return {}
            case _Call.COUNTER, (dict(counts),):
                return counts
            case _Call.TENSOR, (_Storage() as storage, offset, tuple(shape), tuple(strides), *_):
                if _are_sizes(offset, *shape, *strides) and len(shape) == len(strides):
                    return storage.tensor(offset, shape, strides)
            case _Call.NEW_TENSOR, (_Storage(), _, tuple(shape), _, _, _, _Opaque(dtype), *_):
                if _are_sizes(*shape):
                    return Tensor(dtype, shape, lambda: np.empty(0), f"one of {dtype}")
            case ((_Call.PARAMETER | _Call.PARAMETER_WITH_STATE), (Tensor() as tensor, *_)):
                return tensor
            case _Call.TENSOR_WITH_STATE, (
                (_Call.TENSOR | _Call.NEW_TENSOR) as rebuild,
                _Opaque(),
                tuple(made_of),
                _,
            ):
                return self.call(rebuild, made_of)
            case ((_Call.SIZE | _Call.DEVICE), _):
                return arguments
        raise RefusedError(f"it calls {name.value} with something unexpected")

    def build(self, target: Any, state: Any) -> None:
        # An OrderedDict has attributes, such as its _metadata.
        if isinstance(target, _Script) and type(state) is dict:
            self.room.take(_BYTES_PER_ATTRIBUTE * len(state))
            target.update(state)
        elif type(target) is not dict and not isinstance(target, _Opaque):
            super().build(target, state)

    def _step(self, code: bytes) -> None:
        match code:
            case pickle.NEWOBJ:
                name, arguments = self._pop_from(len(self._stack) - 2)
                if isinstance(name, _ScriptClass) and arguments == ():
                    self._push(_Script(), _BYTES_PER_TENSOR)
                    return
                if not isinstance(name, _Opaque):
                    raise RefusedError("it makes an object of something that is no plain data")
                self._stack.append(self.call(name, arguments))
            case pickle.EMPTY_SET:
                self._stack.append(_SET)
            case pickle.FROZENSET:
                self._pop_marked()
                self._stack.append(_SET)
            case pickle.ADDITEMS:
                self._pop_marked()
                if self._stack[-1] is not _SET:
                    raise RefusedError("it adds to something that is no set")
            case _:
                super()._step(code)

    def _extend(self, items: list[Any]) -> None:
        if not isinstance(self._stack[-1], _Opaque):
            super()._extend(items)

    def _set_items(self, items: list[Any]) -> None:
        if not isinstance(self._stack[-1], _Opaque):
            super()._set_items(items)


def _are_sizes(*numbers: Any) -> bool:
    """Whether these are offset, shape and strides of a tensor, or a part of that."""
    return len(numbers) <= 1 + 2 * _MOST_DIMENSIONS and all(
        type(n) is int and 0 <= n <= sys.maxsize for n in numbers
    )


# Files ------------------------------------------------------------------------------------------


def _read_zip(content: bytes) -> Any:
    entry_signature = b"PK\x01\x02"
    if content.count(entry_signature) > _MOST_ENTRIES + len(content) // _BYTES_PER_ENTRY:
        raise RefusedError("an archive of too many entries")
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        entries = {entry.filename: entry for entry in archive.infolist()}
    pickles = [name for name in entries if name.count("/") == 1 and name.endswith("/data.pkl")]
    if len(pickles) != 1:
        raise RefusedError("a zip archive that torch.save did not write")
    # So that reading all of it takes no longer than reading the file.
    stored = [entry for entry in entries.values() if entry.compress_type == zipfile.ZIP_STORED]
    if sum(entry.file_size for entry in stored) > len(content):
        raise RefusedError("an archive of more bytes than the file has")
    folder = pickles[0].removesuffix("data.pkl")

    def read(name: str) -> memoryview:
        if folder + name not in entries:
            raise RefusedError(f"it has no {shown(name)}")
        return _entry(content, entries[folder + name])

    # TorchScript: beside the weights it has code, which is not looked at.
    script = f"{folder}constants.pkl" in entries
    machine = _TensorMachine(bytes(read("data.pkl")), room_for(content), script=script)
    data = machine.run()
    big = f"{folder}byteorder" in entries and bytes(read("byteorder")) == b"big"
    for key, storage in machine.storages.items():
        storage.fill(read(f"data/{key}"), ">" if big else "<")
    return _state_dict_of(data) if isinstance(data, _Script) else data


def _state_dict_of(script: _Script) -> dict[str, Any]:
    """Return the tensors of a module in a TorchScript archive, by their paths with dots."""
    state: dict[str, Any] = {}
    seen: set[int] = set()
    remaining: list[tuple[str, _Script]] = [("", script)]
    while remaining:
        prefix, module = remaining.pop()
        if id(module) in seen:  # a few bytes can name one module a billion times over
            continue
        seen.add(id(module))
        if len(prefix) > _MOST_LETTERS:
            raise RefusedError("a module in a module in a module, and so on")
        inner: list[tuple[str, _Script]] = []
        for key, value in module.items():
            if isinstance(value, Tensor):
                state[prefix + key] = value
            elif isinstance(value, _Script):
                inner.append((f"{prefix}{key}.", value))
        remaining += reversed(inner)
    return state


def _entry(content: bytes, entry: zipfile.ZipInfo) -> memoryview:
    """Return the bytes of a file in an archive, which is to be there as it is."""
    name = entry.filename
    if entry.compress_type != zipfile.ZIP_STORED or entry.flag_bits & 1:
        raise RefusedError(
            f"{shown(name)} is compressed or encrypted, which torch.save does not do"
        )
    if not content.startswith(b"PK\x03\x04", entry.header_offset):
        raise RefusedError(f"{shown(name)} is not where the archive says")
    names = struct.unpack_from("<26xHH", content, entry.header_offset)
    start = entry.header_offset + 30 + sum(names)
    found = memoryview(content)[start : start + entry.file_size]
    if len(found) < entry.file_size:
        raise RefusedError("it is cut short")
    # torch.save can be told to leave checksums out.
    if entry.CRC and zlib.crc32(found) != entry.CRC:
        raise RefusedError(f"{shown(name)} is damaged: its checksum is another")
    return found


_MAGIC, _VERSION = 0x1950A86A20F9469CFC6C, 1001


def _read_legacy(content: bytes) -> Any:
    """Read five pickles (magic number, version, machine, data, keys), and then the storages."""
    position, room = 0, room_for(content)

    def read() -> tuple[Any, dict[str, _Storage]]:
        nonlocal position
        machine = _TensorMachine(content, room, position)
        data = machine.run()
        position = machine.position
        return data, machine.storages

    if read()[0] != _MAGIC:
        raise RefusedError("a pickle that torch.save did not write")
    if read()[0] != _VERSION:
        raise RefusedError("a file of a version of torch.save that is not known")
    system, _ = read()
    data, storages = read()
    keys, _ = read()
    for key in keys:
        (count,) = struct.unpack_from("<q", content, position)
        storage = storages.pop(key)
        start = position + 8
        position = start + storage.size
        if count != storage.count:
            raise RefusedError(f"a storage of {storage.count} numbers of which there are {count}")
        storage.fill(memoryview(content)[start:position], "<" if system["little_endian"] else ">")
    if storages:
        raise RefusedError("it has not all of its storages")
    return data


_SAFETENSORS_DTYPES = {
    "F64": "float64",
    "F32": "float32",
    "F16": "float16",
    "BF16": "bfloat16",
    "I64": "int64",
    "I32": "int32",
    "I16": "int16",
    "I8": "int8",
    "U8": "uint8",
    "BOOL": "bool",
}


def _read_safetensors(content: bytes) -> dict[str, Tensor]:
    import safetensors

    check_parts(content[8 : 8 + int.from_bytes(content[:8], "little")])
    deserialize: Any = safetensors.deserialize  # it has no types
    return {
        name: _of_safetensors(stored["dtype"], tuple(stored["shape"]), stored["data"])
        for name, stored in deserialize(content)
    }


def _of_safetensors(stored_dtype: str, shape: tuple[int, ...], content: bytes) -> Tensor:
    dtype = _SAFETENSORS_DTYPES.get(stored_dtype)
    if dtype is None:
        return Tensor(stored_dtype, shape, lambda: np.empty(0), f"one of {stored_dtype}")

    def numbers() -> Array:
        flat = np.frombuffer(content, _numpy_dtype(dtype).newbyteorder("<"))
        return _copy(dtype, flat.reshape(shape))

    return Tensor(dtype, shape, numbers)
