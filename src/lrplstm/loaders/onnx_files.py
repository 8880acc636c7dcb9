"""What an ONNX file contains, as plain data: nodes, constants, inputs and outputs.

Nothing is believed: protobuf gets the content only after the number of its parts was seen to fit
its size, a tensor is made only if its bytes fill its shape, and other files are read only from
the model's own folder.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from lrplstm.graph.operations import TIMES_TO_COMPUTE, Graph, Input, Node, room_for
from lrplstm.loaders.arrays import bfloat16_as_float32
from lrplstm.loaders.refusals import RefusedError, Room, saying
from lrplstm.storage import read_file
from lrplstm.texts import shown
from lrplstm.weights import Array

__all__ = ["File", "open_file", "refusing"]

_OLDEST_OPSET = 7  # the first in which Add and others broadcast as NumPy does
_OWN_DOMAINS = ("", "ai.onnx")
_MOST_PARTS, _BYTES_PER_PART = 2**16, 64
_INTEGERS, _BYTES_PER_INTEGERS = (3, 4), 4  # the numbers of int64 and uint64 in descriptors
_MOST_AXES, _MOST_INPUT_AXES = 16, 3
_MOST_LETTERS = 80
_MOST_BODIES = 4
_WITH_BODIES = ("If", "Loop")


class Constants(Mapping[str, Array]):
    """The initializers of a graph, each read when it is asked for."""

    def __init__(self, initializers: Mapping[str, Any], tensors: TensorReader) -> None:
        self._initializers, self._tensors = initializers, tensors
        self._known: dict[str, Array] = {}

    def __getitem__(self, name: str) -> Array:
        if name not in self._known:
            self._known[name] = self._tensors.read(self._initializers[name])
        return self._known[name]

    def __contains__(self, name: object) -> bool:
        return name in self._initializers

    def __iter__(self) -> Iterator[str]:
        return iter(self._initializers)

    def __len__(self) -> int:
        return len(self._initializers)


@contextmanager
def refusing(name: str) -> Iterator[None]:
    """Turn whatever goes wrong inside into one ValueError that names the file."""
    try:
        with saying(name):
            yield
    except RefusedError as error:
        raise ValueError(str(error)) from None


class File:
    """An ONNX file or ModelProto.

    Attributes
    ----------
    name : str
        What errors call it.
    outputs : tuple of str
    operators : set of str
        All that its nodes have.
    room : Room
        How many bytes reading it may take.
    """

    def __init__(self, name: str, model: Any, size: int, folder: Path | None) -> None:
        graph = model.graph
        if not graph.node:
            raise RefusedError("not an ONNX model: it has no graph with nodes")
        self.name = name
        self.room = room_for(size, len(graph.node), "; batches of a fixed size need most")
        self.outputs = tuple(value.name for value in graph.output)
        self.operators = {proto.op_type for proto in graph.node}
        self._nodes, self._opset = graph.node, _opset(model)
        self._tensors = TensorReader(folder, self.room)
        # Inputs that have initial values are weights, as older files have them.
        self._initializers = {tensor.name: tensor for tensor in graph.initializer}
        self._inputs = [value for value in graph.input if value.name not in self._initializers]
        if len(self._initializers) != len(graph.initializer):
            raise RefusedError("two of its initializers have one name")

    def graph(self, output: str) -> Graph:
        """Return what an output depends on; of the rest nothing is read."""
        kept, read = [], {output}
        for proto in reversed(self._nodes):
            if not read.isdisjoint(proto.output):
                kept.append(proto)
                read.update(_reads(proto))
        return Graph(
            inputs=tuple(_read_input(value) for value in self._inputs if value.name in read),
            constants=Constants(self._initializers, self._tensors),
            nodes=tuple(_read_node(proto, self._tensors, self._opset) for proto in reversed(kept)),
            outputs=(output,),
            opset=self._opset,
        )


def open_file(source: str | os.PathLike[str] | Any) -> File:
    """Return what is in a file or a ModelProto.

    Raises
    ------
    ImportError
        If the package onnx is missing.
    TypeError
        If `source` is neither.
    ValueError
        If there is no such file, or it cannot be read.
    """
    try:
        import onnx
    except ImportError:
        raise ImportError('from_onnx needs onnx: pip install "lrplstm[onnx]"') from None

    if isinstance(source, onnx.ModelProto):
        with refusing("source"):
            return File("source", source, source.ByteSize(), None)
    if not isinstance(source, str | os.PathLike):
        raise TypeError(
            "source: expected the path of an .onnx file or a ModelProto, "
            f"got {type(source).__name__}"
        )
    path = Path(source)
    content = read_file(path)
    with refusing(str(path)):
        _check_parts(content, onnx.ModelProto.DESCRIPTOR)
        with saying("not a readable ONNX file"):
            model = onnx.ModelProto.FromString(content)
        return File(str(path), model, len(content), path.parent)


def _check_parts(content: bytes, descriptor: Any) -> None:
    """Refuse a file of so many parts that protobuf would take many times its size.

    A part is a field of a message or of a message in it: two bytes of a file can make a node of
    two hundred bytes.
    """
    most = _MOST_PARTS + len(content) // _BYTES_PER_PART
    messages = [(0, len(content), descriptor)]
    parts = 0
    while messages:
        at, stop, descriptor = messages.pop()
        while at < stop:
            parts += 1
            tag, at = _varint(content, at)
            match tag & 7:
                case 0:
                    _, at = _varint(content, at)
                case 1:
                    at += 8
                case 2:
                    size, at = _varint(content, at)
                    field = descriptor.fields_by_number.get(tag >> 3)
                    if field is not None and field.message_type is not None:
                        messages.append((at, at + size, field.message_type))
                    elif field is not None and field.type in _INTEGERS:
                        parts += size // _BYTES_PER_INTEGERS  # a byte for each, which takes 8
                    at += size
                case 5:
                    at += 4
                case _:
                    raise RefusedError("not a readable ONNX file (it is no protobuf message)")
            if parts > most:
                raise RefusedError(f"a file of {len(content)} bytes in more than {most} parts")
            if at > stop:
                raise RefusedError("not a readable ONNX file (it is cut short or damaged)")


def _varint(content: bytes, at: int) -> tuple[int, int]:
    """Return a number of variable length, and where it ends."""
    number = 0
    for n, byte in enumerate(content[at : at + 10]):
        number |= (byte & 127) << 7 * n
        if byte < 128:
            return number, at + n + 1
    raise RefusedError("not a readable ONNX file (it is cut short or damaged)")


def _opset(model: Any) -> int:
    from onnx.defs import onnx_opset_version

    versions = {item.version for item in model.opset_import if item.domain in _OWN_DOMAINS}
    newest = onnx_opset_version()
    if len(versions) != 1 or not _OLDEST_OPSET <= (version := versions.pop()) <= newest:
        found = ", ".join(str(item.version) for item in model.opset_import) or "none"
        raise RefusedError(
            f"expected one opset from {_OLDEST_OPSET} to {newest}, the newest that the installed "
            f"onnx knows, got {found:.60}"
        )
    return int(version)


def _read_input(value: Any) -> Input:
    with saying(f"input {shown(value.name)}"):
        return _input(value)


def _input(value: Any) -> Input:
    from onnx import TensorProto

    tensor = value.type.tensor_type
    floats = (TensorProto.FLOAT, TensorProto.DOUBLE, TensorProto.FLOAT16, TensorProto.BFLOAT16)
    integers = (TensorProto.INT32, TensorProto.INT64)
    if tensor.elem_type not in floats + integers:
        raise RefusedError(f"expected a tensor of numbers, got {_type_name(tensor.elem_type)}")
    if not tensor.HasField("shape"):
        raise RefusedError("expected a shape, got none")
    shape = [dim.dim_value if dim.HasField("dim_value") else None for dim in tensor.shape.dim]
    if len(shape) > _MOST_INPUT_AXES or any(size is not None and size < 1 for size in shape):
        raise RefusedError(
            f"expected up to {_MOST_INPUT_AXES} axes, of sizes of at least 1, got {shown(shape)}"
        )
    return Input(value.name, tuple(shape), tensor.elem_type in integers)


def _type_name(code: int) -> str:
    from onnx import TensorProto

    return TensorProto.DataType.Name(code) if code in TensorProto.DataType.values() else str(code)


# Nodes ------------------------------------------------------------------------------------------


def _reads(proto: Any, depth: int = 0) -> set[str]:
    """Return the names of what a node reads, in the bodies of loops too."""
    names = {*filter(None, proto.input)}
    for item in proto.attribute:
        if item.HasField("g") and depth < _MOST_BODIES:
            for node in item.g.node:
                names |= _reads(node, depth + 1)
    return names


def _read_body(proto: Any, tensors: TensorReader, opset: int, depth: int) -> Graph:
    """Return the body of a loop, or a branch."""
    if depth >= _MOST_BODIES:
        raise RefusedError(f"loops and branches within more than {_MOST_BODIES} others")
    initializers = {tensor.name: tensor for tensor in proto.initializer}
    nodes = tuple(_read_node(node, tensors, opset, depth + 1) for node in proto.node)
    inputs = tuple(Input(value.name, ()) for value in proto.input)
    outputs = tuple(value.name for value in proto.output)
    given = {*initializers, *(one.name for one in inputs)}
    given |= {name for node in nodes for name in node.outputs}
    read = {name for node in nodes for name in node.reads} | {*outputs}
    constants = Constants(initializers, tensors)
    return Graph(inputs, constants, nodes, outputs, opset, frozenset(read - given))


def _read_node(proto: Any, tensors: TensorReader, opset: int, depth: int = 0) -> Node:
    title = (proto.name or next(filter(None, proto.output), ""))[:_MOST_LETTERS]
    what = "node" if proto.name else "the node that gives"
    label = f"{what} {shown(title)} ({proto.op_type:.40})"
    if not label.isprintable():
        label = f"{what} {shown(title)}"
    if proto.domain not in _OWN_DOMAINS:
        raise RefusedError(
            f"{label}: an operator of the domain {shown(proto.domain)}; expected ONNX's own"
        )
    attributes: dict[str, Any] = {}
    with saying(label):
        for item in proto.attribute:
            if item.name in attributes:
                raise RefusedError(f"attribute {shown(item.name)} is there twice")
            if item.type == item.GRAPH and proto.op_type in _WITH_BODIES:
                attributes[item.name] = _read_body(item.g, tensors, opset, depth)
            else:
                attributes[item.name] = _read_attribute(item, tensors)
    names = tuple(proto.input), tuple(proto.output)
    return Node(proto.op_type, *names, attributes, place=label, title=title)


def _read_attribute(proto: Any, tensors: TensorReader) -> Any:
    from onnx import AttributeProto

    match proto.type:
        case AttributeProto.FLOAT:
            return float(proto.f)
        case AttributeProto.INT:
            return int(proto.i)
        case AttributeProto.STRING:
            return proto.s.decode("utf-8", "replace")
        case AttributeProto.TENSOR:
            return tensors.read(proto.t)
        case AttributeProto.FLOATS:
            return list(proto.floats)
        case AttributeProto.INTS:
            return list(proto.ints)
        case AttributeProto.STRINGS:
            return [text.decode("utf-8", "replace") for text in proto.strings]
    known = proto.type in AttributeProto.AttributeType.values()
    kind = AttributeProto.AttributeType.Name(proto.type) if known else proto.type
    raise RefusedError(f"attribute {shown(proto.name)} is of the kind {kind}, which is not read")


# Tensors ----------------------------------------------------------------------------------------


class TensorReader:
    """Makes arrays of tensors: float16 and bfloat16 become float32, other kinds stay.

    Parameters
    ----------
    folder : Path or None
        Where files with the numbers of tensors may lie, if anywhere.
    room : Room
    """

    def __init__(self, folder: Path | None, room: Room) -> None:
        self._folder = folder
        self._room = room
        self._unread: dict[Path, int] = {}

    def read(self, tensor: Any) -> Array:
        """Return a tensor's numbers, or raise a RefusedError that names it."""
        with saying(f"tensor {shown(tensor.name)}"):
            return self._read(tensor)

    def _read(self, tensor: Any) -> Array:
        from onnx import TensorProto
        from onnx.numpy_helper import to_array

        # What lies in the file, and in which of the lists where it is not in `raw_data`.
        layouts = {
            TensorProto.FLOAT: ("<f4", tensor.float_data),
            TensorProto.DOUBLE: ("<f8", tensor.double_data),
            TensorProto.FLOAT16: ("<f2", tensor.int32_data),
            TensorProto.BFLOAT16: ("<u2", tensor.int32_data),
            TensorProto.INT32: ("<i4", tensor.int32_data),
            TensorProto.INT64: ("<i8", tensor.int64_data),
            TensorProto.BOOL: ("?", tensor.int32_data),
        }
        if tensor.data_type not in layouts:
            raise RefusedError(
                f"it is of the type {_type_name(tensor.data_type)}; expected float, double, "
                "float16, bfloat16, int32, int64 or bool (quantized models are not read)"
            )
        if tensor.HasField("segment"):
            raise RefusedError("it is one of several segments")
        code, numbers = layouts[tensor.data_type]
        shape = tuple(tensor.dims)
        if len(shape) > _MOST_AXES or any(size < 0 for size in shape):
            raise RefusedError(f"expected a shape, got {shown(shape)}")
        dtype = np.dtype(code)
        size = math.prod(shape)
        if tensor.data_location == TensorProto.EXTERNAL:
            array = np.frombuffer(self._read_external(tensor, size * dtype.itemsize), dtype)
        elif tensor.HasField("raw_data"):
            raw = tensor.raw_data
            if len(raw) != size * dtype.itemsize:
                raise RefusedError(f"{len(raw)} bytes do not fill shape {shown(shape)}")
            array = np.frombuffer(raw, dtype)
        else:
            if len(numbers) != size:
                raise RefusedError(f"{len(numbers)} numbers do not fill shape {shown(shape)}")
            array = to_array(tensor)
        if tensor.data_type == TensorProto.BFLOAT16 and array.dtype == np.uint16:
            array = bfloat16_as_float32(array)
        if tensor.data_type in (TensorProto.FLOAT16, TensorProto.BFLOAT16):
            array = array.astype(np.float32)
        return array.reshape(shape)

    def _read_external(self, tensor: Any, size: int) -> bytes:
        """Return the bytes of a tensor that lie in a file beside the model.

        All tensors of a file together cannot have more bytes than it has.
        """
        entries = {entry.key: entry.value for entry in tensor.external_data}
        offset, length = (_number(entries.get(key, "")) for key in ("offset", "length"))
        if length not in (None, size):
            raise RefusedError(f"{length} bytes do not fill shape {shown(tuple(tensor.dims))}")
        path = self._external_path(entries.get("location", ""))
        start = offset or 0
        try:
            with path.open("rb") as file:
                found = os.fstat(file.fileno()).st_size
                unread = self._unread.setdefault(path, found)
                if start + size > found or size > unread:
                    raise RefusedError(
                        f"expected {size} bytes from byte {start} of {shown(path.name)}, which "
                        f"has {found}, of which {unread} are left to be read"
                    )
                self._unread[path] -= size
                self._room.add(TIMES_TO_COMPUTE * size)
                file.seek(start)
                content = file.read(size)
        except OSError as error:
            raise RefusedError(f"{shown(path.name)} cannot be read: {error.strerror}") from None
        if len(content) != size:
            raise RefusedError(f"{shown(path.name)} changes while it is read")
        return content

    def _external_path(self, location: str) -> Path:
        """Return the path of a file within the model's folder, reached without any detour."""
        if self._folder is None:
            raise RefusedError("its numbers are in another file; load the model with all its data")
        parts = PurePosixPath(location).parts
        plain = parts and "\0" not in location and not {"/", "..", "//"} & set(parts)
        try:
            folder = self._folder.resolve(strict=True)
            path = folder.joinpath(*parts)
            if plain and path.resolve(strict=True) == path and path.is_file():
                return path
        except (OSError, RuntimeError):  # there is none, or its name cannot be one
            pass
        raise RefusedError(
            f"its numbers are in {shown(location)}; expected a file in the model's own folder"
        )


def _number(text: str) -> int | None:
    """Return a count that is written out; None where there is none."""
    if not text:
        return None
    if not (text.isascii() and text.isdigit() and len(text) < 20):
        raise RefusedError(f"expected a number of bytes, got {shown(text)}")
    return int(text)
