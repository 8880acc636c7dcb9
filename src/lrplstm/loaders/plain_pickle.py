"""Pickles from strangers: plain data and NumPy arrays come out, and nothing is ever run.

A pickle is a program for a small stack machine, and Python's own unpickler imports, calls and
changes whatever it is told to. The machine here has only the instructions that plain data and
arrays are written with, and calls nothing at all: a name is a word of a short list, and an array
is made by NumPy only once its shape, dtype and bytes were seen to agree.
"""

from __future__ import annotations

import codecs
import math
import pickle
import struct
import sys
from collections.abc import Callable
from enum import Enum
from typing import Any

import numpy as np

from lrplstm.loaders.refusals import RefusedError, Room
from lrplstm.weights import Array

__all__ = ["Machine", "load_plain_pickle", "room_for"]

_MAX_DEPTH = 100
"""How deep lists, tuples and dicts may lie in each other."""

_MOST_MARKS = 10_000

_BYTES_TO_MAKE, _TIMES_TO_MAKE = 48 * 2**20, 7
_BYTES_PER_PLACE = 8  # in a list, a tuple, the memo or on the stack
_BYTES_PER_CONTAINER, _BYTES_PER_ITEM = 300, 100  # with what `_finish` notes; of a dict
_BYTES_PER_CALL = 300


def load_plain_pickle(content: bytes, name: str) -> Any:
    """Return the data in a pickle of lists, tuples, dicts, strings, numbers and NumPy arrays.

    Parameters
    ----------
    content : bytes
        The pickle, of any protocol, from Python 2 or 3. Keys of dicts have to be strings. Arrays
        come out read-only.
    name : str
        What errors call it, such as its file.

    Raises
    ------
    ValueError
        If it holds anything else, or is damaged.
    """
    try:
        return _finish(Machine(content, room_for(content)).run(), {}, 0)
    except RefusedError as error:
        raise ValueError(f"{name}: refused: {error}") from None
    except Exception as error:  # a damaged pickle can raise nearly anything
        text = str(error).partition("\n")[0]
        raise ValueError(
            f"{name}: not a readable pickle ({type(error).__name__}: {text:.100})"
        ) from None


def room_for(content: bytes) -> Room:
    """Return how much reading a file of pickles may take."""
    return Room(_BYTES_TO_MAKE + _TIMES_TO_MAKE * len(content))


# What arrays are made of ------------------------------------------------------------------------


class _Name(Enum):
    """What a pickle may call, or rather: what it may believe that it calls."""

    NDARRAY = "numpy.ndarray"
    DTYPE = "numpy.dtype"
    RECONSTRUCT = "_reconstruct"
    SCALAR = "scalar"
    FROMBUFFER = "_frombuffer"
    ENCODE = "_codecs.encode"  # how protocols 0 to 2 write bytes
    BYTES = "bytes"  # and how they write none


_NAMES = {
    ("numpy", "ndarray"): _Name.NDARRAY,
    ("numpy", "dtype"): _Name.DTYPE,
    ("_codecs", "encode"): _Name.ENCODE,
    ("__builtin__", "bytes"): _Name.BYTES,
}
for _core in ("numpy.core", "numpy._core"):  # NumPy 1 and 2
    _NAMES[f"{_core}.multiarray", "_reconstruct"] = _Name.RECONSTRUCT
    _NAMES[f"{_core}.multiarray", "scalar"] = _Name.SCALAR
    _NAMES[f"{_core}.numeric", "_frombuffer"] = _Name.FROMBUFFER


class _Dtype:
    """A dtype: a code like "f8", and a byte order, which a second instruction sets."""

    def __init__(self, code: Any) -> None:
        self.code = code
        self.byteorder: Any = "="

    def resolve(self) -> np.dtype[Any]:
        code = self.code
        if (
            not isinstance(code, str)
            or code[:1] not in tuple("biufSU")
            or not (code.isascii() and code[1:].isdigit())
            or self.byteorder not in ("<", ">", "=", "|")
        ):
            raise RefusedError("an array of no plain dtype")
        return np.dtype(self.byteorder + code)


class _Array:
    """The place of an array that a second instruction fills."""

    value: Array | None = None


