"""Memory that begins where vectors do, and checks of what loops would read out of bounds."""

from cpython.buffer cimport PyBUF_SIMPLE, PyBuffer_Release, PyObject_GetBuffer
from cpython.exc cimport PyErr_CheckSignals

import numpy as np

from lrplstm.parallel import look

from lrplstm._vectors cimport VECTOR_BYTES

# Multiplications after which a loop looks for Ctrl-C: some 50 ms.
cdef Py_ssize_t _POLL_EVERY = 1 << 30

cdef object _ARRAY = np.ndarray, _INTP = np.dtype(np.intp), _BYTE = np.dtype(np.uint8)


cdef int _poll(Py_ssize_t* work, Py_ssize_t more) except -1 nogil:
    """Count work; now and then let Python see to its signals, and whether to go on."""
    work[0] += more
    if work[0] > _POLL_EVERY:
        work[0] = 0
        with gil:
            PyErr_CheckSignals()
            look()
    return 0


cdef Py_ssize_t _round_up(Py_ssize_t number, Py_ssize_t multiple) noexcept:
    return (number + multiple - 1) // multiple * multiple


# Memory -----------------------------------------------------------------------------------------

cdef class _Memory:
    """So many bytes of what np.zeros or np.empty makes, for the kernels alone."""

    cdef object array
    cdef char* start

    def __cinit__(self, make, Py_ssize_t size):
        cdef Py_ssize_t first = 0
        if LRPLSTM_SANITIZE:  # nothing beside it that could hide what runs over its end
            self.array = make(size, _BYTE)
        else:
            self.array = make(size + VECTOR_BYTES, _BYTE)
            first = _to_vector(_address(self.array))
        self.start = <char*> _address(self.array) + first


cdef Py_ssize_t _to_vector(const void* address) noexcept:
    """How many bytes behind an address a whole vector begins."""
    return (VECTOR_BYTES - <Py_ssize_t> address % VECTOR_BYTES) % VECTOR_BYTES


cdef object _zeros(tuple shape, dtype):
    return _aligned(np.zeros, shape, dtype)


cdef object _aligned(make, tuple shape, dtype):
    """Return what np.zeros or np.empty makes, beginning where a whole vector would."""
    cdef Py_ssize_t size = 1, length, itemsize = dtype.itemsize, first
    if LRPLSTM_SANITIZE:
        return make(shape, dtype)
    for length in shape:
        size *= length
    memory = make(size + VECTOR_BYTES // itemsize, dtype)
    first = _to_vector(_address(memory)) // itemsize
    return memory[first:first + size].reshape(shape)


cdef void* _address(array) except? NULL:
    """Where an array begins, which whoever keeps the address keeps alive; NULL for None."""
    cdef Py_buffer view
    if array is None:
        return NULL
    PyObject_GetBuffer(array, &view, PyBUF_SIMPLE)
    PyBuffer_Release(&view)
    return view.buf


cdef const Py_ssize_t* _indices(array) except? NULL:
    """The same of an array of intp."""
    return <const Py_ssize_t*> _address(array)


cdef object _padded(row, Py_ssize_t length):
    """Return a row with zeros behind it."""
    padded = _zeros((length,), row.dtype)
    padded[:len(row)] = row
    return padded


cdef object _contiguous(array):
    flags = array.flags
    if flags.c_contiguous and flags.aligned:
        return array
    return np.require(array, requirements="CA")


# Checks -----------------------------------------------------------------------------------------

cdef int _check(str name, array, tuple shape, dtype) except -1:
    """Refuse an array that the loops below would read out of bounds or misread."""
    if not isinstance(array, _ARRAY):
        raise TypeError(f"{name}: expected an ndarray, got {type(array).__name__}")
    if array.dtype != dtype:
        raise TypeError(f"{name}: expected dtype {dtype}, got {array.dtype}")
    if array.shape != shape:
        raise ValueError(f"{name}: expected shape {shape}, got {array.shape}")
    return 0


cdef object _check_rows(str name, array, Py_ssize_t columns, dtype):
    """Check an array of any number of rows; return it contiguous."""
    if not isinstance(array, _ARRAY) or array.ndim != 2:
        raise TypeError(f"{name}: expected a 2-dimensional ndarray")
    _check(name, array, (len(array), columns), dtype)
    return _contiguous(array)


cdef object _check_numbers(str name, array):
    """Check an array of rows, float32 or float64; return it contiguous."""
    if not isinstance(array, _ARRAY) or array.ndim != 2:
        raise TypeError(f"{name}: expected a 2-dimensional ndarray")
    if array.dtype != np.float32 and array.dtype != np.float64:
        raise TypeError(f"{name}: expected float32 or float64, got {array.dtype}")
    return _contiguous(array)


cdef object _check_targets(str name, array, Py_ssize_t rows, Py_ssize_t columns, dtype):
    """Check an array of rows for each of any number of targets; return it contiguous."""
    if not isinstance(array, _ARRAY) or array.ndim != 3 or len(array) == 0:
        raise TypeError(f"{name}: expected a 3-dimensional ndarray of at least one target")
    _check(name, array, (len(array), rows, columns), dtype)
    return _contiguous(array)


cdef int _check_steps(rows, offsets, Py_ssize_t projected) except -1:
    """Check which steps there are, and which rows of the projection they read."""
    _check_indices("rows", rows)
    _check_indices("offsets", offsets)
    _check_order(offsets, len(rows))
    return _check_range(_indices(rows), len(rows), projected)


cdef int _check_indices(str name, array) except -1:
    if not isinstance(array, _ARRAY) or array.dtype != _INTP or array.ndim != 1:
        raise TypeError(f"{name}: expected a 1-dimensional ndarray of intp")
    flags = array.flags
    if not (flags.c_contiguous and flags.aligned):
        raise ValueError(f"{name}: expected a contiguous, aligned array")
    return 0


cdef int _check_order(array, Py_ssize_t steps) except -1:
    cdef const Py_ssize_t* offsets = _indices(array)
    cdef Py_ssize_t B = len(array) - 1, b, length, before = steps
    if B < 1 or offsets[0] != 0 or offsets[B] != steps:
        raise ValueError(f"offsets: expected to rise from 0 to {steps}")
    for b in range(B):
        # Compared before they are subtracted: a difference could overflow.
        if offsets[b + 1] <= offsets[b] or offsets[b + 1] - offsets[b] > before:
            raise ValueError("offsets: expected sequences of at least one step, the longest first")
        length = offsets[b + 1] - offsets[b]
        before = length
    return 0


cdef int _check_range(const Py_ssize_t* rows, Py_ssize_t steps, Py_ssize_t end) except -1:
    cdef Py_ssize_t t
    for t in range(steps):
        if rows[t] < 0 or rows[t] >= end:
            raise ValueError(f"rows: expected 0 <= row < {end}, got {rows[t]}")
    return 0


cdef inline Py_ssize_t _length(const Py_ssize_t* offsets, Py_ssize_t b) noexcept nogil:
    """How many steps sequence b has."""
    return offsets[b + 1] - offsets[b]
