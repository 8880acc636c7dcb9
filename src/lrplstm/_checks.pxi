"""Memory that begins where vectors do, and checks of what loops would read out of bounds."""

from cpython.buffer cimport (
    PyBUF_SIMPLE, PyBUF_STRIDES, PyBuffer_FillInfo, PyBuffer_IsContiguous, PyBuffer_Release,
    PyObject_GetBuffer,
)
from cpython.exc cimport PyErr_CheckSignals
from cpython.mem cimport PyMem_Calloc, PyMem_Free, PyMem_Malloc

from libc.string cimport memset

import numpy as np

from lrplstm.parallel import look

from lrplstm._vectors cimport VECTOR_BYTES

# Multiplications after which a loop looks for Ctrl-C: some 50 ms.
cdef Py_ssize_t _POLL_EVERY = 1 << 30

cdef object _ARRAY = np.ndarray, _INTP = np.dtype(np.intp), _DOUBLE = np.dtype(np.float64)


cdef inline int _poll(Py_ssize_t* work, Py_ssize_t more) except -1 nogil:
    """Count work; now and then let Python see to its signals, and whether to go on."""
    work[0] += more
    if work[0] > _POLL_EVERY:
        work[0] = 0
        _look()
    return 0


cdef int _look() except -1 nogil:
    with gil:
        PyErr_CheckSignals()
        look()
    return 0


cdef Py_ssize_t _round_up(Py_ssize_t number, Py_ssize_t multiple) noexcept:
    return (number + multiple - 1) // multiple * multiple


# Memory -----------------------------------------------------------------------------------------

# Between two scans the system would take back what was freed, and clear every page again: small
# networks would wait for that longer than for their kernels. So blocks of at least LARGE_BYTES are
# kept for the next scan: so many, and so many bytes together. Whoever takes or frees one holds the
# GIL.
cdef enum:
    LARGE_BYTES = 1 << 16
    KEPT_BYTES = 1 << 25
    MOST_KEPT = 8

cdef struct Block:
    void* address
    Py_ssize_t size

cdef Block _kept[MOST_KEPT]
cdef Py_ssize_t _kept_bytes = 0, _oldest = 0


cdef Block _block(Py_ssize_t size, bint zeros) noexcept:
    """Return the last block that was kept and is at most twice as large, or a new one."""
    global _kept_bytes
    cdef Block block
    cdef Py_ssize_t i, slot
    for i in range(1, MOST_KEPT + 1):
        slot = (_oldest + MOST_KEPT - i) % MOST_KEPT
        block = _kept[slot]
        if size <= block.size <= 2 * size:
            _kept[slot] = Block(NULL, 0)
            _kept_bytes -= block.size
            if zeros:
                memset(block.address, 0, size)
            return block
    block.size = size + size // 8  # for a part with some more steps
    block.address = PyMem_Calloc(1, block.size) if zeros else PyMem_Malloc(block.size)
    return block


cdef void _keep(Block block) noexcept:
    """Keep a block in the place of the oldest, and of more as long as they are too large."""
    global _kept_bytes, _oldest
    _kept_bytes += block.size
    while True:
        PyMem_Free(_kept[_oldest].address)
        _kept_bytes -= _kept[_oldest].size
        _kept[_oldest] = Block(NULL, 0)
        if _kept_bytes <= KEPT_BYTES:
            break
        _oldest = (_oldest + 1) % MOST_KEPT
    _kept[_oldest] = block
    _oldest = (_oldest + 1) % MOST_KEPT


cdef class _Memory:
    """Memory for the kernels, and arrays of theirs."""

    cdef Block block  # of size 0 where it is not to be kept
    cdef char* start
    cdef Py_ssize_t size

    def __dealloc__(self):
        if self.block.size > 0:
            _keep(self.block)
        else:
            PyMem_Free(self.block.address)

    def __getbuffer__(self, Py_buffer* view, int flags):
        PyBuffer_FillInfo(view, self, self.start, self.size, False, flags)


