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
import struct
import sys
import zipfile
import zlib
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any, Literal

import numpy as np

from lrplstm.loaders.plain_pickle import Machine, RefusedError
from lrplstm.loaders.tensors import Tensor, bfloat16_as_float32, find_state_dict
from lrplstm.storage import read_file
from lrplstm.weights import Array

__all__ = ["read_state_dict"]

_MOST_SHARED = 4
"""Tensors may share bytes, but take no more than this many times the size of their file."""

_MOST_DIMENSIONS = 32


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
        If it cannot be read, is damaged or something else, or asks for more than tensors and plain
        data: a whole module, for example, or a call.
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
            raise RefusedError(f"expected a state dict, got {type(data).__name__}")
    except RefusedError as error:
        raise ValueError(f"{file}: refused: {error}") from None
    except Exception as error:  # what is damaged can raise nearly anything
        text = str(error).partition("\n")[0]
        raise ValueError(
            f"{file}: not a readable {kind} file ({type(error).__name__}: {text:.100})"
        ) from None
    try:
        return _check(find_state_dict(data), len(content))
    except ValueError as error:
        raise ValueError(f"{file}: {error}") from None


def _check(tensors: dict[str, Tensor], size: int) -> dict[str, Tensor]:
    for name in tensors:
        if not name.isprintable() or len(name) > 500:
            raise ValueError(f"expected the name of a tensor, got {name!r:.60}")
    total = sum(
        math.prod(tensor.shape) * _numpy_dtype(tensor.dtype).itemsize
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
    PARAMETER = "torch._utils._rebuild_parameter"
    SIZE = "torch.Size"
    DEVICE = "torch.device"


@dataclass(frozen=True)
class _StorageType:
    dtype: str


_NAMES: dict[str, _Call | _StorageType] = {call.value: call for call in _Call}
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
}.items():
    _NAMES[f"torch.{_name}"] = _NAMES[f"torch.cuda.{_name}"] = _StorageType(_dtype)

_OTHER_TENSORS = {
    "torch._utils._rebuild_sparse_tensor": "a sparse tensor",
    "torch._utils._rebuild_sparse_csr_tensor": "a sparse tensor",
    "torch._utils._rebuild_nested_tensor": "a nested tensor",
    "torch._utils._rebuild_qtensor": "a quantized tensor",
    "torch._utils._rebuild_meta_tensor_no_storage": "a meta tensor",
}


class _TensorMachine(Machine):
    """Makes tensors, and notes the storages that they lie in."""

    def __init__(self, content: bytes, position: int = 0) -> None:
        super().__init__(content, position)
        self.storages: dict[str, _Storage] = {}

    def key(self, key: Any) -> str:
        # The state of an optimizer has numbers for keys; as text they are as safe as any text.
        return str(key) if type(key) is int and 0 <= key < 2**63 else super().key(key)

    def look_up(self, module: Any, name: Any) -> Any:
        full = f"{module}.{name}"
        if full in _NAMES:
            return _NAMES[full]
        if full in _OTHER_TENSORS:
            raise RefusedError(f"it has {_OTHER_TENSORS[full]}; expected dense ones with numbers")
        try:
            return super().look_up(module, name)
        except RefusedError:
            raise RefusedError(
                f"it names {full!r:.100}; expected only tensors and plain data, as in what "
                "torch.save(module.state_dict(), path) writes; a whole module is more"
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
        if not isinstance(name, _Call) or type(arguments) is not tuple:
            return super().call(name, arguments)
        match name, arguments:
            case _Call.ORDERED_DICT, ():
                return {}
            case _Call.TENSOR, (_Storage() as storage, offset, tuple(shape), tuple(strides), *_):
                fits = len(shape) == len(strides) <= _MOST_DIMENSIONS and all(
                    type(n) is int and 0 <= n <= sys.maxsize for n in (offset, *shape, *strides)
                )
                if fits:
                    return storage.tensor(offset, shape, strides)
            case _Call.PARAMETER, (Tensor() as tensor, *_):
                return tensor
            case ((_Call.SIZE | _Call.DEVICE), _):
                return arguments
        raise RefusedError(f"it calls {name.value} with something unexpected")

    def build(self, target: Any, state: Any) -> None:
        if type(target) is not dict:  # an OrderedDict has attributes, such as its _metadata
            super().build(target, state)


# Files ------------------------------------------------------------------------------------------


def _read_zip(content: bytes) -> Any:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        entries = {entry.filename: entry for entry in archive.infolist()}
    if any(name.endswith("/constants.pkl") for name in entries):
        raise RefusedError("a TorchScript program; expected what torch.save made of a state dict")
    pickles = [name for name in entries if name.count("/") == 1 and name.endswith("/data.pkl")]
    if len(pickles) != 1:
        raise RefusedError("a zip archive that torch.save did not write")
    # So that reading all of it takes no longer than reading the file.
    if sum(entry.file_size for entry in entries.values()) > len(content):
        raise RefusedError("an archive of more bytes than the file has")
    folder = pickles[0].removesuffix("data.pkl")

    def read(name: str) -> memoryview:
        if folder + name not in entries:
            raise RefusedError(f"it has no {name!r:.60}")
        return _entry(content, entries[folder + name])

    machine = _TensorMachine(bytes(read("data.pkl")))
    data = machine.run()
    big = f"{folder}byteorder" in entries and bytes(read("byteorder")) == b"big"
    for key, storage in machine.storages.items():
        storage.fill(read(f"data/{key}"), ">" if big else "<")
    return data


def _entry(content: bytes, entry: zipfile.ZipInfo) -> memoryview:
    """Return the bytes of a file in an archive, which is to be there as it is."""
    name = entry.filename
    if entry.compress_type != zipfile.ZIP_STORED or entry.flag_bits & 1:
        raise RefusedError(f"{name!r:.60} is compressed or encrypted, which torch.save does not do")
    if not content.startswith(b"PK\x03\x04", entry.header_offset):
        raise RefusedError(f"{name!r:.60} is not where the archive says")
    names = struct.unpack_from("<26xHH", content, entry.header_offset)
    start = entry.header_offset + 30 + sum(names)
    found = memoryview(content)[start : start + entry.file_size]
    if len(found) < entry.file_size:
        raise RefusedError("it is cut short")
    # torch.save can be told to leave checksums out.
    if entry.CRC and zlib.crc32(found) != entry.CRC:
        raise RefusedError(f"{name!r:.60} is damaged: its checksum is another")
    return found


_MAGIC, _VERSION = 0x1950A86A20F9469CFC6C, 1001


def _read_legacy(content: bytes) -> Any:
    """Read five pickles (magic number, version, machine, data, keys), and then the storages."""
    position = 0

    def read() -> tuple[Any, dict[str, _Storage]]:
        nonlocal position
        machine = _TensorMachine(content, position)
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
