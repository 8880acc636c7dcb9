"""A backend, compiled: the same names, arguments and results as in `_reference`.

A scan takes the sequences of a layer in *tiles*. The sequences of a tile, its lanes, go through
their steps side by side, so that the product with the recurrent weights, which is most of the work,
is one of many rows with a matrix. The longest sequence comes first: those that still run are the
first `active` lanes, and nothing is padded with steps that are not there.

Each scan has three parts: a `def` that checks what it is given and makes the outputs, a loop over
directions, tiles and steps without the GIL, and short functions that take one row of H units
through the formulas. A row has room for a multiple of UNITS units; what stands in the places beyond
H is finite, and its relevance and gradient are 0.

Every number is computed by the same instructions in the same order, whichever rows are beside it:
results do not depend on the batch, its order or the number of threads.
"""

from cpython.buffer cimport PyBUF_SIMPLE, PyBuffer_Release, PyObject_GetBuffer
from cpython.exc cimport PyErr_CheckSignals
from cython cimport floating as real
from libc.string cimport memcpy, memset

import numpy as np

from lrplstm._activations cimport exp, expm1_twice
from lrplstm._vectors cimport VECTOR_BYTES, add_product, multiply, panel_vectors, prefetch

from lrplstm.parallel import look
from lrplstm.scans import KEEP, DecomposeResult, ForwardResult, GradientResult, LRPResult

cdef extern from *:
    """
    #if defined(__AVX512F__)
    #define LRPLSTM_INSTRUCTION_SET "x86-64-v4 (AVX-512)"
    #elif defined(__AVX2__)
    #define LRPLSTM_INSTRUCTION_SET "x86-64-v3 (AVX2)"
    #elif defined(__x86_64__)
    #define LRPLSTM_INSTRUCTION_SET "x86-64 baseline (SSE2)"
    #elif defined(__aarch64__)
    #define LRPLSTM_INSTRUCTION_SET "aarch64 baseline (NEON)"
    #else
    #define LRPLSTM_INSTRUCTION_SET "baseline"
    #endif
    """
    const char* LRPLSTM_INSTRUCTION_SET
    const int LRPLSTM_BOUNDSCHECK
    const int LRPLSTM_SANITIZE

# Loops of so many rounds become whole vectors on every instruction set.
cdef enum:
    UNITS = 32

# At most so many sequences are a tile, and at most so many targets go back side by side.
cdef enum:
    TILE = 64
    TARGETS = 8

# So many rows go through a product together: they and a panel stay in the cache.
cdef enum:
    TOGETHER = 128

# What a trace keeps of a step, in rows of units.
cdef enum:
    KEPT = 0
    ADDED = 1
    PREACTIVATION_G = 2
    HIDDEN_BEFORE = 3
    RELEVANCE_ROWS = 4

cdef enum:
    GATES = 0
    A = 4
    CELL_BEFORE = 8
    TANH_C = 9
    HIDDEN_OF_GATES = 10
    GATES_ROWS = 11

cdef enum:
    DC_DH = 0
    DA_O = 1
    DA_I = 2
    DA_F = 3
    DA_G = 4
    FORGET = 5
    GRADIENT_ROWS = 6

cdef extern from "_processor.h":
    bint runs_v3()
    bint runs_v4()

INSTRUCTION_SET = LRPLSTM_INSTRUCTION_SET.decode()
BOUNDSCHECK = bool(LRPLSTM_BOUNDSCHECK)


def processor_runs():
    """Return which builds of the kernels this processor can run, the fastest last."""
    return ["baseline", *(["v3"] if runs_v3() else []), *(["v4"] if runs_v4() else [])]


_TRACE_ROWS = {
    "nothing": 0,
    "relevance": RELEVANCE_ROWS,
    "gates": GATES_ROWS,
    "gradient": GRADIENT_ROWS,
}

# How relevance of a product of gate and signal is shared, but for "all" to the signal.
cdef enum:
    PROP
    ABS
    HALF

_PRODUCT_RULES = {"prop": PROP, "abs": ABS, "half": HALF}

# Recurrent weights of this size stay in the cache next to the core. Half a tile is then enough to
# fill the registers many times, and its rows stay there too.
_SMALL_BYTES = 2**19

# Multiplications after which a scan looks for Ctrl-C: some 50 ms.
cdef Py_ssize_t _POLL_EVERY = 1 << 30


cdef int _poll(Py_ssize_t* work, Py_ssize_t more) except -1 nogil:
    """Count work; now and then let Python see to its signals, and whether to go on."""
    work[0] += more
    if work[0] > _POLL_EVERY:
        work[0] = 0
        with gil:
            PyErr_CheckSignals()
            look()
    return 0


cdef inline Py_ssize_t _work(Py_ssize_t rows, Py_ssize_t units, Py_ssize_t columns) noexcept nogil:
    """Multiplications of a step: a product for each unit, and its functions, as long as UNITS."""
    return rows * units * (columns + UNITS)


# Memory -----------------------------------------------------------------------------------------

cdef object _zeros(tuple shape, dtype):
    return _aligned(np.zeros, shape, dtype)


