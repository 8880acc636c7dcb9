"""Pickles from strangers: plain data and NumPy arrays come out, and nothing is ever run.

A pickle is a small program that may import and call anything. Here every name that it asks for is
looked up in a short table of stand-ins, which only collect what an array is made of; NumPy's own
functions are not called until shape, dtype and bytes were seen to agree.
"""

from __future__ import annotations

import io
import math
import pickle
import pickletools
from typing import Any

import numpy as np

from lrplstm.weights import Array

__all__ = ["load_plain_pickle"]


def load_plain_pickle(content: bytes, name: str) -> Any:
    """Return the data in a pickle of lists, tuples, dicts, strings, numbers and NumPy arrays.

    Parameters
    ----------
    content : bytes
        The pickle, of any protocol.
    name : str
        What errors call it, such as its file.

    Raises
    ------
    ValueError
        If it names anything else, or is damaged.
    """
    try:
        _check_memo(content)
        with io.BytesIO(content) as file:
            # latin1 is what NumPy arrays in pickles of Python 2 need.
            loaded = _PlainUnpickler(file, encoding="latin1").load()
        return _finish(loaded, {})
    except _RefusedError as error:
        raise ValueError(f"{name}: refused: {error}") from None
    except RecursionError:
        raise ValueError(f"{name}: refused: nested too deep") from None
    except Exception as error:  # a damaged pickle can raise nearly anything
        text = str(error).partition("\n")[0]
        raise ValueError(
            f"{name}: not a readable pickle ({type(error).__name__}: {text:.100})"
        ) from None


class _RefusedError(Exception):
    """The pickle asks for something that it may not have."""


def _check_memo(content: bytes) -> None:
    """Refuse memo numbers that would make the unpickler reserve memory for them."""
    for opcode, argument, _ in pickletools.genops(content):
        if opcode.name in ("PUT", "BINPUT", "LONG_BINPUT") and int(argument or 0) > len(content):
            raise _RefusedError(f"memo number {argument} in {len(content)} bytes")


# Stand-ins --------------------------------------------------------------------------------------


class _Dtype:
    """Stands in for numpy.dtype: a code like "f8" and a byte order."""

    def __init__(self, code: Any, *_: Any) -> None:
        self.code = code
        self.byteorder: Any = "="

    def __setstate__(self, state: Any) -> None:
        # (version, byte order, subarray, names, fields, item size, alignment, ...)
        if state[2] is not None or state[3] is not None or state[4] is not None:
            raise _RefusedError("an array of records")
        self.byteorder = state[1]

    def resolve(self) -> np.dtype[Any]:
        if not isinstance(self.code, str) or self.byteorder not in ("<", ">", "=", "|"):
            raise _RefusedError("an array of no plain dtype")
        dtype = np.dtype(self.code)
        if dtype.kind not in "biufSU" or dtype.itemsize == 0:
            raise _RefusedError(f"an array of dtype {dtype}")
        return dtype.newbyteorder(self.byteorder)


class _Ndarray:
    """Stands in for numpy.ndarray: what an array is made of."""

    def __init__(self, dtype: Any = None, shape: Any = None, data: Any = None, order: Any = "C"):
        self.dtype, self.shape, self.data, self.order = dtype, shape, data, order

    def __setstate__(self, state: Any) -> None:
        _, self.shape, self.dtype, fortran, self.data = state
        self.order = "F" if fortran else "C"

    def resolve(self) -> Array:
        if not isinstance(self.dtype, _Dtype):
            raise _RefusedError("an array without a dtype")
        dtype, shape, data = self.dtype.resolve(), self.shape, self.data
        if isinstance(data, str):  # bytes in a pickle of Python 2
            data = data.encode("latin1")
        if (
            not isinstance(shape, tuple)
            or not all(type(size) is int and size >= 0 for size in shape)
            or not isinstance(data, bytes | bytearray)
            or math.prod(shape) * dtype.itemsize != len(data)
        ):
            raise _RefusedError(f"an array of shape {shape!r:.60} that its bytes do not fill")
        return np.frombuffer(data, dtype).reshape(shape, order=self.order)


class _Scalar(_Ndarray):
    """Stands in for a NumPy scalar."""

    def resolve(self) -> Any:
        return super().resolve()[()]


def _reconstruct(*_: Any) -> _Ndarray:
    return _Ndarray()


def _scalar(dtype: Any, data: Any) -> _Scalar:
    return _Scalar(dtype, (), data)


def _frombuffer(data: Any, dtype: Any, shape: Any, order: Any) -> _Ndarray:
    return _Ndarray(dtype, shape, bytes(data) if type(data) is bytearray else data, order)


def _encode(text: Any, encoding: Any) -> bytes:
    """Stands in for _codecs.encode, by which protocols 0 to 2 write bytes."""
    if not isinstance(text, str) or encoding != "latin1":
        raise _RefusedError(f"text in the encoding {encoding!r:.40}")
    return text.encode("latin1")


_NAMES: dict[tuple[str, str], Any] = {
    ("numpy", "ndarray"): _Ndarray,
    ("numpy", "dtype"): _Dtype,
    ("_codecs", "encode"): _encode,
}
for _core in ("numpy.core", "numpy._core"):
    _NAMES[f"{_core}.multiarray", "_reconstruct"] = _reconstruct
    _NAMES[f"{_core}.multiarray", "scalar"] = _scalar
    _NAMES[f"{_core}.numeric", "_frombuffer"] = _frombuffer


class _PlainUnpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        try:
            return _NAMES[module, name]
        except KeyError:
            raise _RefusedError(
                f"it names {module}.{name}; expected lists, dicts, strings and arrays only"
            ) from None

    def persistent_load(self, pid: Any) -> Any:
        raise _RefusedError("it refers to an object outside")


def _finish(value: Any, done: dict[int, Any]) -> Any:
    """Return the data with arrays in the place of their stand-ins.

    `done` holds what was finished already: a few bytes can name one list a billion times over.
    """
    if id(value) in done:
        return done[id(value)]
    finished: Any
    if isinstance(value, _Ndarray):
        finished = value.resolve()
    elif isinstance(value, dict):
        finished = {_finish(key, done): _finish(item, done) for key, item in value.items()}
    elif isinstance(value, list):
        finished = [_finish(item, done) for item in value]
    elif isinstance(value, tuple):
        finished = tuple(_finish(item, done) for item in value)
    elif isinstance(value, str | bytes | int | float | None):
        return value
    else:
        raise _RefusedError(f"a {type(value).__name__}")
    done[id(value)] = finished
    return finished