cdef _Memory _memory(Py_ssize_t size, bint zeros):
    """Return so many bytes, zeros or whatever they are, beginning where a whole vector would."""
    # Like this no arguments go through a tuple, which would take most of the time.
    cdef _Memory memory = _Memory.__new__(_Memory)
    memory.size = size
    if not LRPLSTM_SANITIZE:  # then nothing beside them that could hide what runs over their end
        size += VECTOR_BYTES
    if LARGE_BYTES <= size <= KEPT_BYTES // 2 and not LRPLSTM_SANITIZE:
        memory.block = _block(size, zeros)
    else:
        memory.block.address = PyMem_Calloc(1, size) if zeros else PyMem_Malloc(size)
    if memory.block.address == NULL:
        memory.block.size = 0
        raise MemoryError
    memory.start = <char*> memory.block.address
    if not LRPLSTM_SANITIZE:
        memory.start += _to_vector(memory.block.address)
    return memory


cdef Py_ssize_t _to_vector(const void* address) noexcept:
    """How many bytes behind an address a whole vector begins."""
    return (VECTOR_BYTES - <Py_ssize_t> address % VECTOR_BYTES) % VECTOR_BYTES


cdef object _zeros(tuple shape, dtype):
    return _aligned(shape, dtype, True)


cdef object _aligned(tuple shape, dtype, bint zeros):
    """Return an array of zeros, or of whatever, that begins where a whole vector would."""
    cdef Py_ssize_t size = dtype.itemsize, length
    for length in shape:
        size *= length
    if size == 0:
        return np.empty(shape, dtype)
    return np.frombuffer(_memory(size, zeros), dtype).reshape(shape)


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


# Checks -----------------------------------------------------------------------------------------

cdef enum:
    ANY = -1
    NO = -2


cdef object _checked(
    str name, array, dtype, Py_ssize_t first, Py_ssize_t second=NO, Py_ssize_t third=NO
):
    """Refuse an array that loops would read out of bounds or misread; return it contiguous.

    It has as many dimensions as sizes are given, of which some may be `ANY`.
    """
    cdef Py_buffer view
    cdef Py_ssize_t* sizes = [first, second, third]
    cdef Py_ssize_t ndim = 1 + (second != NO) + (third != NO), i
    cdef bint fits = True, contiguous
    if not isinstance(array, _ARRAY):
        raise TypeError(f"{name}: expected an ndarray, got {type(array).__name__}")
    if array.dtype is not dtype and array.dtype != dtype:
        raise TypeError(f"{name}: expected dtype {dtype}, got {array.dtype}")
    PyObject_GetBuffer(array, &view, PyBUF_STRIDES)
    if view.ndim == ndim:
        for i in range(ndim):
            fits = fits and sizes[i] in (ANY, view.shape[i])
    contiguous = PyBuffer_IsContiguous(&view, c"C") and <size_t> view.buf % view.itemsize == 0
    i = view.ndim
    PyBuffer_Release(&view)
    if i != ndim:
        raise TypeError(f"{name}: expected a {ndim}-dimensional ndarray, got {i} dimensions")
    if not fits:
        shape = ["any" if sizes[i] == ANY else str(sizes[i]) for i in range(ndim)]
        raise ValueError(f"{name}: expected shape ({', '.join(shape)}), got {array.shape}")
    return array if contiguous else np.require(array, requirements="CA")


cdef object _check_numbers(str name, array):
    """Check an array of rows, float32 or float64; return it contiguous."""
    if not isinstance(array, _ARRAY) or array.dtype not in (np.float32, np.float64):
        raise TypeError(f"{name}: expected an ndarray of float32 or float64")
    return _checked(name, array, array.dtype, ANY, ANY)


cdef object _check_targets(str name, array, Py_ssize_t rows, Py_ssize_t columns, dtype):
    """Check an array of rows for each of any number of targets; return it contiguous."""
    array = _checked(name, array, dtype, ANY, rows, columns)
    if len(array) == 0:
        raise ValueError(f"{name}: expected at least one target, got none")
    return array


cdef int _check_steps(rows, offsets, Py_ssize_t projected) except -1:
    """Check which steps there are, and which rows of the projection they read."""
    _check_indices("rows", rows)
    _check_indices("offsets", offsets)
    _check_order(offsets, len(rows))
    return _check_range(_indices(rows), len(rows), projected)


cdef int _check_indices(str name, array) except -1:
    if _checked(name, array, _INTP, ANY) is not array:
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