cdef object _aligned(make, tuple shape, dtype):
    """Return what np.zeros or np.empty makes, beginning where a whole vector would."""
    cdef Py_ssize_t size = 1, length, itemsize = dtype.itemsize, first
    if LRPLSTM_SANITIZE:  # nothing beside the array that could hide what runs over its end
        return make(shape, dtype)
    for length in shape:
        size *= length
    memory = make(size + VECTOR_BYTES // itemsize, dtype)
    first = (VECTOR_BYTES - <Py_ssize_t> _address(memory) % VECTOR_BYTES) % VECTOR_BYTES
    first //= itemsize
    return memory[first:first + size].reshape(shape)


cdef void* _address(array) except NULL:
    """Where an array begins; it must be kept alive by whoever keeps the address."""
    cdef Py_buffer view
    PyObject_GetBuffer(array, &view, PyBUF_SIMPLE)
    PyBuffer_Release(&view)
    return view.buf


cdef object _padded(row, Py_ssize_t length):
    """Return a row with zeros behind it."""
    padded = _zeros((length,), row.dtype)
    padded[:len(row)] = row
    return padded


cdef Py_ssize_t _round_up(Py_ssize_t number, Py_ssize_t multiple) noexcept:
    return (number + multiple - 1) // multiple * multiple


# Checks -----------------------------------------------------------------------------------------

def _check(str name, array, tuple shape, dtype):
    """Refuse an array that the loops below would read out of bounds or misread."""
    if not isinstance(array, np.ndarray):
        raise TypeError(f"{name}: expected an ndarray, got {type(array).__name__}")
    if array.dtype != dtype:
        raise TypeError(f"{name}: expected dtype {dtype}, got {array.dtype}")
    if array.shape != shape:
        raise ValueError(f"{name}: expected shape {shape}, got {array.shape}")


def _check_rows(str name, array, Py_ssize_t columns, dtype):
    """Check an array of any number of rows; return it contiguous."""
    if not isinstance(array, np.ndarray) or array.ndim != 2:
        raise TypeError(f"{name}: expected a 2-dimensional ndarray")
    _check(name, array, (len(array), columns), dtype)
    return _contiguous(array)


cdef object _contiguous(array):
    flags = array.flags
    if flags.c_contiguous and flags.aligned:
        return array
    return np.require(array, requirements="CA")


def _check_targets(str name, array, Py_ssize_t rows, Py_ssize_t columns, dtype):
    """Check an array of rows for each of any number of targets; return it contiguous."""
    if not isinstance(array, np.ndarray) or array.ndim != 3 or len(array) == 0:
        raise TypeError(f"{name}: expected a 3-dimensional ndarray of at least one target")
    _check(name, array, (len(array), rows, columns), dtype)
    return _contiguous(array)


def _check_steps(rows, offsets, Py_ssize_t projected):
    """Check which steps there are, and which rows of the projection they read."""
    _check_indices("rows", rows)
    _check_indices("offsets", offsets)
    _check_order(offsets, len(rows))
    _check_range(rows, projected)


def _check_indices(str name, array):
    if not isinstance(array, np.ndarray) or array.dtype != np.intp or array.ndim != 1:
        raise TypeError(f"{name}: expected a 1-dimensional ndarray of intp")
    if not (array.flags.c_contiguous and array.flags.aligned):
        raise ValueError(f"{name}: expected a contiguous, aligned array")


cdef int _check_order(const Py_ssize_t[::1] offsets, Py_ssize_t steps) except -1:
    cdef Py_ssize_t B = offsets.shape[0] - 1, b, length, before = steps
    if B < 1 or offsets[0] != 0 or offsets[B] != steps:
        raise ValueError(f"offsets: expected to rise from 0 to {steps}")
    for b in range(B):
        # Compared before they are subtracted: a difference could overflow.
        if offsets[b + 1] <= offsets[b] or offsets[b + 1] - offsets[b] > before:
            raise ValueError("offsets: expected sequences of at least one step, the longest first")
        length = offsets[b + 1] - offsets[b]
        before = length
    return 0


cdef int _check_range(const Py_ssize_t[::1] rows, Py_ssize_t end) except -1:
    cdef Py_ssize_t t
    for t in range(rows.shape[0]):
        if rows[t] < 0 or rows[t] >= end:
            raise ValueError(f"rows: expected 0 <= row < {end}, got {rows[t]}")
    return 0


# Products ---------------------------------------------------------------------------------------

cdef class _Matrix:
    """A matrix, packed in panels of a few vectors of columns for `multiply`.

    Its rows are `segments` runs of `n`.
    """

    cdef object panels, dtype
    cdef const void* data
    cdef bint single
    cdef Py_ssize_t n, columns, vectors, padded_columns

    def __cinit__(self, matrix, Py_ssize_t segments=1):
        cdef Py_ssize_t width = VECTOR_BYTES // matrix.dtype.itemsize, left, first, taken
        rows, self.columns = matrix.shape
        self.dtype = matrix.dtype
        self.single = self.dtype == np.float32
        self.n = rows // segments
        self.vectors = left = _round_up(self.columns, width) // width
        self.padded_columns = left * width
        padded = np.zeros((rows, self.padded_columns), self.dtype)
        padded[:, :self.columns] = matrix
        self.panels = _zeros((padded.size,), self.dtype)
        first = 0
        while left > 0:
            taken = panel_vectors(left)
            panel = padded[:, first * width:(first + taken) * width]
            self.panels[first * width * rows:(first + taken) * width * rows] = panel.ravel()
            first += taken
            left -= taken
        self.data = _address(self.panels)


cdef void _times_matrix(
    const real* x, Py_ssize_t x_stride, Py_ssize_t segments, Py_ssize_t segment_stride,
    const real* panels, Py_ssize_t n, Py_ssize_t vectors,
    const real* start, const Py_ssize_t* start_offsets,
    real* y, Py_ssize_t y_stride, Py_ssize_t rows,
) noexcept nogil:
    """See `multiply`: compiled once, not in every scan, which would take as long as the rest."""
    multiply(
        x, x_stride, segments, segment_stride, panels, n, vectors, start, start_offsets,
        y, y_stride, rows,
    )


cdef object _product(x, _Matrix matrix, start):
    """Return start + x @ matrix for x of shape (rows, n)."""
    out = np.empty((len(x), matrix.padded_columns), matrix.dtype)
    _multiply_rows(x, matrix, start, out, 0)
    return out[:, :matrix.columns]


cdef int _multiply_rows(x, _Matrix matrix, start, out, Py_ssize_t column) except -1:
    """Set columns of `out`, from `column` on, to start + x @ matrix."""
    if matrix.single:
        return _multiply(x, matrix, start, out, column, <float> 0)
    return _multiply(x, matrix, start, out, column, <double> 0)


cdef int _multiply(x, _Matrix matrix, start, out, Py_ssize_t column, real dtype) except -1:
    cdef const real[:, ::1] rows = x
    cdef const real[::1] start_row = start
    cdef real[:, ::1] found = out
    cdef Py_ssize_t n = matrix.n, row = 0, some, work = 0
    cdef Py_ssize_t starts[TOGETHER]
    memset(starts, 0, sizeof(starts))
    with nogil:
        while row < rows.shape[0]:
            some = min(<Py_ssize_t> TOGETHER, rows.shape[0] - row)
            _times_matrix(
                &rows[row, 0], n, 1, 0, <const real*> matrix.data, n, matrix.vectors,
                &start_row[0], starts, &found[row, column], found.shape[1], some,
            )
            row += some
            _poll(&work, some * n * matrix.padded_columns)
    return 0


# The epsilon rule -------------------------------------------------------------------------------

cdef inline real _stabilizer(real z, real epsilon) noexcept nogil:
    return epsilon if z >= 0 else -epsilon


cdef inline real _quotient(real z, real relevance, real epsilon) noexcept nogil:
    """q = R / (z + eps(z)), and 0 where that denominator is 0."""
    cdef real denominator = z + _stabilizer(z, epsilon), zero = 0
    return relevance / denominator if denominator != 0 else zero


cdef inline real _total(real* x) noexcept nogil:
    """Add UNITS numbers up by halves, in whole vectors while there are some; x is scratch."""
    cdef Py_ssize_t n = UNITS, width = VECTOR_BYTES // sizeof(real), v
    cdef real one = 1
    while n > width:
        n = n // 2
        for v in range(n // width):
            add_product(x + v * width, one, x + n + v * width)
    while n > 1:
        n = n // 2
        for v in range(n):
            x[v] += x[n + v]
    return x[0]


# Linear layers ----------------------------------------------------------------------------------

cdef class _Linear:
    """z = y @ weight.T + bias."""

    cdef object dtype, bias, start, zero
    cdef _Matrix forward, back

    def __cinit__(self, weight, bias):
        self.dtype = weight.dtype
        self.forward = _Matrix(weight.T)
        self.back = _Matrix(weight)
        self.bias = np.zeros(len(weight), weight.dtype) if bias is None else bias
        self.start = _padded(self.bias, self.forward.padded_columns)
        self.zero = _zeros((self.back.padded_columns,), weight.dtype)


def prepare_linear(weight, bias):
    """Return a linear layer; see `lrplstm.scans`."""
    if not isinstance(weight, np.ndarray) or weight.ndim != 2 or 0 in weight.shape:
        raise TypeError("weight: expected a 2-dimensional ndarray of sizes from 1")
    if weight.dtype != np.float32 and weight.dtype != np.float64:
        raise TypeError(f"weight: expected float32 or float64, got {weight.dtype}")
    if bias is not None:
        _check("bias", bias, (len(weight),), weight.dtype)
    return _Linear(weight, bias)


def linear(_Linear layer not None, y):
    """Return z of y; see `lrplstm.scans`."""
    return _product(_check_rows("y", y, layer.forward.n, layer.dtype), layer.forward, layer.start)


def linear_lrp(_Linear layer not None, y, z, relevance, rule):
    """Return the relevance of y, given that of z; see `lrplstm.scans`."""
    y = _check_rows("y", y, layer.forward.n, layer.dtype)
    z = _check_rows("z", z, layer.back.n, layer.dtype)
    _check("z", z, (len(y), layer.back.n), layer.dtype)
    relevance = _check_targets("relevance", relevance, len(y), layer.back.n, layer.dtype)
    q = np.empty((len(relevance) * len(y), layer.back.n), layer.dtype)
    W_q = np.empty((len(q), layer.back.padded_columns), layer.dtype)
    R_y = np.empty((len(relevance), len(y), layer.forward.n), layer.dtype)
    if layer.forward.single:
        _linear_lrp(layer, y, z, relevance, rule, q, W_q, R_y, <float> 0)
    else:
        _linear_lrp(layer, y, z, relevance, rule, q, W_q, R_y, <double> 0)
    return R_y


cdef int _linear_lrp(
    _Linear layer, lower, upper, upper_relevance, rule, quotients, products, found, real dtype
) except -1:
    """R_y = y * (W.T @ q) + share, with q = R_z / (z + eps(z))."""
    cdef const real[:, ::1] y = lower
    cdef const real[:, ::1] z = upper
    cdef const real[::1] bias = layer.bias
    cdef const real[:, :, ::1] R_z = upper_relevance
    cdef real[:, ::1] q = quotients
    cdef real[:, ::1] W_q = products
    cdef real[:, :, ::1] R_y = found
    cdef real epsilon = rule.epsilon, share
    cdef real bias_factor = rule.bias_factor, epsilon_factor = rule.epsilon_factor
    cdef Py_ssize_t k, b, i, j, B = y.shape[0]
    for k in range(R_z.shape[0]):
        for b in range(B):
            for j in range(z.shape[1]):
                q[k * B + b, j] = _quotient(z[b, j], R_z[k, b, j], epsilon)
    _multiply(quotients, layer.back, layer.zero, products, 0, dtype)
    for k in range(R_z.shape[0]):
        for b in range(B):
            share = 0
            for j in range(z.shape[1]):
                share += q[k * B + b, j] * (
                    bias_factor * bias[j] + epsilon_factor * _stabilizer(z[b, j], epsilon)
                )
            share /= y.shape[1]
            for i in range(y.shape[1]):
                R_y[k, b, i] = y[b, i] * W_q[k * B + b, i] + share
    return 0


def linear_gradient(_Linear layer not None, gradient):
    """Return the gradient of y, given that of z; see `lrplstm.scans`."""
    if not isinstance(gradient, np.ndarray) or gradient.ndim != 3:
        raise TypeError("gradient: expected a 3-dimensional ndarray")
    gradient = _check_targets("gradient", gradient, gradient.shape[1], layer.back.n, layer.dtype)
    rows = gradient.reshape(-1, layer.back.n)
    return _product(rows, layer.back, layer.zero).reshape(*gradient.shape[:2], layer.forward.n)


def activate(str activation, z):
    """Return what an activation makes of z; see `lrplstm.scans`."""
    cdef bint tanh = _is_tanh(activation)
    z = _check_numbers("z", z)
    out = np.empty(z.shape, z.dtype)
    if z.dtype == np.float32:
        _activate(tanh, z.reshape(-1), out.reshape(-1), <float> 0)
    else:
        _activate(tanh, z.reshape(-1), out.reshape(-1), <double> 0)
    return out


cdef bint _is_tanh(str activation) except? True:
    if activation not in ("relu", "tanh"):
        raise ValueError(f"activation: expected 'relu' or 'tanh', got {activation!r}")
    return activation == "tanh"


def _check_numbers(str name, array):
    """Check an array of rows, float32 or float64; return it contiguous."""
    if not isinstance(array, np.ndarray) or array.ndim != 2:
        raise TypeError(f"{name}: expected a 2-dimensional ndarray")
    if array.dtype != np.float32 and array.dtype != np.float64:
        raise TypeError(f"{name}: expected float32 or float64, got {array.dtype}")
    return _contiguous(array)


cdef int _activate(bint tanh, given, found, real dtype) except -1:
    cdef const real[::1] z = given
    cdef real[::1] value = found
    cdef real block[UNITS]
    cdef real of_z[UNITS]
    cdef Py_ssize_t first = 0, v, some, work = 0
    cdef real two = 2, zero = 0
    memset(block, 0, sizeof(block))
    with nogil:
        # In blocks of one length, whose numbers are all computed in the same way.
        while first < z.shape[0]:
            some = min(<Py_ssize_t> UNITS, z.shape[0] - first)
            memcpy(block, &z[first], some * sizeof(real))
            if tanh:
                for v in range(UNITS):
                    of_z[v] = expm1_twice(block[v])
                for v in range(UNITS):
                    of_z[v] = of_z[v] / (two + of_z[v])
            else:
                for v in range(UNITS):
                    of_z[v] = block[v] if block[v] > zero else zero
            memcpy(&value[first], of_z, some * sizeof(real))
            first += some
            _poll(&work, 16 * UNITS)
    return 0


def activation_gradient(str activation, value, gradient):
    """Return the gradient of z, given that of its activation; see `lrplstm.scans`."""
    cdef bint tanh = _is_tanh(activation)
    value = _check_numbers("value", value)
    gradient = _check_targets("gradient", gradient, len(value), value.shape[1], value.dtype)
    out = np.empty(gradient.shape, value.dtype)
    if value.dtype == np.float32:
        _activation_gradient(tanh, value, gradient, out, <float> 0)
    else:
        _activation_gradient(tanh, value, gradient, out, <double> 0)
    return out


cdef int _activation_gradient(bint tanh, of_z, of_value, found, real dtype) except -1:
    cdef const real[:, ::1] value = of_z
    cdef const real[:, :, ::1] gradient = of_value
    cdef real[:, :, ::1] out = found
    cdef Py_ssize_t k, b, j
    cdef real one = 1, zero = 0, slope
    with nogil:
        for k in range(gradient.shape[0]):
            for b in range(value.shape[0]):
                for j in range(value.shape[1]):
                    if tanh:
                        slope = one - value[b, j] * value[b, j]
                    else:
                        slope = one if value[b, j] > zero else zero
                    out[k, b, j] = gradient[k, b, j] * slope
    return 0


# Pooling ----------------------------------------------------------------------------------------

def pool(str pooling, hidden, offsets):
    """Return what all steps of each sequence are pooled to; see `lrplstm.scans`."""
    cdef bint mean = _is_mean(pooling)
    hidden = _check_pooled(hidden, offsets)
    out = np.empty((len(offsets) - 1, hidden.shape[1]), hidden.dtype)
    sums = np.empty(hidden.shape[1])
    if hidden.dtype == np.float32:
        _pool(mean, hidden, offsets, sums, out, <float> 0)
    else:
        _pool(mean, hidden, offsets, sums, out, <double> 0)
    return out


cdef bint _is_mean(str pooling) except? True:
    if pooling not in ("mean", "max"):
        raise ValueError(f"pooling: expected 'mean' or 'max', got {pooling!r}")
    return pooling == "mean"


cdef object _check_pooled(hidden, offsets):
    hidden = _check_numbers("hidden", hidden)
    _check_indices("offsets", offsets)
    _check_order(offsets, len(hidden))
    return hidden


cdef int _pool(bint mean, states, sequence_offsets, totals, found, real dtype) except -1:
    cdef const real[:, ::1] hidden = states
    cdef double[::1] sums = totals
    cdef const Py_ssize_t[::1] offsets = sequence_offsets
    cdef real[:, ::1] pooled = found
    cdef Py_ssize_t width = hidden.shape[1], b, t, j, work = 0
    with nogil:
        for b in range(pooled.shape[0]):
            for j in range(width):
                pooled[b, j] = hidden[offsets[b], j]
                sums[j] = pooled[b, j]
            for t in range(offsets[b] + 1, offsets[b + 1]):
                for j in range(width):
                    if mean:
                        sums[j] += hidden[t, j]
                    elif hidden[t, j] > pooled[b, j]:
                        pooled[b, j] = hidden[t, j]
            if mean:
                for j in range(width):
                    pooled[b, j] = <real> (sums[j] / _length(offsets, b))
            _poll(&work, _length(offsets, b) * width)
    return 0


def pool_lrp(str pooling, hidden, offsets, pooled, relevance, rule):
    """Return the relevance of each step's state, given that of the pooled; see `lrplstm.scans`."""
    if not _is_mean(pooling):  # all to the step that won
        return pool_gradient(pooling, hidden, offsets, relevance)
    hidden = _check_pooled(hidden, offsets)
    B, width, dtype = len(offsets) - 1, hidden.shape[1], hidden.dtype
    pooled = _check_rows("pooled", pooled, width, dtype)
    _check("pooled", pooled, (B, width), dtype)
    relevance = _check_targets("relevance", relevance, B, width, dtype)
    out = np.empty((len(relevance), len(hidden), width), dtype)
    if dtype == np.float32:
        _mean_lrp(hidden, offsets, pooled, relevance, rule, np.empty(width, dtype), out, <float> 0)
    else:
        _mean_lrp(hidden, offsets, pooled, relevance, rule, np.empty(width, dtype), out, <double> 0)
    return out


cdef int _mean_lrp(
    states, sequence_offsets, mean, relevance, rule, quotients, found, real dtype
) except -1:
    """The epsilon rule of a layer with weights 1/T, no bias, and T * width lower units."""
    cdef const real[:, ::1] hidden = states
    cdef const Py_ssize_t[::1] offsets = sequence_offsets
    cdef const real[:, ::1] pooled = mean
    cdef const real[:, :, ::1] R_pooled = relevance
    cdef real[::1] q = quotients
    cdef real[:, :, ::1] R_h = found
    cdef real epsilon = rule.epsilon, epsilon_factor = rule.epsilon_factor, share
    cdef Py_ssize_t width = hidden.shape[1], T, k, b, t, j, work = 0
    with nogil:
        for b in range(pooled.shape[0]):
            T = _length(offsets, b)
            for k in range(R_pooled.shape[0]):
                share = 0
                for j in range(width):
                    q[j] = _quotient(pooled[b, j], R_pooled[k, b, j], epsilon)
                    share += epsilon_factor * _stabilizer(pooled[b, j], epsilon) * q[j]
                    q[j] /= T
                share /= T * width
                for t in range(offsets[b], offsets[b + 1]):
                    for j in range(width):
                        R_h[k, t, j] = hidden[t, j] * q[j] + share
                _poll(&work, T * width)
    return 0


def pool_gradient(str pooling, hidden, offsets, gradient):
    """Return the gradient of each step's state, given that of the pooled; see `lrplstm.scans`."""
    cdef bint mean = _is_mean(pooling)
    hidden = _check_pooled(hidden, offsets)
    B, width, dtype = len(offsets) - 1, hidden.shape[1], hidden.dtype
    gradient = _check_targets("gradient", gradient, B, width, dtype)
    out = np.zeros((len(gradient), len(hidden), width), dtype)
    if dtype == np.float32:
        _pool_gradient(mean, hidden, offsets, gradient, out, <float> 0)
    else:
        _pool_gradient(mean, hidden, offsets, gradient, out, <double> 0)
    return out


cdef int _pool_gradient(
    bint mean, states, sequence_offsets, of_pooled, found, real dtype
) except -1:
    cdef const real[:, ::1] hidden = states
    cdef const Py_ssize_t[::1] offsets = sequence_offsets
    cdef const real[:, :, ::1] gradient = of_pooled
    cdef real[:, :, ::1] out = found
    cdef Py_ssize_t width = hidden.shape[1], b, t, j, k, winner, work = 0
    with nogil:
        for b in range(offsets.shape[0] - 1):
            for j in range(width):
                if mean:
                    for k in range(gradient.shape[0]):
                        for t in range(offsets[b], offsets[b + 1]):
                            out[k, t, j] = gradient[k, b, j] / _length(offsets, b)
                else:
                    winner = offsets[b]
                    for t in range(offsets[b] + 1, offsets[b + 1]):
                        if hidden[t, j] > hidden[winner, j]:
                            winner = t
                    for k in range(gradient.shape[0]):
                        out[k, winner, j] = gradient[k, b, j]
                _poll(&work, _length(offsets, b) * gradient.shape[0])
    return 0


# LSTM layers ------------------------------------------------------------------------------------

cdef class _Direction:
    """One direction of a layer; most matrices are packed when they are first needed."""

    cdef object weights
    cdef list rows
    cdef bint reverse
    cdef Py_ssize_t first_state, first_projected
    cdef const void* bias
    cdef const void* bias_g
    cdef const void* initial_hidden
    cdef const void* initial_cell
    cdef const void* initial_projected
    cdef _Matrix recurrent
    cdef dict packed

    def __cinit__(self, weights, Py_ssize_t number, Py_ssize_t padded, Py_ssize_t stride):
        self.weights = weights
        self.reverse = weights.reverse or number == 1
        self.first_state = number * weights.hidden_size
        self.first_projected = number * stride
        self.recurrent = _Matrix(weights.weight_hh.T)
        self.packed = {}
        # Step 0 is the same for all sequences: W_hh h_{-1}.
        row, zero = weights.initial_hidden[np.newaxis], _zeros((stride,), weights.dtype)
        projected = _product(row, self.recurrent, zero)[0]
        self.rows = [
            _padded(weights.bias, stride),
            _padded(weights.bias[weights.rows_g], padded),
            _padded(weights.initial_hidden, padded),
            _padded(weights.initial_cell, padded),
            _padded(projected, stride),
        ]
        self.bias = _address(self.rows[0])
        self.bias_g = _address(self.rows[1])
        self.initial_hidden = _address(self.rows[2])
        self.initial_cell = _address(self.rows[3])
        self.initial_projected = _address(self.rows[4])

    cdef _Matrix matrix(self, str name):
        found = self.packed.get(name)
        if found is None:
            weights, g = self.weights, self.weights.rows_g
            if name == "inputs":
                found = _Matrix(weights.weight_ih.T)
            elif name == "candidate_recurrent":
                found = _Matrix(weights.weight_hh[g])
            elif name == "candidate_inputs":
                found = _Matrix(weights.weight_ih[g])
            elif name == "recurrent_back":
                found = _Matrix(weights.weight_hh, 4)
            else:  # inputs_back
                found = _Matrix(weights.weight_ih, 4)
            self.packed[name] = found
        return found


cdef class _Layer:
    """An LSTM layer of one or two directions."""

    cdef object dtype
    cdef bint single
    cdef Py_ssize_t input_size, hidden_size, width, padded, stride, lanes
    cdef list directions, rows
    cdef const void* mask
    cdef const void* zero

    def __cinit__(self, list directions):
        cdef Py_ssize_t H, width
        first = directions[0]
        self.dtype = first.dtype
        self.single = self.dtype == np.float32
        self.input_size = first.input_size
        self.hidden_size = H = first.hidden_size
        self.width = len(directions) * H
        self.padded = _round_up(H, UNITS)
        self.lanes = TILE // 2 if first.weight_hh.nbytes <= _SMALL_BYTES else TILE
        # A row of four gates, behind which whole vectors, and UNITS of the last gate, can be read.
        width = VECTOR_BYTES // self.dtype.itemsize
        self.stride = _round_up(max(4 * H, 3 * H + self.padded), width)
        self.directions = [
            _Direction(weights, number, self.padded, self.stride)
            for number, weights in enumerate(directions)
        ]
        self.rows = [
            _padded(np.ones(H, self.dtype), self.padded),
            _zeros((max(self.padded, self.padded_inputs()),), self.dtype),
        ]
        # 1 for each unit, and 0 for the places beyond: what keeps their relevance 0.
        self.mask = _address(self.rows[0])
        # What products without anything to add to start from.
        self.zero = _address(self.rows[1])

    cdef Py_ssize_t projected(self):
        return len(self.directions) * self.stride

    cdef Py_ssize_t padded_inputs(self):
        return _round_up(self.input_size, VECTOR_BYTES // self.dtype.itemsize)


def prepare_layer(directions):
    """Return an LSTM layer; see `lrplstm.scans`."""
    directions = list(directions)
    if len(directions) not in (1, 2):
        raise ValueError(f"directions: expected one or two, got {len(directions)}")
    first = directions[0]
    for weights in directions:
        H, D, dtype = weights.hidden_size, first.input_size, first.dtype
        _check("weight_ih", weights.weight_ih, (4 * first.hidden_size, D), dtype)
        _check("weight_hh", weights.weight_hh, (4 * H, H), dtype)
        _check("bias", weights.bias, (4 * H,), dtype)
        _check("initial_hidden", weights.initial_hidden, (H,), dtype)
        _check("initial_cell", weights.initial_cell, (H,), dtype)
    return _Layer(directions)


def project(_Layer layer not None, x):
    """Return W_ih x + b of all directions, each in a row of its own stride; see `lrplstm.scans`."""
    cdef _Direction direction
    cdef _Matrix inputs
    cdef Py_ssize_t first
    x = _check_rows("x", x, layer.input_size, layer.dtype)
    out = _aligned(np.empty, (len(x), layer.projected()), layer.dtype)
    for direction in layer.directions:
        inputs, first = direction.matrix("inputs"), direction.first_projected
        _multiply_rows(x, inputs, direction.rows[0], out, first)
        out[:, first + inputs.padded_columns:first + layer.stride] = 0
    return out


cdef class _Trace:
    """What a forward scan leaves for the way back, out of reach for everybody else."""

    cdef _Layer layer
    cdef object projection, rows, offsets, kept
    cdef str keep


cdef inline Py_ssize_t _step(
    const Py_ssize_t[::1] offsets, Py_ssize_t b, Py_ssize_t s, bint reverse
) except -1 nogil:
    """Where the s-th step that a direction reads of sequence b stands among all steps."""
    return offsets[b + 1] - 1 - s if reverse else offsets[b] + s


cdef inline Py_ssize_t _length(const Py_ssize_t[::1] offsets, Py_ssize_t b) except -1 nogil:
    return offsets[b + 1] - offsets[b]


# Forward ----------------------------------------------------------------------------------------

cdef class _Run:
    """What a forward scan reads and writes."""

    cdef _Layer layer
    cdef object projection, rows, offsets
    # The states that sequences begin from, or None.
    cdef object start_hidden, start_cell
    # For each lane a row of pre-activations, h and c.
    cdef object lanes
    # Of the last step, and of every step, or None.
    cdef object final, hidden, cell, kept


def forward_scan(
    _Layer layer not None, projection, rows, offsets, str keep, bint hidden, start=None
):
    """Run the cell over every sequence; see `lrplstm.scans`."""
    cdef _Trace trace
    cdef _Run run = _Run()
    if keep not in KEEP:
        raise ValueError(f"keep: expected one of {KEEP}, got {keep!r}")
    projection = _check_rows("projection", projection, layer.projected(), layer.dtype)
    _check_steps(rows, offsets, len(projection))
    dtype, B, steps, width = layer.dtype, len(offsets) - 1, len(rows), layer.width
    run.layer, run.projection, run.rows, run.offsets = layer, projection, rows, offsets
    if start is not None:
        if keep not in ("nothing", "states"):
            raise ValueError(f"keep: expected 'nothing' or 'states' with a start, got {keep!r}")
        if not isinstance(start, tuple) or len(start) != 2:
            raise TypeError("start: expected a pair of arrays, of h and of c")
        run.start_hidden = _check_rows("start", start[0], width, dtype)
        run.start_cell = _check_rows("start", start[1], width, dtype)
        _check("start", run.start_hidden, (B, width), dtype)
        _check("start", run.start_cell, (B, width), dtype)
    run.final = np.empty((B, width), dtype)
    if hidden or keep == "states":
        run.hidden = np.empty((steps, width), dtype)
    if keep == "states":
        run.cell = np.empty((steps, width), dtype)
    elif keep != "nothing":
        shape = (len(layer.directions), steps, _TRACE_ROWS[keep], layer.padded)
        run.kept = _aligned(np.empty, shape, dtype)
    run.lanes = _zeros((min(B, layer.lanes), layer.stride + 2 * layer.padded), dtype)
    if layer.single:
        _forward(run, <float> 0)
    else:
        _forward(run, <double> 0)
    states = run.hidden if hidden else None
    if keep == "states":
        return ForwardResult(run.final, states, None, (run.hidden, run.cell))
    if keep == "nothing":
        return ForwardResult(run.final, states, None)
    trace = _Trace()
    trace.layer, trace.projection, trace.keep, trace.kept = layer, projection, keep, run.kept
    # Copies: whoever changes the arrays does not change where the way back reads.
    trace.rows, trace.offsets = rows.copy(), offsets.copy()
    return ForwardResult(run.final, states, trace)


cdef int _forward(_Run run, real dtype) except -1:
    cdef _Layer layer = run.layer
    cdef _Direction direction
    cdef const real[:, ::1] projection = run.projection
    cdef const Py_ssize_t[::1] rows = run.rows
    cdef const Py_ssize_t[::1] offsets = run.offsets
    cdef const real[:, ::1] start_hidden = run.start_hidden
    cdef const real[:, ::1] start_cell = run.start_cell
    cdef real[:, ::1] scratch = run.lanes
    cdef real[:, ::1] final = run.final
    cdef real[:, ::1] states = run.hidden
    cdef real[:, ::1] cells = run.cell
    cdef real[:, :, :, ::1] trace = run.kept
    cdef bint started = run.start_hidden is not None
    cdef bint keep_cells = run.cell is not None
    cdef bint keep_states = run.hidden is not None
    cdef Py_ssize_t trace_rows = 0 if run.kept is None else trace.shape[2]
    cdef Py_ssize_t H = layer.hidden_size, stride = layer.stride, padded = layer.padded
    cdef Py_ssize_t B = offsets.shape[0] - 1, lanes = scratch.shape[0], step = scratch.shape[1]
    cdef Py_ssize_t d, first, active, s, lane, j, t, row, first_projected, work = 0
    cdef Py_ssize_t starts[TILE]
    cdef const real* initial_projected
    cdef real* a
    cdef real* h
    cdef real* c
    cdef real* step_trace = NULL
    for d in range(len(layer.directions)):
        direction = layer.directions[d]
        first_projected = direction.first_projected
        initial_projected = <const real*> direction.initial_projected
        row = first = 0
        with nogil:
            while first < B:
                active = min(lanes, B - first)
                for lane in range(active):
                    memcpy(&scratch[lane, stride], direction.initial_hidden, padded * sizeof(real))
                    memcpy(
                        &scratch[lane, stride + padded], direction.initial_cell,
                        padded * sizeof(real),
                    )
                    if started:
                        memcpy(
                            &scratch[lane, stride],
                            &start_hidden[first + lane, direction.first_state], H * sizeof(real),
                        )
                        memcpy(
                            &scratch[lane, stride + padded],
                            &start_cell[first + lane, direction.first_state], H * sizeof(real),
                        )
                s = 0
                while True:
                    while active > 0 and _length(offsets, first + active - 1) <= s:
                        active -= 1
                    if active == 0:
                        break
                    for lane in range(active):
                        t = _step(offsets, first + lane, s, direction.reverse)
                        starts[lane] = rows[t] * projection.shape[1] + first_projected
                        if _length(offsets, first + lane) > s + 1:
                            t = _step(offsets, first + lane, s + 1, direction.reverse)
                            prefetch(&projection[rows[t], first_projected], 4 * H)
                    # a = W_ih x_t + b + W_hh h_{t-1}
                    if s == 0 and not started:
                        for lane in range(active):
                            a = &scratch[lane, 0]
                            t = _step(offsets, first + lane, s, direction.reverse)
                            for j in range(stride):
                                a[j] = (
                                    projection[rows[t], first_projected + j] + initial_projected[j]
                                )
                    else:
                        _times_matrix(
                            &scratch[0, stride], step, 1, 0,
                            <const real*> direction.recurrent.data, H, direction.recurrent.vectors,
                            &projection[0, 0], starts, &scratch[0, 0], step, active,
                        )
                    for lane in range(active):
                        a = &scratch[lane, 0]
                        h = &scratch[lane, stride]
                        c = &scratch[lane, stride + padded]
                        if trace_rows > 0:
                            step_trace = &trace[d, row, 0, 0]
                            row += 1
                        _cell(a, H, padded, h, c, step_trace, trace_rows)
                        if keep_states:
                            t = _step(offsets, first + lane, s, direction.reverse)
                            memcpy(&states[t, direction.first_state], h, H * sizeof(real))
                            if keep_cells:
                                memcpy(&cells[t, direction.first_state], c, H * sizeof(real))
                    # Those that end here.
                    s += 1
                    for lane in range(active - 1, -1, -1):
                        if _length(offsets, first + lane) > s:
                            break
                        h = &scratch[lane, stride]
                        memcpy(&final[first + lane, direction.first_state], h, H * sizeof(real))
                    _poll(&work, _work(active, 4 * padded, H))
                first += lanes
    return 0


cdef inline void _put(real* row, const real* units) noexcept nogil:
    """Write UNITS numbers. They are computed beside the rows, and only then put there, because a
    compiler that cannot rule out that rows overlap makes two versions of every loop, both slow.
    """
    memcpy(row, units, UNITS * sizeof(real))


cdef inline void _cell(
    const real* a, Py_ssize_t H, Py_ssize_t padded, real* h, real* c,
    real* trace, Py_ssize_t trace_rows,
) noexcept nogil:
    """Take h and c of one sequence one step on, given the pre-activations of i, f, g and o.

    sigmoid(a) = e^a / (1 + e^a) and tanh(a) = (e^2a - 1) / (e^2a + 1); a product of the two takes
    one division, which is as long as ten multiplications. A closed gate is as small as e^a, and 0
    where that is; of e^-a, which overflows there, it would stay at the inverse of the largest.
    """
    cdef Py_ssize_t block, u, v, gate
    cdef real exp_i[UNITS]
    cdef real exp_f[UNITS]
    cdef real exp_o[UNITS]
    cdef real expm1_g[UNITS]
    cdef real expm1_c[UNITS]
    cdef real kept[UNITS]
    cdef real added[UNITS]
    cdef real cell[UNITS]
    cdef real hidden[UNITS]
    cdef real slope[UNITS]
    cdef real rest[UNITS]
    cdef real one = 1
    for block in range(padded // UNITS):
        u = block * UNITS
        for v in range(UNITS):
            exp_i[v] = exp(a[u + v])
        for v in range(UNITS):
            exp_f[v] = exp(a[H + u + v])
        for v in range(UNITS):
            expm1_g[v] = expm1_twice(a[2 * H + u + v])
        for v in range(UNITS):
            exp_o[v] = exp(a[3 * H + u + v])
        for v in range(UNITS):
            kept[v] = c[u + v] * (exp_f[v] / (one + exp_f[v]))  # f c_{t-1}
            added[v] = _gated_tanh(exp_i[v], expm1_g[v])  # i g
            cell[v] = kept[v] + added[v]
        for v in range(UNITS):
            expm1_c[v] = expm1_twice(cell[v])
            hidden[v] = _gated_tanh(exp_o[v], expm1_c[v])  # o tanh(c)
        if trace_rows == RELEVANCE_ROWS:
            _put(trace + KEPT * padded + u, kept)
            _put(trace + ADDED * padded + u, added)
            _put(trace + PREACTIVATION_G * padded + u, a + 2 * H + u)
            _put(trace + HIDDEN_BEFORE * padded + u, h + u)
        elif trace_rows == GATES_ROWS:
            _sigmoid(exp_i, trace + GATES * padded + u)
            _sigmoid(exp_f, trace + (GATES + 1) * padded + u)
            _tanh(expm1_g, trace + (GATES + 2) * padded + u)
            _sigmoid(exp_o, trace + (GATES + 3) * padded + u)
            for gate in range(4):
                _put(trace + (A + gate) * padded + u, a + gate * H + u)
            _put(trace + CELL_BEFORE * padded + u, c + u)
            _tanh(expm1_c, trace + TANH_C * padded + u)
            _put(trace + HIDDEN_OF_GATES * padded + u, h + u)
        elif trace_rows == GRADIENT_ROWS:
            _slopes(exp_o, expm1_c, hidden, slope, rest)
            _put(trace + DC_DH * padded + u, slope)  # o (1 - tanh(c)^2)
            _put(trace + DA_O * padded + u, rest)  # o tanh(c) (1 - o)
            _slopes(exp_i, expm1_g, added, slope, rest)
            _put(trace + DA_G * padded + u, slope)  # i (1 - g^2)
            _put(trace + DA_I * padded + u, rest)  # i g (1 - i)
            for v in range(UNITS):
                slope[v] = exp_f[v] / (one + exp_f[v])
                rest[v] = kept[v] * (one - slope[v])
            _put(trace + FORGET * padded + u, slope)
            _put(trace + DA_F * padded + u, rest)  # f c_{t-1} (1 - f)
        _put(h + u, hidden)
        _put(c + u, cell)


cdef inline real _gated_tanh(real exp_a, real expm1_b) noexcept nogil:
    """sigmoid(a) tanh(b), of e^a and e^2b - 1."""
    cdef real two = 2, above = two + expm1_b
    return exp_a * expm1_b / (above + exp_a * above)


cdef inline void _sigmoid(const real* exp_a, real* row) noexcept nogil:
    """e^a / (1 + e^a)."""
    cdef Py_ssize_t v
    cdef real found[UNITS]
    cdef real one = 1
    for v in range(UNITS):
        found[v] = exp_a[v] / (one + exp_a[v])
    _put(row, found)


cdef inline void _tanh(const real* expm1_a, real* row) noexcept nogil:
    """(e^2a - 1) / (e^2a + 1)."""
    cdef Py_ssize_t v
    cdef real found[UNITS]
    cdef real two = 2
    for v in range(UNITS):
        found[v] = expm1_a[v] / (two + expm1_a[v])
    _put(row, found)


cdef inline void _slopes(
    const real* exp_gate, const real* expm1_signal, const real* product, real* slope, real* rest
) noexcept nogil:
    """The slopes of gate times tanh, their product: gate (1 - tanh^2), and product (1 - gate)."""
    cdef Py_ssize_t v
    cdef real gate, tanh, one = 1, two = 2
    for v in range(UNITS):
        gate = exp_gate[v] / (one + exp_gate[v])
        tanh = expm1_signal[v] / (two + expm1_signal[v])
        slope[v] = gate * (one - tanh * tanh)
        rest[v] = product[v] * (one - gate)


# What the ways back share -----------------------------------------------------------------------

cdef tuple _check_way_back(_Trace trace, str keep, final, hidden):
    """Check the arguments that both have; return final and hidden, one of which may be None."""
    cdef _Layer layer = trace.layer
    if trace.keep != keep:
        raise ValueError(f"trace: expected one that kept {keep!r}, got {trace.keep!r}")
    B, steps, width, dtype = len(trace.offsets) - 1, len(trace.rows), layer.width, layer.dtype
    if final is None and hidden is None:
        raise ValueError("expected something to start from: at the final states, or at all")
    if final is not None:
        final = _check_targets("final", final, B, width, dtype)
    if hidden is not None:
        hidden = _check_targets("hidden", hidden, steps, width, dtype)
    if final is None:
        final = np.zeros((len(hidden), B, width), dtype)
    if hidden is not None and len(final) != len(hidden):
        raise ValueError(f"expected one number of targets, got {len(final)} and {len(hidden)}")
    return final, hidden


cdef inline void _add(real* y, const real* x, Py_ssize_t n) noexcept nogil:
    cdef Py_ssize_t j
    for j in range(n):
        y[j] += x[j]


# LRP --------------------------------------------------------------------------------------------

def lrp_scan(
    _Trace trace not None, final_relevance, hidden_relevance, inputs, rule, str product_rule
):
    """Run relevance back over every sequence; see `lrplstm.scans`."""
    cdef _Layer layer = trace.layer
    cdef bint to_gates = product_rule != "all"
    cdef int sharing = 0
    if to_gates:
        if product_rule not in _PRODUCT_RULES:
            raise ValueError(
                f"product_rule: expected 'all' or one of {list(_PRODUCT_RULES)}, "
                f"got {product_rule!r}"
            )
        sharing = _PRODUCT_RULES[product_rule]
    keep = "gates" if to_gates else "relevance"
    final, hidden = _check_way_back(trace, keep, final_relevance, hidden_relevance)
    D, dtype = layer.input_size, layer.dtype
    K, B, steps = len(final), len(trace.offsets) - 1, len(trace.rows)
    if inputs is not None:
        inputs = _check_rows("inputs", inputs, D, dtype)
        _check("inputs", inputs, (steps, D), dtype)
    # Summed over D, or W_ih.T @ q and the share of each input.
    token = np.zeros((K, steps), dtype)
    R_x = None if inputs is None else np.zeros((K, steps, D), dtype)
    initial = np.zeros((K, B), dtype)
    # For each lane and target W_hh.T @ q, R_c, q (of g, or of all gates) and W_ih.T @ q; behind
    # them one row more.
    rows = min(B, layer.lanes) * min(K, <Py_ssize_t> TARGETS) + 1
    lanes = _zeros((rows, (6 if to_gates else 3) * layer.padded + layer.padded_inputs()), dtype)
    for first in range(0, K, TARGETS):
        given, found = (final, hidden), (token, R_x, initial)
        if K > TARGETS:
            some = slice(first, first + TARGETS)
            given = tuple(None if array is None else array[some] for array in given)
            found = tuple(None if array is None else array[some] for array in found)
        if to_gates and layer.single:
            _lrp_gates(trace, given, rule, sharing, lanes, found, <float> 0)
        elif to_gates:
            _lrp_gates(trace, given, rule, sharing, lanes, found, <double> 0)
        elif layer.single:
            _lrp(trace, given, rule, lanes, found, <float> 0)
        else:
            _lrp(trace, given, rule, lanes, found, <double> 0)
    if inputs is None:
        return LRPResult(token, None, initial)
    R_x *= inputs
    R_x += token[..., np.newaxis]
    return LRPResult(None, R_x, initial)


cdef int _lrp(
    _Trace forward, tuple given, rule, lane_rows, tuple found, real dtype
) except -1:
    cdef _Layer layer = forward.layer
    cdef _Direction direction
    cdef _Matrix recurrent, below
    cdef const real[:, :, :, ::1] trace = forward.kept
    cdef const real[:, ::1] projection = forward.projection
    cdef const Py_ssize_t[::1] rows = forward.rows
    cdef const Py_ssize_t[::1] offsets = forward.offsets
    cdef const real[:, :, ::1] final = given[0]
    cdef const real[:, :, ::1] hidden = given[1]
    cdef real[:, ::1] scratch = lane_rows
    cdef real[:, ::1] token = found[0]
    cdef real[:, :, ::1] R_x = found[1]
    cdef real[:, ::1] initial = found[2]
    cdef bint from_hidden = hidden is not None, to_inputs = R_x is not None
    cdef Py_ssize_t H = layer.hidden_size, D = layer.input_size, padded = layer.padded
    cdef Py_ssize_t below_columns = D if to_inputs else 0
    cdef Py_ssize_t B = offsets.shape[0] - 1, K = final.shape[0], step = scratch.shape[1]
    cdef Py_ssize_t d, first, size, active, after, s, lane, k, t, r, row
    cdef Py_ssize_t first_projected, first_state, lanes = min(B, layer.lanes), work = 0
    cdef real epsilon = rule.epsilon
    cdef real bias_factor = rule.bias_factor, epsilon_factor = rule.epsilon_factor
    # Whether rows get anything but products: a share of what was kept, or relevance of their own.
    cdef bint sharing = bias_factor != 0 or epsilon_factor != 0 or hidden is not None
    cdef const real* mask = <const real*> layer.mask
    cdef const real* zero = <const real*> layer.zero
    cdef const real* initial_projected
    cdef const real* h
    cdef real* W_q
    cdef real* R_c
    cdef real* q
    cdef real* started = &scratch[scratch.shape[0] - 1, 0]
    cdef real share[TILE * TARGETS]
    cdef real of_token
    cdef Py_ssize_t starts[TILE * TARGETS]
    memset(starts, 0, sizeof(starts))
    for d in range(len(layer.directions)):
        direction = layer.directions[d]
        recurrent = direction.matrix("candidate_recurrent")
        below = direction.matrix("candidate_inputs") if to_inputs else recurrent
        first_state, first_projected = direction.first_state, direction.first_projected + 2 * H
        initial_projected = <const real*> direction.initial_projected + 2 * H
        row = first = 0
        with nogil:
            while first < B:
                size = min(lanes, B - first)
                for r in range(size * K):
                    # R_h = 1 * final + 0, until there is a step after it.
                    memcpy(&scratch[r, 0], zero, padded * sizeof(real))
                    k, lane = r % K, r // K
                    memcpy(&scratch[r, 0], &final[k, first + lane, first_state], H * sizeof(real))
                    memcpy(&scratch[r, padded], zero, padded * sizeof(real))
                    share[r] = 0
                # Backwards through the rows of the trace that the forward scan wrote.
                row += offsets[first + size] - offsets[first]
                active = after = 0
                for s in range(_length(offsets, first) - 1, -1, -1):
                    while active < size and _length(offsets, first + active) > s:
                        active += 1
                    row -= active
                    for lane in range(active):
                        h = mask
                        if lane < after:
                            h = &trace[d, row + active + lane, HIDDEN_BEFORE, 0]
                        if s > 0:
                            prefetch(&trace[d, row - active + lane, 0, 0], RELEVANCE_ROWS * padded)
                            t = _step(offsets, first + lane, s - 1, direction.reverse)
                            prefetch(&projection[rows[t], first_projected], padded)
                        t = _step(offsets, first + lane, s, direction.reverse)
                        for k in range(K):
                            r = lane * K + k
                            W_q = &scratch[r, 0]
                            R_c = &scratch[r, padded]
                            q = &scratch[r, 2 * padded]
                            if from_hidden:
                                memcpy(started, &hidden[k, t, first_state], H * sizeof(real))
                            _lrp_step(
                                &trace[d, row + lane, 0, 0], padded, H, D, h, W_q, started, R_c, q,
                                mask, <const real*> direction.bias_g,
                                &projection[rows[t], first_projected], epsilon, bias_factor,
                                epsilon_factor, sharing, &share[r], &of_token,
                            )
                            # R_x = x * (W_ih^g.T @ q) + share, or its sum over the D inputs
                            token[k, t] += share[r] if to_inputs else of_token
                    after = active
                    if to_inputs:
                        _times_matrix(
                            &scratch[0, 2 * padded], step, 1, 0, <const real*> below.data, H,
                            below.vectors, zero, starts, &scratch[0, 3 * padded], step, active * K,
                        )
                        for r in range(active * K):
                            t = _step(offsets, first + r // K, s, direction.reverse)
                            _add(&R_x[r % K, t, 0], &scratch[r, 3 * padded], D)
                    if s > 0:
                        _times_matrix(
                            &scratch[0, 2 * padded], step, 1, 0, <const real*> recurrent.data, H,
                            recurrent.vectors, zero, starts, &scratch[0, 0], step, active * K,
                        )
                    _poll(&work, _work(active * K, padded, H + below_columns))
                row += offsets[first + size] - offsets[first]
                for r in range(size * K):
                    initial[r % K, first + r // K] += H * share[r] + _initial_relevance(
                        padded, &scratch[r, padded], &scratch[r, 2 * padded], initial_projected
                    )
                first += lanes
    return 0


cdef inline void _lrp_step(
    const real* trace, Py_ssize_t padded, Py_ssize_t H, Py_ssize_t D, const real* h,
    const real* W_q, const real* started, real* R_c, real* q, const real* mask, const real* bias_g,
    const real* projection_g, real epsilon, real bias_factor, real epsilon_factor,
    bint sharing, real* share, real* token,
) noexcept nogil:
    """Take relevance of one step, of one sequence and target, down; see `_lrp_units`.

    It is inlined for either case, so that shares cost nothing where there are none.
    """
    if sharing:
        _lrp_units(
            trace, padded, H, D, h, W_q, started, R_c, q, mask, bias_g, projection_g,
            epsilon, bias_factor, epsilon_factor, True, share, token,
        )
    else:
        _lrp_units(
            trace, padded, H, D, h, W_q, started, R_c, q, mask, bias_g, projection_g,
            epsilon, bias_factor, epsilon_factor, False, share, token,
        )


cdef inline void _lrp_units(
    const real* trace, Py_ssize_t padded, Py_ssize_t H, Py_ssize_t D, const real* h,
    const real* W_q, const real* started, real* R_c, real* q, const real* mask, const real* bias_g,
    const real* projection_g, real epsilon, real bias_factor, real epsilon_factor,
    bint sharing, real* share, real* token,
) noexcept nogil:
    """Take relevance of one step, of one sequence and target, down.

    From the step after it come W_q = W_hh^g.T @ q, `share` and R_c, which are replaced by this
    step's; so is q. `token` becomes the sum over D of x * (W_ih^g.T @ q) + share, which is
    q . (W_ih^g @ x) + D share.
    """
    cdef const real* kept = trace + KEPT * padded
    cdef const real* added = trace + ADDED * padded
    cdef const real* a_g = trace + PREACTIVATION_G * padded
    cdef Py_ssize_t block, u, v
    cdef real share_h = share[0], share_c = 0
    cdef real sums[UNITS]
    cdef real R[UNITS]
    cdef real q_c[UNITS]
    cdef real q_g[UNITS]

    # c_t = f c_{t-1} + i g: identity weights, no bias, 2H units.
    if sharing:
        for v in range(UNITS):
            sums[v] = 0
        for block in range(padded // UNITS):
            u = block * UNITS
            _relevance_of_cell(u, h, W_q, share_h, mask, started, R_c, sharing, R)
            for v in range(UNITS):
                sums[v] += _kept_share(kept[u + v] + added[u + v], R[v], epsilon, epsilon_factor)
        share_c = _total(sums) / (2 * H)
    for v in range(UNITS):
        sums[v] = 0
    for block in range(padded // UNITS):
        u = block * UNITS
        _relevance_of_cell(u, h, W_q, share_h, mask, started, R_c, sharing, R)
        for v in range(UNITS):
            q_c[v] = _quotient(kept[u + v] + added[u + v], R[v], epsilon)
        for v in range(UNITS):  # to f c_{t-1}, and all of it to c_{t-1}
            R[v] = kept[u + v] * q_c[v]
        if sharing:
            for v in range(UNITS):
                R[v] += share_c * mask[u + v]
        _put(R_c + u, R)
        for v in range(UNITS):  # to i g, and all of it to g
            R[v] = added[u + v] * q_c[v]
        if sharing:
            for v in range(UNITS):
                R[v] += share_c * mask[u + v]
        # a^g = W_ih^g x_t + W_hh^g h_{t-1} + b^g: D + H units.
        for v in range(UNITS):
            q_g[v] = _quotient(a_g[u + v], R[v], epsilon)
        _put(q + u, q_g)
        for v in range(UNITS):
            sums[v] += q_g[v] * (projection_g[u + v] - bias_g[u + v])
    token[0] = _total(sums)
    share[0] = 0
    if sharing:
        for v in range(UNITS):
            sums[v] = 0
        for block in range(padded // UNITS):
            u = block * UNITS
            for v in range(UNITS):
                sums[v] += q[u + v] * (
                    bias_factor * bias_g[u + v]
                    + epsilon_factor * _stabilizer(a_g[u + v], epsilon)
                )
        share[0] = _total(sums) / (D + H)
        token[0] += D * share[0]


cdef inline void _relevance_of_cell(
    Py_ssize_t u, const real* h, const real* W_q, real share, const real* mask, const real* started,
    const real* R_c, bint sharing, real* found,
) noexcept nogil:
    """R_h = h * (W_hh^g.T @ q) + share, and h = o tanh(c) gives it all to c."""
    cdef Py_ssize_t v
    for v in range(UNITS):
        found[v] = R_c[u + v] + h[u + v] * W_q[u + v]
    if sharing:
        for v in range(UNITS):
            found[v] += share * mask[u + v] + started[u + v]


cdef inline real _kept_share(real z, real R, real epsilon, real epsilon_factor) noexcept nogil:
    return epsilon_factor * _stabilizer(z, epsilon) * _quotient(z, R, epsilon)


cdef inline real _initial_relevance(
    Py_ssize_t padded, const real* R_c, const real* q, const real* initial_projected
) noexcept nogil:
    """Sum of R_c[-1] and of h_{-1} * (W_hh^g.T @ q), which is q . (W_hh^g @ h_{-1})."""
    cdef Py_ssize_t block, u, v
    cdef real sums[UNITS]
    for v in range(UNITS):
        sums[v] = 0
    for block in range(padded // UNITS):
        u = block * UNITS
        for v in range(UNITS):
            sums[v] += R_c[u + v] + q[u + v] * initial_projected[u + v]
    return _total(sums)


# LRP through the gates ---------------------------------------------------------------------------

cdef int _lrp_gates(
    _Trace forward, tuple given, rule, int product_rule, lane_rows, tuple found, real dtype
) except -1:
    """As `_lrp`, where gates get relevance too and hand it on through their own rows of W."""
    cdef _Layer layer = forward.layer
    cdef _Direction direction
    cdef _Matrix recurrent, below
    cdef const real[:, :, :, ::1] trace = forward.kept
    cdef const real[:, ::1] projection = forward.projection
    cdef const Py_ssize_t[::1] rows = forward.rows
    cdef const Py_ssize_t[::1] offsets = forward.offsets
    cdef const real[:, :, ::1] final = given[0]
    cdef const real[:, :, ::1] hidden = given[1]
    cdef real[:, ::1] scratch = lane_rows
    cdef real[:, ::1] token = found[0]
    cdef real[:, :, ::1] R_x = found[1]
    cdef real[:, ::1] initial = found[2]
    cdef bint from_hidden = hidden is not None, to_inputs = R_x is not None
    cdef Py_ssize_t H = layer.hidden_size, D = layer.input_size, padded = layer.padded
    cdef Py_ssize_t below_columns = D if to_inputs else 0
    cdef Py_ssize_t B = offsets.shape[0] - 1, K = final.shape[0], step = scratch.shape[1]
    cdef Py_ssize_t d, first, size, active, after, s, lane, k, t, r, row
    cdef Py_ssize_t first_projected, first_state, lanes = min(B, layer.lanes), work = 0
    cdef real epsilon = rule.epsilon
    cdef real bias_factor = rule.bias_factor, epsilon_factor = rule.epsilon_factor
    cdef const real* mask = <const real*> layer.mask
    cdef const real* zero = <const real*> layer.zero
    cdef const real* initial_projected
    cdef const real* h
    cdef real* R_c
    cdef real* started = &scratch[scratch.shape[0] - 1, 0]
    cdef real share[TILE * TARGETS]
    cdef real of_token, ended
    cdef Py_ssize_t starts[TILE * TARGETS]
    memset(starts, 0, sizeof(starts))
    for d in range(len(layer.directions)):
        direction = layer.directions[d]
        recurrent = direction.matrix("recurrent_back")
        below = direction.matrix("inputs_back") if to_inputs else recurrent
        first_state, first_projected = direction.first_state, direction.first_projected
        initial_projected = <const real*> direction.initial_projected
        row = first = 0
        with nogil:
            while first < B:
                size = min(lanes, B - first)
                for r in range(size * K):
                    # R_h = 1 * final + 0, until there is a step after it.
                    memcpy(&scratch[r, 0], zero, padded * sizeof(real))
                    k, lane = r % K, r // K
                    memcpy(&scratch[r, 0], &final[k, first + lane, first_state], H * sizeof(real))
                    memcpy(&scratch[r, padded], zero, padded * sizeof(real))
                    share[r] = 0
                # Backwards through the rows of the trace that the forward scan wrote.
                row += offsets[first + size] - offsets[first]
                active = after = 0
                for s in range(_length(offsets, first) - 1, -1, -1):
                    while active < size and _length(offsets, first + active) > s:
                        active += 1
                    row -= active
                    for lane in range(active):
                        h = mask
                        if lane < after:
                            h = &trace[d, row + active + lane, HIDDEN_OF_GATES, 0]
                        if s > 0:
                            prefetch(&trace[d, row - active + lane, 0, 0], GATES_ROWS * padded)
                        t = _step(offsets, first + lane, s, direction.reverse)
                        for k in range(K):
                            r = lane * K + k
                            R_c = &scratch[r, padded]
                            if from_hidden:
                                memcpy(started, &hidden[k, t, first_state], H * sizeof(real))
                            _lrp_gates_step(
                                &trace[d, row + lane, 0, 0], padded, H, D, product_rule, h,
                                &scratch[r, 0], started, from_hidden, R_c, &scratch[r, 2 * padded],
                                mask, <const real*> direction.bias,
                                &projection[rows[t], first_projected], epsilon, bias_factor,
                                epsilon_factor, &share[r], &of_token,
                            )
                            # R_x = x * (W_ih.T @ q) + share, or its sum over the D inputs
                            token[k, t] += share[r] if to_inputs else of_token
                    after = active
                    if to_inputs:
                        _times_matrix(
                            &scratch[0, 2 * padded], step, 4, padded, <const real*> below.data, H,
                            below.vectors, zero, starts, &scratch[0, 6 * padded], step, active * K,
                        )
                        for r in range(active * K):
                            t = _step(offsets, first + r // K, s, direction.reverse)
                            _add(&R_x[r % K, t, 0], &scratch[r, 6 * padded], D)
                    if s > 0:
                        _times_matrix(
                            &scratch[0, 2 * padded], step, 4, padded, <const real*> recurrent.data,
                            H, recurrent.vectors, zero, starts, &scratch[0, 0], step, active * K,
                        )
                    _poll(&work, _work(active * K, 4 * padded, H + below_columns))
                row += offsets[first + size] - offsets[first]
                for r in range(size * K):
                    # R_c[-1], and h_{-1} * (W_hh.T @ q) + share, which is q . (W_hh @ h_{-1}).
                    ended = H * share[r]
                    for k in range(4):
                        R_c = &scratch[r, padded] if k == 0 else <real*> zero
                        ended += _initial_relevance(
                            padded, R_c, &scratch[r, (2 + k) * padded], initial_projected + k * H
                        )
                    initial[r % K, first + r // K] += ended
                first += lanes
    return 0


cdef inline void _share_product(
    int product_rule, const real* gate, const real* signal, const real* R, real epsilon,
    real* R_gate, real* R_signal,
) noexcept nogil:
    """Share relevance of UNITS products out between gate and signal."""
    cdef Py_ssize_t v
    cdef real z_gate[UNITS]
    cdef real z_signal[UNITS]
    cdef real q[UNITS]
    cdef real half = 0.5
    if product_rule == HALF:
        for v in range(UNITS):
            R_gate[v] = half * R[v]
        for v in range(UNITS):
            R_signal[v] = half * R[v]
        return
    for v in range(UNITS):
        z_gate[v] = gate[v]
    for v in range(UNITS):
        z_signal[v] = signal[v]
    if product_rule == ABS:
        for v in range(UNITS):
            z_gate[v] = gate[v] if gate[v] >= 0 else -gate[v]
        for v in range(UNITS):
            z_signal[v] = signal[v] if signal[v] >= 0 else -signal[v]
    for v in range(UNITS):
        q[v] = _quotient(z_gate[v] + z_signal[v], R[v], epsilon)
    for v in range(UNITS):
        R_gate[v] = z_gate[v] * q[v]
    for v in range(UNITS):
        R_signal[v] = z_signal[v] * q[v]


cdef inline void _lrp_gates_step(
    const real* trace, Py_ssize_t padded, Py_ssize_t H, Py_ssize_t D, int product_rule,
    const real* h, const real* W_q, const real* started, bint from_hidden, real* R_c, real* q,
    const real* mask, const real* bias, const real* projection, real epsilon, real bias_factor,
    real epsilon_factor, real* share, real* token,
) noexcept nogil:
    """Take relevance of one step, of one sequence and target, down through all gates.

    From the step after it come W_q = W_hh.T @ q, `share` and R_c, which are replaced by this
    step's; so is q, a row of UNITS for each gate. `token` becomes the sum over D of
    x * (W_ih.T @ q) + share, which is q . (W_ih @ x) + D share.
    """
    cdef const real* i = trace + GATES * padded
    cdef const real* f = trace + (GATES + 1) * padded
    cdef const real* g = trace + (GATES + 2) * padded
    cdef const real* o = trace + (GATES + 3) * padded
    cdef const real* c_before = trace + CELL_BEFORE * padded
    cdef const real* tanh_c = trace + TANH_C * padded
    cdef const real* a
    cdef Py_ssize_t block, u, v, gate
    cdef real share_h = share[0], share_c = 0
    cdef real R[UNITS]
    cdef real c[UNITS]
    cdef real q_c[UNITS]
    cdef real R_gate[UNITS]
    cdef real R_signal[UNITS]
    cdef real sums[UNITS]
    cdef real shares[UNITS]

    # h = o tanh(c); R_h = h * (W_hh.T @ q) + share, and what starts here.
    for block in range(padded // UNITS):
        u = block * UNITS
        for v in range(UNITS):
            R[v] = h[u + v] * W_q[u + v] + share_h * mask[u + v]
        if from_hidden:
            for v in range(UNITS):
                R[v] += started[u + v]
        _share_product(product_rule, o + u, tanh_c + u, R, epsilon, R_gate, R_signal)
        _put(q + 3 * padded + u, R_gate)
        for v in range(UNITS):
            R[v] = R_c[u + v] + R_signal[v]
        _put(R_c + u, R)
    # c_t = f c_{t-1} + i g: identity weights, no bias, 2H units.
    for v in range(UNITS):
        sums[v] = 0
    for block in range(padded // UNITS):
        u = block * UNITS
        for v in range(UNITS):
            sums[v] += _kept_share(
                f[u + v] * c_before[u + v] + i[u + v] * g[u + v], R_c[u + v], epsilon,
                epsilon_factor,
            )
    share_c = _total(sums) / (2 * H)
    for block in range(padded // UNITS):
        u = block * UNITS
        for v in range(UNITS):
            c[v] = f[u + v] * c_before[u + v] + i[u + v] * g[u + v]
        for v in range(UNITS):
            q_c[v] = _quotient(c[v], R_c[u + v], epsilon)
        for v in range(UNITS):
            R[v] = f[u + v] * c_before[u + v] * q_c[v] + share_c * mask[u + v]
        _share_product(product_rule, f + u, c_before + u, R, epsilon, R_gate, R_signal)
        _put(q + padded + u, R_gate)
        _put(R_c + u, R_signal)
        for v in range(UNITS):
            R[v] = i[u + v] * g[u + v] * q_c[v] + share_c * mask[u + v]
        _share_product(product_rule, i + u, g + u, R, epsilon, R_gate, R_signal)
        _put(q + u, R_gate)
        _put(q + 2 * padded + u, R_signal)
    # a = W_ih x_t + W_hh h_{t-1} + b of each gate: D + H units.
    for v in range(UNITS):
        sums[v] = 0
    for v in range(UNITS):
        shares[v] = 0
    for gate in range(4):
        a = trace + (A + gate) * padded
        for block in range(padded // UNITS):
            u = block * UNITS
            for v in range(UNITS):
                q_c[v] = _quotient(a[u + v], q[gate * padded + u + v], epsilon)
            _put(q + gate * padded + u, q_c)
            for v in range(UNITS):
                sums[v] += q_c[v] * (projection[gate * H + u + v] - bias[gate * H + u + v])
            for v in range(UNITS):
                shares[v] += q_c[v] * (
                    bias_factor * bias[gate * H + u + v]
                    + epsilon_factor * _stabilizer(a[u + v], epsilon)
                )
    share[0] = _total(shares) / (D + H)
    token[0] = _total(sums) + D * share[0]


# Gradient ---------------------------------------------------------------------------------------

def gradient_scan(_Trace trace not None, final_gradient, hidden_gradient, bint times_input):
    """Run gradients back over every sequence; see `lrplstm.scans`."""
    cdef _Layer layer = trace.layer
    final, hidden = _check_way_back(trace, "gradient", final_gradient, hidden_gradient)
    dtype, K, B, steps = layer.dtype, len(final), len(trace.offsets) - 1, len(trace.rows)
    token = np.zeros((K, steps), dtype) if times_input else None
    dx = None if times_input else np.zeros((K, steps, layer.input_size), dtype)
    initial_hidden, initial_cell = np.empty((2, K, B, layer.width), dtype)
    # For each lane and target dh, dc, the gradients of the four pre-activations, and dx.
    rows = min(B, layer.lanes) * min(K, <Py_ssize_t> TARGETS)
    lanes = _zeros((rows, 6 * layer.padded + layer.padded_inputs()), dtype)
    for first in range(0, K, TARGETS):
        given, found = (final, hidden), (token, dx, initial_hidden, initial_cell)
        if K > TARGETS:
            some = slice(first, first + TARGETS)
            given = tuple(None if array is None else array[some] for array in given)
            found = tuple(None if array is None else array[some] for array in found)
        if layer.single:
            _gradient(trace, given, lanes, found, <float> 0)
        else:
            _gradient(trace, given, lanes, found, <double> 0)
    return GradientResult(token, dx, initial_hidden, initial_cell)


cdef int _gradient(_Trace forward, tuple given, lane_rows, tuple found, real dtype) except -1:
    cdef _Layer layer = forward.layer
    cdef _Direction direction
    cdef _Matrix recurrent, below
    cdef const real[:, :, :, ::1] trace = forward.kept
    cdef const real[:, ::1] projection = forward.projection
    cdef const Py_ssize_t[::1] rows = forward.rows
    cdef const Py_ssize_t[::1] offsets = forward.offsets
    cdef const real[:, :, ::1] final = given[0]
    cdef const real[:, :, ::1] hidden = given[1]
    cdef real[:, ::1] scratch = lane_rows
    cdef real[:, ::1] token = found[0]
    cdef real[:, :, ::1] dx = found[1]
    cdef real[:, :, ::1] initial_hidden = found[2]
    cdef real[:, :, ::1] initial_cell = found[3]
    cdef bint from_hidden = hidden is not None, times_input = token is not None
    cdef Py_ssize_t H = layer.hidden_size, D = layer.input_size, padded = layer.padded
    cdef Py_ssize_t below_columns = 0 if times_input else D
    cdef Py_ssize_t B = offsets.shape[0] - 1, K = final.shape[0], step = scratch.shape[1]
    cdef Py_ssize_t d, first, size, active, s, lane, k, t, r, row
    cdef Py_ssize_t first_projected, first_state, lanes = min(B, layer.lanes), work = 0
    cdef const real* zero = <const real*> layer.zero
    cdef real* dh
    cdef real* dc
    cdef real* da
    cdef Py_ssize_t starts[TILE * TARGETS]
    memset(starts, 0, sizeof(starts))
    for d in range(len(layer.directions)):
        direction = layer.directions[d]
        recurrent = direction.matrix("recurrent_back")
        below = recurrent if times_input else direction.matrix("inputs_back")
        first_state, first_projected = direction.first_state, direction.first_projected
        row = first = 0
        with nogil:
            while first < B:
                size = min(lanes, B - first)
                for r in range(size * K):
                    memcpy(&scratch[r, 0], zero, padded * sizeof(real))
                    k, lane = r % K, r // K
                    memcpy(&scratch[r, 0], &final[k, first + lane, first_state], H * sizeof(real))
                    memcpy(&scratch[r, padded], zero, padded * sizeof(real))
                # Backwards through the rows of the trace that the forward scan wrote.
                row += offsets[first + size] - offsets[first]
                active = 0
                for s in range(_length(offsets, first) - 1, -1, -1):
                    while active < size and _length(offsets, first + active) > s:
                        active += 1
                    row -= active
                    for lane in range(active):
                        if s > 0:
                            prefetch(&trace[d, row - active + lane, 0, 0], GRADIENT_ROWS * padded)
                        t = _step(offsets, first + lane, s, direction.reverse)
                        for k in range(K):
                            r = lane * K + k
                            dh = &scratch[r, 0]
                            dc = &scratch[r, padded]
                            da = &scratch[r, 2 * padded]
                            if from_hidden:
                                _add(dh, &hidden[k, t, first_state], H)
                            _gradient_step(&trace[d, row + lane, 0, 0], padded, dh, dc, da)
                            if times_input:
                                token[k, t] += _times_projection(
                                    H, padded, da, &projection[rows[t], first_projected],
                                    <const real*> direction.bias,
                                )
                    if not times_input:  # dx = W_ih.T @ da
                        _times_matrix(
                            &scratch[0, 2 * padded], step, 4, padded, <const real*> below.data, H,
                            below.vectors, zero, starts, &scratch[0, 6 * padded], step, active * K,
                        )
                        for r in range(active * K):
                            t = _step(offsets, first + r // K, s, direction.reverse)
                            _add(&dx[r % K, t, 0], &scratch[r, 6 * padded], D)
                    # dh[t-1] = W_hh.T @ da
                    _times_matrix(
                        &scratch[0, 2 * padded], step, 4, padded, <const real*> recurrent.data, H,
                        recurrent.vectors, zero, starts, &scratch[0, 0], step, active * K,
                    )
                    _poll(&work, _work(active * K, 4 * padded, H + below_columns))
                row += offsets[first + size] - offsets[first]
                for r in range(size * K):
                    k, lane = r % K, r // K
                    dh = &initial_hidden[k, first + lane, first_state]
                    memcpy(dh, &scratch[r, 0], H * sizeof(real))
                    dc = &initial_cell[k, first + lane, first_state]
                    memcpy(dc, &scratch[r, padded], H * sizeof(real))
                first += lanes
    return 0


cdef inline void _gradient_step(
    const real* trace, Py_ssize_t padded, const real* dh, real* dc, real* da
) noexcept nogil:
    """Take the gradients of h_t and c_t to those of c_{t-1} and of the pre-activations."""
    cdef Py_ssize_t block, u, v
    cdef real cell[UNITS]
    cdef real found[UNITS]
    for block in range(padded // UNITS):
        u = block * UNITS
        for v in range(UNITS):
            cell[v] = dc[u + v] + dh[u + v] * trace[DC_DH * padded + u + v]
        for v in range(UNITS):
            found[v] = cell[v] * trace[DA_I * padded + u + v]
        _put(da + u, found)
        for v in range(UNITS):
            found[v] = cell[v] * trace[DA_F * padded + u + v]
        _put(da + padded + u, found)
        for v in range(UNITS):
            found[v] = cell[v] * trace[DA_G * padded + u + v]
        _put(da + 2 * padded + u, found)
        for v in range(UNITS):
            found[v] = dh[u + v] * trace[DA_O * padded + u + v]
        _put(da + 3 * padded + u, found)
        for v in range(UNITS):
            found[v] = cell[v] * trace[FORGET * padded + u + v]
        _put(dc + u, found)


cdef inline real _times_projection(
    Py_ssize_t H, Py_ssize_t padded, const real* da, const real* projection, const real* bias
) noexcept nogil:
    """x . (W_ih.T @ da), which is da . (W_ih @ x)."""
    cdef Py_ssize_t gate, block, u, v
    cdef real sums[UNITS]
    for v in range(UNITS):
        sums[v] = 0
    for gate in range(4):
        for block in range(padded // UNITS):
            u = block * UNITS
            for v in range(UNITS):
                sums[v] += da[gate * padded + u + v] * (
                    projection[gate * H + u + v] - bias[gate * H + u + v]
                )
    return _total(sums)


# Contextual decomposition -----------------------------------------------------------------------

def decompose_scan(
    _Trace trace not None, owner, relevant, rows, phrase, offsets, bint hidden
):
    """Follow the part of the states that comes from some inputs; see `lrplstm.scans`."""
    cdef _Layer layer = trace.layer
    if trace.keep != "gates":
        raise ValueError(f"trace: expected one that kept 'gates', got {trace.keep!r}")
    relevant = _check_rows("relevant", relevant, layer.projected(), layer.dtype)
    _check_steps(rows, offsets, len(relevant))
    _check_indices("owner", owner)
    _check_copies(owner, offsets, trace.offsets)
    _check("phrase", phrase, (len(rows),), np.dtype(bool))
    marks = _contiguous(phrase).view(np.uint8)
    dtype, n, steps = layer.dtype, len(owner), len(rows)
    final = np.empty((n, layer.width), dtype)
    states = np.empty((steps, layer.width), dtype) if hidden else None
    # For each lane a row of pre-activations, h and c, of which all are parts; behind them one row
    # more, of what the biases alone make of i, f and g.
    lanes = _zeros((min(n, layer.lanes) + 1, layer.stride + 2 * layer.padded), dtype)
    given, read = (owner, marks, offsets), (relevant, rows)
    if layer.single:
        _decompose(trace, given, read, lanes, final, states, <float> 0)
    else:
        _decompose(trace, given, read, lanes, final, states, <double> 0)
    return DecomposeResult(final, states)


cdef int _check_copies(
    const Py_ssize_t[::1] owner, const Py_ssize_t[::1] offsets, const Py_ssize_t[::1] originals
) except -1:
    """Check that each copy is of one of the sequences, and not longer."""
    cdef Py_ssize_t k, B = originals.shape[0] - 1
    if owner.shape[0] != offsets.shape[0] - 1:
        raise ValueError(f"owner: expected {offsets.shape[0] - 1} numbers, got {owner.shape[0]}")
    for k in range(owner.shape[0]):
        if owner[k] < 0 or owner[k] >= B:
            raise ValueError(f"owner: expected 0 <= owner < {B}, got {owner[k]}")
        if _length(offsets, k) > _length(originals, owner[k]):
            raise ValueError(f"offsets: expected copy {k} to be no longer than its sequence")
    return 0


cdef int _decompose(
    _Trace forward, tuple given, tuple read, lane_rows, final_states, all_states, real dtype
) except -1:
    cdef _Layer layer = forward.layer
    cdef _Direction direction
    cdef const real[:, :, :, ::1] trace = forward.kept
    cdef const Py_ssize_t[::1] originals = forward.offsets
    cdef const Py_ssize_t[::1] owner = given[0]
    cdef const unsigned char[::1] phrase = given[1]
    cdef const Py_ssize_t[::1] offsets = given[2]
    cdef const real[:, ::1] relevant = read[0]
    cdef const Py_ssize_t[::1] rows = read[1]
    cdef real[:, ::1] scratch = lane_rows
    cdef real[:, ::1] final = final_states
    cdef real[:, ::1] states = all_states
    cdef bint keep_states = all_states is not None
    cdef Py_ssize_t H = layer.hidden_size, stride = layer.stride, padded = layer.padded
    cdef Py_ssize_t n = owner.shape[0], lanes = scratch.shape[0] - 1, step = scratch.shape[1]
    cdef Py_ssize_t d, first, active, s, lane, t, row, work = 0
    cdef Py_ssize_t starts[TILE]
    cdef const real* bias
    cdef real* of_bias = &scratch[lanes, 0]
    cdef real* h
    # Where in the trace each step is, in the order in which it is read.
    step_rows = np.empty(len(forward.rows), np.intp)
    cdef Py_ssize_t[::1] trace_rows = step_rows
    _find_trace_rows(originals, min(originals.shape[0] - 1, layer.lanes), trace_rows)
    for d in range(len(layer.directions)):
        direction = layer.directions[d]
        bias = <const real*> direction.bias
        first = 0
        with nogil:
            _activate_biases(bias, H, padded, of_bias)
            while first < n:
                active = min(lanes, n - first)
                for lane in range(active):
                    memset(&scratch[lane, stride], 0, 2 * padded * sizeof(real))
                s = 0
                while True:
                    while active > 0 and _length(offsets, first + active - 1) <= s:
                        active -= 1
                    if active == 0:
                        break
                    for lane in range(active):
                        t = _step(offsets, first + lane, s, direction.reverse)
                        starts[lane] = rows[t] * relevant.shape[1] + direction.first_projected
                    # The part of a: W_ih x_t + W_hh h_{t-1}, of the parts of both.
                    _times_matrix(
                        &scratch[0, stride], step, 1, 0, <const real*> direction.recurrent.data,
                        H, direction.recurrent.vectors, &relevant[0, 0], starts, &scratch[0, 0],
                        step, active,
                    )
                    for lane in range(active):
                        h = &scratch[lane, stride]
                        t = _step(offsets, first + lane, s, direction.reverse)
                        # The last of the steps that the direction reads.
                        row = originals[owner[first + lane] + 1] - _length(offsets, first + lane)
                        row = trace_rows[row + s]
                        _decompose_cell(
                            &scratch[lane, 0], bias, of_bias, &trace[d, row, 0, 0], H, padded,
                            phrase[t], h, h + padded,
                        )
                        if keep_states:
                            memcpy(&states[t, direction.first_state], h, H * sizeof(real))
                    # Those that end here.
                    s += 1
                    for lane in range(active - 1, -1, -1):
                        if _length(offsets, first + lane) > s:
                            break
                        h = &scratch[lane, stride]
                        memcpy(&final[first + lane, direction.first_state], h, H * sizeof(real))
                    _poll(&work, _work(active, 4 * padded, H))
                first += lanes
    return 0


cdef int _find_trace_rows(
    const Py_ssize_t[::1] offsets, Py_ssize_t lanes, Py_ssize_t[::1] found
) except -1:
    """The s-th step that is read of a sequence has its row of the trace at offsets[b] + s."""
    cdef Py_ssize_t first = 0, row = 0, B = offsets.shape[0] - 1, s, b
    while first < B:
        for s in range(_length(offsets, first)):
            for b in range(first, min(first + lanes, B)):
                if _length(offsets, b) <= s:
                    break
                found[offsets[b] + s] = row
                row += 1
        first += lanes
    return 0


cdef inline void _activate_biases(
    const real* bias, Py_ssize_t H, Py_ssize_t padded, real* of_bias
) noexcept nogil:
    """What the biases alone make of i, f and g, in rows of units."""
    cdef Py_ssize_t block, u, v
    cdef real exp_i[UNITS]
    cdef real exp_f[UNITS]
    cdef real expm1_g[UNITS]
    for block in range(padded // UNITS):
        u = block * UNITS
        for v in range(UNITS):
            exp_i[v] = exp(bias[u + v])
        for v in range(UNITS):
            exp_f[v] = exp(bias[H + u + v])
        for v in range(UNITS):
            expm1_g[v] = expm1_twice(bias[2 * H + u + v])
        _sigmoid(exp_i, of_bias + u)
        _sigmoid(exp_f, of_bias + padded + u)
        _tanh(expm1_g, of_bias + 2 * padded + u)


cdef inline void _decompose_cell(
    const real* a_part, const real* bias, const real* of_bias, const real* trace, Py_ssize_t H,
    Py_ssize_t padded, bint in_phrase, real* h_part, real* c_part,
) noexcept nogil:
    """Take the parts of h and c of one copy one step on, given those of the pre-activations.

    Of i g what has a relevant factor and none that is irrelevant, biases being neither; o is as it
    is.
    """
    cdef Py_ssize_t block, u, v
    cdef const real* i = trace + GATES * padded
    cdef const real* f = i + padded
    cdef const real* g = f + padded
    cdef const real* o = g + padded
    cdef const real* a = trace + A * padded
    cdef const real* c_before = trace + CELL_BEFORE * padded
    cdef const real* tanh_c = trace + TANH_C * padded
    cdef const real* bias_i = of_bias
    cdef const real* bias_f = of_bias + padded
    cdef const real* bias_g = of_bias + 2 * padded
    cdef real share_i[UNITS]
    cdef real share_f[UNITS]
    cdef real share_g[UNITS]
    cdef real part[UNITS]
    cdef real expm1_part[UNITS]
    cdef real expm1_rest[UNITS]
    cdef real hidden[UNITS]
    cdef real half = 0.5, two = 2, rest
    for block in range(padded // UNITS):
        u = block * UNITS
        _share_sigmoid(a + u, a_part + u, bias + u, i + u, bias_i + u, share_i)
        _share_sigmoid(a + padded + u, a_part + H + u, bias + H + u, f + u, bias_f + u, share_f)
        _share_tanh(
            a + 2 * padded + u, a_part + 2 * H + u, bias + 2 * H + u, g + u, bias_g + u, share_g
        )
        for v in range(UNITS):
            part[v] = (share_f[v] + bias_f[u + v]) * c_part[u + v]
        for v in range(UNITS):
            part[v] += share_i[v] * (share_g[v] + bias_g[u + v]) + bias_i[u + v] * share_g[v]
        if in_phrase:
            for v in range(UNITS):
                part[v] += bias_i[u + v] * bias_g[u + v]
        for v in range(UNITS):
            expm1_part[v] = expm1_twice(part[v])
        for v in range(UNITS):
            rest = f[u + v] * c_before[u + v] + i[u + v] * g[u + v] - part[v]
            expm1_rest[v] = expm1_twice(rest)
        for v in range(UNITS):
            hidden[v] = half * o[u + v] * (
                expm1_part[v] / (two + expm1_part[v])
                + (tanh_c[u + v] - expm1_rest[v] / (two + expm1_rest[v]))
            )
        _put(h_part + u, hidden)
        _put(c_part + u, part)


cdef inline void _share_sigmoid(
    const real* a, const real* part, const real* bias, const real* gate, const real* of_bias,
    real* found,
) noexcept nogil:
    """The share in gate = sigmoid(a) of a part of a: what adding it changes, the mean of first and
    last of the part and the rest, the bias always there.
    """
    cdef Py_ssize_t v
    cdef real exp_first[UNITS]
    cdef real exp_last[UNITS]
    cdef real half = 0.5, one = 1
    for v in range(UNITS):
        exp_first[v] = exp(bias[v] + part[v])
    for v in range(UNITS):
        exp_last[v] = exp(a[v] - part[v])
    for v in range(UNITS):
        found[v] = half * (
            (exp_first[v] / (one + exp_first[v]) - of_bias[v])
            + (gate[v] - exp_last[v] / (one + exp_last[v]))
        )


cdef inline void _share_tanh(
    const real* a, const real* part, const real* bias, const real* gate, const real* of_bias,
    real* found,
) noexcept nogil:
    """The same in gate = tanh(a)."""
    cdef Py_ssize_t v
    cdef real expm1_first[UNITS]
    cdef real expm1_last[UNITS]
    cdef real half = 0.5, two = 2
    for v in range(UNITS):
        expm1_first[v] = expm1_twice(bias[v] + part[v])
    for v in range(UNITS):
        expm1_last[v] = expm1_twice(a[v] - part[v])
    for v in range(UNITS):
        found[v] = half * (
            (expm1_first[v] / (two + expm1_first[v]) - of_bias[v])
            + (gate[v] - expm1_last[v] / (two + expm1_last[v]))
        )