def _array(data: Any, dtype: Any, shape: Any, order: str = "C") -> Array:
    if not isinstance(dtype, _Dtype):
        raise RefusedError("an array without a dtype")
    resolved = dtype.resolve()
    if (
        type(shape) is not tuple
        or len(shape) > 32
        or not all(type(size) is int and 0 <= size <= sys.maxsize for size in shape)
        or not isinstance(data, bytes)
        or math.prod(shape) * resolved.itemsize != len(data)
    ):
        raise RefusedError(f"an array of {resolved} whose bytes do not fill its shape")
    if order not in ("C", "F", "K"):  # K: as it lies in memory, its axes are set right afterwards
        raise RefusedError("an array in an unknown order")
    array: Array = np.frombuffer(data, resolved).reshape(shape, order="F" if order == "F" else "C")
    if resolved.kind == "U" and array.size:
        codes = np.frombuffer(data, np.dtype(np.uint32).newbyteorder(resolved.byteorder))
        if codes.max() > sys.maxunicode:
            raise RefusedError("an array of text that is not Unicode")
    return array


# The machine ------------------------------------------------------------------------------------


def _int(line: bytes) -> int:
    return line == b"01" if line in (b"00", b"01") else int(line)


def _quoted(line: bytes) -> str:
    if len(line) < 2 or line[:1] != line[-1:] or line[:1] not in (b"'", b'"'):
        raise RefusedError("a string without quotes")
    return _latin1(codecs.escape_decode(line[1:-1])[0])


def _latin1(data: bytes) -> str:
    return data.decode("latin1")


def _utf8(data: bytes) -> str:
    return data.decode("utf-8", "surrogatepass")


def _long(data: bytes) -> int:
    return int.from_bytes(data, "little", signed=True)


_CONSTANTS: dict[bytes, Any] = {
    pickle.NONE: None,
    pickle.NEWTRUE: True,
    pickle.NEWFALSE: False,
    pickle.EMPTY_TUPLE: (),
}
_NUMBERS = {pickle.BININT: "<i", pickle.BININT1: "<B", pickle.BININT2: "<H", pickle.BINFLOAT: ">d"}
_LINES: dict[bytes, Callable[[bytes], Any]] = {
    pickle.INT: _int,
    pickle.LONG: lambda line: int(line.removesuffix(b"L")),
    pickle.FLOAT: float,
    pickle.STRING: _quoted,
    pickle.UNICODE: lambda line: line.decode("raw-unicode-escape"),
}
_COUNTED: dict[bytes, tuple[str, Callable[[bytes], Any]]] = {
    # Strings of Python 2 are latin1, for those are the ones that hold the bytes of arrays.
    pickle.SHORT_BINSTRING: ("<B", _latin1),
    pickle.BINSTRING: ("<i", _latin1),
    pickle.SHORT_BINUNICODE: ("<B", _utf8),
    pickle.BINUNICODE: ("<I", _utf8),
    pickle.BINUNICODE8: ("<Q", _utf8),
    pickle.SHORT_BINBYTES: ("<B", bytes),
    pickle.BINBYTES: ("<I", bytes),
    pickle.BINBYTES8: ("<Q", bytes),
    pickle.BYTEARRAY8: ("<Q", bytes),
    pickle.LONG1: ("<B", _long),
    pickle.LONG4: ("<i", _long),
}
_TUPLES = {pickle.TUPLE1: 1, pickle.TUPLE2: 2, pickle.TUPLE3: 3}


class Machine:
    """The instructions of a pickle that make plain data, arrays and places of arrays.

    A format that keeps other things in its pickles says in a subclass what names (`look_up`),
    calls, states, keys and persistent ids stand for. `position` is where the pickle begins, and
    after `run` where it ended. All that is made is taken from `room`.
    """

    def __init__(self, content: bytes, room: Room, position: int = 0) -> None:
        self._content = content
        self.room = room
        self.position = position
        self._stack: list[Any] = []
        self._marks: list[int] = []
        self._memo: list[Any] = []
        self._encoded: dict[str, bytes] = {}

    def run(self) -> Any:
        """Return what the pickle makes, places of arrays still empty or not."""
        while (code := self._take(1)) != pickle.STOP:
            if code in _CONSTANTS:
                self._push(_CONSTANTS[code], _BYTES_PER_PLACE)
            elif code in _NUMBERS:
                self._push_value(self._number(_NUMBERS[code]))
            elif code in _LINES:
                self._push_value(_LINES[code](self._line()))
            elif code in _COUNTED:
                layout, decode = _COUNTED[code]
                self._push_value(decode(self._take(self._number(layout))))
            elif code in _TUPLES:
                items = self._pop_from(len(self._stack) - _TUPLES[code])
                self._push(tuple(items), _BYTES_PER_CONTAINER)
            else:
                self._step(code)
        return self._stack.pop()

    def _push(self, value: Any, size: int) -> None:
        self.room.take(size)
        self._stack.append(value)

    def _push_value(self, value: Any) -> None:
        # Python gives out multiples of 16 bytes.
        self._push(value, -(-sys.getsizeof(value) // 16) * 16 + _BYTES_PER_PLACE)

    def _step(self, code: bytes) -> None:
        stack = self._stack
        match code:
            case pickle.PROTO:
                self._take(1)
            case pickle.FRAME:
                self._take(8)
            # The memo
            case pickle.MEMOIZE:
                self._put(len(self._memo))
            case pickle.PUT:
                self._put(int(self._line()))
            case pickle.BINPUT:
                self._put(self._number("<B"))
            case pickle.LONG_BINPUT:
                self._put(self._number("<I"))
            case pickle.GET:
                self._get(int(self._line()))
            case pickle.BINGET:
                self._get(self._number("<B"))
            case pickle.LONG_BINGET:
                self._get(self._number("<I"))
            # Containers
            case pickle.MARK:
                if len(self._marks) > _MOST_MARKS:
                    raise RefusedError(f"it is nested more than {_MOST_MARKS} deep")
                self._marks.append(len(stack))
            case pickle.EMPTY_LIST:
                self._push([], _BYTES_PER_CONTAINER)
            case pickle.EMPTY_DICT:
                self._push({}, _BYTES_PER_CONTAINER)
            case pickle.TUPLE:
                self._push(tuple(self._pop_marked()), _BYTES_PER_CONTAINER)
            case pickle.LIST:
                self._push(self._pop_marked(), _BYTES_PER_CONTAINER)
            case pickle.DICT:
                items = self._pop_marked()
                self._push({}, _BYTES_PER_CONTAINER)
                self._set_items(items)
            case pickle.APPEND:
                self._extend([stack.pop()])
            case pickle.APPENDS:
                self._extend(self._pop_marked())
            case pickle.SETITEM:
                self._set_items(self._pop_from(len(stack) - 2))
            case pickle.SETITEMS:
                self._set_items(self._pop_marked())
            # What arrays are made with
            case pickle.GLOBAL:
                module, name = _utf8(self._line()), _utf8(self._line())
                self._push(self.look_up(module, name), _BYTES_PER_PLACE)
            case pickle.STACK_GLOBAL:
                module, name = self._pop_from(len(stack) - 2)
                self._push(self.look_up(module, name), _BYTES_PER_PLACE)
            case pickle.REDUCE:
                name, arguments = self._pop_from(len(stack) - 2)
                self._push(self.call(name, arguments), _BYTES_PER_CALL)
            case pickle.BUILD:
                state = stack.pop()
                self.build(stack[-1], state)
            case pickle.BINPERSID:
                self._push(self.persistent(stack.pop()), _BYTES_PER_CALL)
            case _:
                raise RefusedError(
                    f"it has the instruction {code!r}, which plain data and arrays do not need"
                )

    def _take(self, size: int) -> bytes:
        stop = self.position + size
        if size < 0 or stop > len(self._content):
            raise RefusedError("it is cut short")
        taken = self._content[self.position : stop]
        self.position = stop
        return taken

    def _line(self) -> bytes:
        stop = self._content.find(b"\n", self.position)
        if stop < 0:
            raise RefusedError("it is cut short")
        line = self._take(stop - self.position)
        self.position += 1
        return line

    def _number(self, layout: str) -> Any:
        return struct.unpack(layout, self._take(struct.calcsize(layout)))[0]

    def _put(self, index: int) -> None:
        memo = self._memo
        gap = index - len(memo)
        if index < 0 or gap > len(self._content):
            raise RefusedError("a memo number that is out of range")
        if gap >= 0:
            self.room.take((gap + 1) * _BYTES_PER_PLACE)
            memo += [None] * gap
            memo.append(self._stack[-1])
        else:
            memo[index] = self._stack[-1]

    def _get(self, index: int) -> None:
        if not 0 <= index < len(self._memo):
            raise RefusedError("a memo number that is out of range")
        self._push(self._memo[index], _BYTES_PER_PLACE)

    def _pop_from(self, start: int) -> list[Any]:
        if start < 0:
            raise RefusedError("it takes more than it has")
        popped = self._stack[start:]
        del self._stack[start:]
        return popped

    def _pop_marked(self) -> list[Any]:
        return self._pop_from(self._marks.pop())

    def _extend(self, items: list[Any]) -> None:
        target = self._stack[-1]
        if type(target) is not list:
            raise RefusedError("it appends to something that is no list")
        self.room.take(2 * _BYTES_PER_PLACE * len(items))
        target.extend(items)

    def _set_items(self, items: list[Any]) -> None:
        target = self._stack[-1]
        if type(target) is not dict:
            raise RefusedError("it sets items of something that is no dict")
        self.room.take(_BYTES_PER_ITEM * len(items))
        target.update(zip(map(self.key, items[::2]), items[1::2], strict=True))

    def key(self, key: Any) -> str:
        """Return the key of a dict that a pickle asks for."""
        # As above: a dict of numbers or tuples could be made so that it takes for ever.
        if type(key) is not str:
            raise RefusedError("a dict with keys that are no strings")
        return key

    def look_up(self, module: Any, name: Any) -> Any:
        """Return what a name stands for."""
        if not isinstance(module, str) or not isinstance(name, str):
            raise RefusedError("a name that is no string")
        if (module, name) not in _NAMES:
            named = repr(f"{module}.{name}")[1:-1]
            raise RefusedError(
                f"it names {named:.100}; expected lists, dicts, strings and arrays only"
            )
        return _NAMES[module, name]

    def persistent(self, identity: Any) -> Any:
        """Return what lies outside the pickle under this id."""
        raise RefusedError("a reference to something outside it")

    def call(self, name: Any, arguments: Any) -> Any:
        """Return what calling a name stands for; nothing is called."""
        if not isinstance(name, _Name) or type(arguments) is not tuple:
            raise RefusedError("it calls something")
        match name:
            case _Name.NDARRAY | _Name.RECONSTRUCT:
                return _Array()
            case _Name.DTYPE:
                return _Dtype(arguments[0])
            case _Name.SCALAR:
                dtype, data = arguments
                self.room.take(len(data))  # it is copied each time
                return _array(self._bytes(data), dtype, ())[()]
            case _Name.FROMBUFFER:
                data, dtype, shape, order, *axes = arguments
                array = _array(self._bytes(data), dtype, shape, order)
                return array.transpose(axes[0]) if order == "K" else array
            case _Name.ENCODE:
                text, encoding = arguments
                if not isinstance(text, str) or encoding != "latin1":
                    raise RefusedError("text in an encoding other than latin1")
                return self._bytes(text)
            case _Name.BYTES:
                if arguments:
                    raise RefusedError("it calls bytes")
                return b""

    def build(self, target: Any, state: Any) -> None:
        """Give the place of an array or of a dtype what is in it."""
        if isinstance(target, _Dtype):
            # (version, byte order, subarray, names, fields, item size, alignment, ...)
            _, byteorder, *record = state[:5]
            if record != [None, None, None]:
                raise RefusedError("an array of records")
            target.byteorder = byteorder
        elif isinstance(target, _Array):
            _, shape, dtype, fortran, data = state
            target.value = _array(self._bytes(data), dtype, shape, "F" if fortran else "C")
        else:
            raise RefusedError("it changes something that is no array")

    def _bytes(self, data: Any) -> Any:
        """Return text as the bytes that it stands for, only once however often it is asked for."""
        if not isinstance(data, str):
            return data
        if data not in self._encoded:
            self.room.take(len(data) + _BYTES_PER_ITEM)
            self._encoded[data] = data.encode("latin1")
        return self._encoded[data]


def _finish(value: Any, done: dict[int, Any], depth: int) -> Any:
    """Return the data with arrays in their places.

    `done` holds what was finished already: a few bytes can name one list a billion times over.
    """
    if value is None or isinstance(value, str | bytes | int | float | np.ndarray | np.generic):
        return value
    if id(value) in done:
        return done[id(value)]
    if depth > _MAX_DEPTH:
        raise RefusedError(f"it is nested more than {_MAX_DEPTH} deep")
    finished: Any
    if isinstance(value, dict):
        finished = {key: _finish(item, done, depth + 1) for key, item in value.items()}
    elif isinstance(value, list | tuple):
        finished = type(value)([_finish(item, done, depth + 1) for item in value])
    elif isinstance(value, _Array) and value.value is not None:
        finished = value.value
    else:
        raise RefusedError("a part of an array where data should be")
    done[id(value)] = finished
    return finished
