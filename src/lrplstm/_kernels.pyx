"""A backend, compiled: the same names, arguments and results as in `_reference`.

A scan takes the sequences of a layer in *tiles*. The sequences of a tile go through their steps side
by side, so that the product with the recurrent weights, which is most of the work, is one of many
rows with a matrix. The longest sequence comes first: those that still run are the first `active`
rows, and nothing is padded with steps that are not there.

Each scan has three parts: a `def` that checks what it is given and makes the outputs, a loop over
tiles, directions and steps without the GIL, and short functions that take one row of H units through
the formulas. A row has room for a multiple of UNITS units; what stands in the places beyond H is
finite, and its relevance and gradient are 0.

Every number is computed by the same instructions in the same order, whichever rows are beside it:
results do not depend on the batch, its order or the number of threads.
"""

from cpython.buffer cimport PyBUF_SIMPLE, PyBuffer_Release, PyObject_GetBuffer
from cpython.exc cimport PyErr_CheckSignals
from cython cimport floating as real
from libc.string cimport memcpy

import numpy as np

from lrplstm._activations cimport clip, exp, sigmoid, sigmoid_tanh, tanh
from lrplstm._vectors cimport VECTOR_BYTES, add_product, multiply, panel_vectors, prefetch

from lrplstm.scans import KEEP, ForwardResult, GradientResult, LRPResult

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

    #if defined(__x86_64__)
    static int runs_v3(void) {
        return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
    }
    static int runs_v4(void) {
        return runs_v3() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw")
            && __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
    }
    #else
    static int runs_v3(void) { return 0; }
    static int runs_v4(void) { return 0; }
    #endif

    /* Loops of so many rounds become whole vectors on every instruction set. */
    enum { UNITS = 32 };

    /* What a trace keeps of a step, in rows of units. */
    enum { KEPT, ADDED, CANDIDATE, HIDDEN_BEFORE, RELEVANCE_ROWS };
    enum { DC_DH, DA_O, DA_I, DA_F, DA_G, FORGET, GRADIENT_ROWS };
    """
    const char* LRPLSTM_INSTRUCTION_SET
    const int LRPLSTM_BOUNDSCHECK
    const int LRPLSTM_SANITIZE
    bint runs_v3()
    bint runs_v4()
    enum: UNITS
    enum: KEPT
    enum: ADDED
    enum: CANDIDATE
    enum: HIDDEN_BEFORE
    enum: RELEVANCE_ROWS
    enum: DC_DH
    enum: DA_O
    enum: DA_I
    enum: DA_F
    enum: DA_G
    enum: FORGET
    enum: GRADIENT_ROWS

INSTRUCTION_SET = LRPLSTM_INSTRUCTION_SET.decode()
BOUNDSCHECK = bool(LRPLSTM_BOUNDSCHECK)


def processor_runs():
    """Return which builds of the kernels this processor can run, the fastest last."""
    return ["baseline", *(["v3"] if runs_v3() else []), *(["v4"] if runs_v4() else [])]


_TRACE_ROWS = {"nothing": 0, "relevance": RELEVANCE_ROWS, "gradient": GRADIENT_ROWS}

_TILE_LANES = 32
"""Sequences of a tile: enough to fill the registers many times, few enough for the cache."""

_TARGETS = 8
"""So many targets go through a backward scan side by side, not more."""

cdef Py_ssize_t _POLL_EVERY = 1 << 30
"""Multiplications after which a scan looks for Ctrl-C: some 50 ms."""


cdef int _poll(Py_ssize_t* work, Py_ssize_t more) except -1 nogil:
    """Count work; now and then let Python see to its signals."""
    work[0] += more
    if work[0] > _POLL_EVERY:
        work[0] = 0
        with gil:
            PyErr_CheckSignals()
    return 0


# Memory -----------------------------------------------------------------------------------------

cdef object _zeros(tuple shape, dtype):
    return _aligned(np.zeros, shape, dtype)


cdef object _aligned(make, tuple shape, dtype):
    """Return what np.zeros or np.empty makes, but so that it begins where the widest vector would."""
    cdef Py_ssize_t size = 1, length, itemsize = dtype.itemsize, first
    cdef Py_buffer view
    if LRPLSTM_SANITIZE:  # room for alignment would hide what runs over the ends
        return make(shape, dtype)
    for length in shape:
        size *= length
    memory = make(size + VECTOR_BYTES // itemsize, dtype)
    PyObject_GetBuffer(memory, &view, PyBUF_SIMPLE)
    first = (VECTOR_BYTES - <Py_ssize_t> view.buf % VECTOR_BYTES) % VECTOR_BYTES // itemsize
    PyBuffer_Release(&view)
    return memory[first:first + size].reshape(shape)


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
    return np.ascontiguousarray(array)


def _check_targets(str name, array, Py_ssize_t rows, Py_ssize_t columns, dtype):
    """Check an array of rows for each of any number of targets; return it contiguous."""
    if not isinstance(array, np.ndarray) or array.ndim != 3 or len(array) == 0:
        raise TypeError(f"{name}: expected a 3-dimensional ndarray of at least one target")
    _check(name, array, (len(array), rows, columns), dtype)
    return np.ascontiguousarray(array)


def _check_steps(rows, offsets, Py_ssize_t projected):
    """Check which steps there are, and which rows of the projection they read."""
    for name, array in (("rows", rows), ("offsets", offsets)):
        if not isinstance(array, np.ndarray) or array.dtype != np.intp or array.ndim != 1:
            raise TypeError(f"{name}: expected a 1-dimensional ndarray of intp")
        if not array.flags.c_contiguous:
            raise ValueError(f"{name}: expected a contiguous array")
    _check_order(offsets, len(rows))
    _check_range(rows, projected)


cdef int _check_order(const Py_ssize_t[::1] offsets, Py_ssize_t steps) except -1:
    cdef Py_ssize_t B = offsets.shape[0] - 1, b, length, before = steps
    if B < 1 or offsets[0] != 0 or offsets[B] != steps:
        raise ValueError(f"offsets: expected to rise from 0 to {steps}")
    for b in range(B):
        length = offsets[b + 1] - offsets[b]
        if length < 1 or length > before:
            raise ValueError("offsets: expected sequences of at least one step, the longest first")
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
    cdef Py_ssize_t segments, n, columns, vectors, padded_columns

    def __cinit__(self, matrix, Py_ssize_t segments=1):
        cdef Py_ssize_t width = VECTOR_BYTES // matrix.dtype.itemsize, left, first, taken
        rows, self.columns = matrix.shape
        self.dtype = matrix.dtype
        self.segments = segments
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


cdef object _product(x, _Matrix matrix, start=None):
    """Return start + x @ matrix for x of shape (..., rows, n)."""
    rows = x.reshape(-1, matrix.n)
    out = np.empty((len(rows), matrix.padded_columns), matrix.dtype)
    if start is None:
        start = np.zeros(matrix.padded_columns, matrix.dtype)
    _multiply_rows(rows, matrix, start, out, 0)
    return out[:, :matrix.columns].reshape(*x.shape[:x.ndim - 1], matrix.columns)


cdef int _multiply_rows(x, _Matrix matrix, start, out, Py_ssize_t column) except -1:
    """Set columns of `out`, from `column` on, to start + x @ matrix."""
    arguments = (
        x, matrix.panels, matrix.vectors, start, np.zeros(len(x), np.intp), out, column,
    )
    if matrix.dtype == np.float32:
        _multiply[float](*arguments)
    else:
        _multiply[double](*arguments)
    return 0


cdef int _multiply(
    const real[:, ::1] x,
    const real[::1] panels,
    Py_ssize_t vectors,
    const real[::1] start,
    const Py_ssize_t[::1] start_offsets,
    real[:, ::1] out,
    Py_ssize_t column,
) except -1:
    # So many rows that both they and a panel stay in the cache.
    cdef Py_ssize_t row = 0, n = x.shape[1], together = max(8, 65536 // n // 8 * 8), rows, work = 0
    with nogil:
        while row < x.shape[0]:
            rows = min(together, x.shape[0] - row)
            multiply(
                &x[row, 0], n, 1, 0, &panels[0], n, vectors, &start[0], &start_offsets[row],
                &out[row, column], out.shape[1], rows,
            )
            row += rows
            _poll(&work, rows * panels.shape[0])
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

    cdef object dtype, bias, start
    cdef _Matrix forward, back

    def __cinit__(self, weight, bias):
        self.dtype = weight.dtype
        self.forward = _Matrix(weight.T)
        self.back = _Matrix(weight)
        self.bias = np.zeros(len(weight), weight.dtype) if bias is None else bias
        self.start = _padded(self.bias, self.forward.padded_columns)


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
    q = np.empty_like(relevance)
    share = np.empty((len(relevance), len(y)), layer.dtype)
    numbers = (rule.epsilon, rule.bias_factor, rule.epsilon_factor, layer.forward.n)
    if layer.dtype == np.float32:
        _linear_lrp[float](z, layer.bias, relevance, *numbers, q, share)
    else:
        _linear_lrp[double](z, layer.bias, relevance, *numbers, q, share)
    return y * _product(q, layer.back) + share[..., np.newaxis]


cdef int _linear_lrp(
    const real[:, ::1] z,
    const real[::1] bias,
    const real[:, :, ::1] relevance,
    real epsilon,
    real bias_factor,
    real epsilon_factor,
    Py_ssize_t lower_units,
    real[:, :, ::1] q,
    real[:, ::1] share,
) except -1 nogil:
    """Find q = R / (z + eps(z)), and the share of each lower unit in biases and stabilizers."""
    cdef Py_ssize_t k, b, j
    cdef real kept
    for k in range(relevance.shape[0]):
        for b in range(z.shape[0]):
            share[k, b] = 0
            for j in range(z.shape[1]):
                q[k, b, j] = _quotient(z[b, j], relevance[k, b, j], epsilon)
                kept = bias_factor * bias[j] + epsilon_factor * _stabilizer(z[b, j], epsilon)
                share[k, b] += kept * q[k, b, j]
            share[k, b] /= lower_units
    return 0


def linear_gradient(_Linear layer not None, gradient):
    """Return the gradient of y, given that of z; see `lrplstm.scans`."""
    if not isinstance(gradient, np.ndarray) or gradient.ndim != 3:
        raise TypeError("gradient: expected a 3-dimensional ndarray")
    gradient = _check_targets("gradient", gradient, gradient.shape[1], layer.back.n, layer.dtype)
    return _product(gradient, layer.back)


# LSTM layers ------------------------------------------------------------------------------------

cdef class _Direction:
    """One direction of a layer; most matrices are packed when they are first needed."""

    cdef object weights, bias, bias_g, initial_hidden, initial_cell, initial_projected
    cdef bint reverse
    cdef Py_ssize_t first_state, first_projected
    cdef _Matrix recurrent
    cdef dict packed

    def __cinit__(self, weights, Py_ssize_t number, Py_ssize_t padded, Py_ssize_t stride):
        self.weights = weights
        self.reverse = number == 1
        self.first_state = number * weights.hidden_size
        self.first_projected = number * stride
        self.bias = _padded(weights.bias, stride)
        self.bias_g = _padded(weights.bias[weights.rows_g], padded)
        self.initial_hidden = _padded(weights.initial_hidden, padded)
        self.initial_cell = _padded(weights.initial_cell, padded)
        self.recurrent = _Matrix(weights.weight_hh.T)
        # Step 0 is the same for all sequences: W_hh h_{-1}.
        row = weights.initial_hidden[np.newaxis]
        self.initial_projected = _padded(_product(row, self.recurrent)[0], stride)
        self.packed = {}

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

    cdef object dtype, mask, zero
    cdef Py_ssize_t input_size, hidden_size, width, padded, stride
    cdef list directions

    def __cinit__(self, list directions):
        cdef Py_ssize_t H, width
        first = directions[0]
        self.dtype = first.dtype
        self.input_size = first.input_size
        self.hidden_size = H = first.hidden_size
        self.width = len(directions) * H
        self.padded = _round_up(H, UNITS)
        # A row of four gates, behind which whole vectors, and UNITS of the last gate, can be read.
        width = VECTOR_BYTES // self.dtype.itemsize
        self.stride = _round_up(max(4 * H, 3 * H + self.padded), width)
        self.directions = [
            _Direction(weights, number, self.padded, self.stride)
            for number, weights in enumerate(directions)
        ]
        # 1 for each unit, and 0 for the places beyond: what keeps their relevance 0.
        self.mask = _padded(np.ones(H, self.dtype), self.padded)
        # What products without anything to add to start from.
        self.zero = _zeros((max(self.padded, _round_up(self.input_size, width)),), self.dtype)

    cdef Py_ssize_t projected(self):
        return len(self.directions) * self.stride


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
    x = _check_rows("x", x, layer.input_size, layer.dtype)
    out = _zeros((len(x), layer.projected()), layer.dtype)
    if len(x):
        for direction in layer.directions:
            inputs = direction.matrix("inputs")
            _multiply_rows(x, inputs, direction.bias, out, direction.first_projected)
    return out


cdef class _Trace:
    """What a forward scan leaves for the way back, out of reach for everybody else."""

    cdef _Layer layer
    cdef object projection, rows, offsets
    cdef str keep
    cdef list arrays

    def __cinit__(self, _Layer layer, projection, rows, offsets, str keep, list arrays):
        self.layer = layer
        self.projection = projection
        self.rows = rows.copy()
        self.offsets = offsets.copy()
        self.keep = keep
        self.arrays = arrays


cdef inline Py_ssize_t _step(
    const Py_ssize_t[::1] offsets, Py_ssize_t b, Py_ssize_t s, bint reverse
) except -1 nogil:
    """Where the s-th step that a direction reads of sequence b stands among all steps."""
    return offsets[b + 1] - 1 - s if reverse else offsets[b] + s


cdef inline Py_ssize_t _length(const Py_ssize_t[::1] offsets, Py_ssize_t b) except -1 nogil:
    return offsets[b + 1] - offsets[b]


# Forward ----------------------------------------------------------------------------------------

def forward_scan(_Layer layer not None, projection, rows, offsets, str keep, bint hidden):
    """Run the cell over every sequence; see `lrplstm.scans`."""
    cdef _Direction direction
    if keep not in KEEP:
        raise ValueError(f"keep: expected one of {KEEP}, got {keep!r}")
    projection = _check_rows("projection", projection, layer.projected(), layer.dtype)
    _check_steps(rows, offsets, len(projection))
    dtype, B = layer.dtype, len(offsets) - 1
    final = np.empty((B, layer.width), dtype)
    states = np.empty((len(rows) if hidden else 0, layer.width), dtype)
    lanes = min(B, _TILE_LANES)
    # For each lane a row of pre-activations, h and c.
    scratch = _zeros((lanes, layer.stride + 2 * layer.padded), dtype)
    starts = np.empty(lanes, np.intp)
    trace_shape = (0 if keep == "nothing" else len(rows), _TRACE_ROWS[keep], layer.padded)
    arrays = []
    for direction in layer.directions:
        trace = _aligned(np.empty, trace_shape, dtype)
        arguments = (
            projection, direction.first_projected, rows, offsets, direction.reverse,
            direction.recurrent.panels, direction.recurrent.vectors, layer.hidden_size,
            direction.initial_projected, direction.initial_hidden, direction.initial_cell,
            scratch, starts, direction.first_state, final, states, trace,
        )
        if dtype == np.float32:
            _forward[float](*arguments)
        else:
            _forward[double](*arguments)
        arrays.append(trace)
    return ForwardResult(
        final,
        states if hidden else None,
        None if keep == "nothing" else _Trace(layer, projection, rows, offsets, keep, arrays),
    )


cdef int _forward(
    const real[:, ::1] projection,
    Py_ssize_t first_projected,
    const Py_ssize_t[::1] rows,
    const Py_ssize_t[::1] offsets,
    bint reverse,
    const real[::1] panels,
    Py_ssize_t vectors,
    Py_ssize_t H,
    const real[::1] initial_projected,
    const real[::1] initial_hidden,
    const real[::1] initial_cell,
    real[:, ::1] scratch,
    Py_ssize_t[::1] starts,
    Py_ssize_t first_state,
    real[:, ::1] final,
    real[:, ::1] states,
    real[:, :, ::1] trace,
) except -1:
    cdef Py_ssize_t B = offsets.shape[0] - 1, lanes = scratch.shape[0], step = scratch.shape[1]
    cdef Py_ssize_t stride = initial_projected.shape[0], padded = initial_hidden.shape[0]
    cdef Py_ssize_t first = 0, active, s, l, j, t, row = 0, work = 0
    cdef real* a
    cdef real* h
    cdef real* c
    cdef real* step_trace = NULL
    with nogil:
        while first < B:
            active = min(lanes, B - first)
            for l in range(active):
                memcpy(&scratch[l, stride], &initial_hidden[0], padded * sizeof(real))
                memcpy(&scratch[l, stride + padded], &initial_cell[0], padded * sizeof(real))
            s = 0
            while True:
                while active > 0 and _length(offsets, first + active - 1) <= s:
                    active -= 1
                if active == 0:
                    break
                for l in range(active):
                    t = _step(offsets, first + l, s, reverse)
                    starts[l] = rows[t] * projection.shape[1] + first_projected
                    if _length(offsets, first + l) > s + 1:
                        t = _step(offsets, first + l, s + 1, reverse)
                        prefetch(&projection[rows[t], first_projected], 4 * H)
                # a = W_ih x_t + b + W_hh h_{t-1}
                if s == 0:
                    for l in range(active):
                        a = &scratch[l, 0]
                        t = _step(offsets, first + l, s, reverse)
                        for j in range(stride):
                            a[j] = projection[rows[t], first_projected + j] + initial_projected[j]
                else:
                    multiply(
                        &scratch[0, stride], step, 1, 0, &panels[0], H, vectors, &projection[0, 0],
                        &starts[0], &scratch[0, 0], step, active,
                    )
                for l in range(active):
                    a = &scratch[l, 0]
                    h = &scratch[l, stride]
                    c = &scratch[l, stride + padded]
                    if trace.shape[1] > 0:
                        step_trace = &trace[row, 0, 0]
                        row += 1
                    _cell(a, H, padded, h, c, step_trace, trace.shape[1])
                    if states.shape[0] > 0:
                        t = _step(offsets, first + l, s, reverse)
                        memcpy(&states[t, first_state], h, H * sizeof(real))
                # Those that end here.
                s += 1
                for l in range(active - 1, -1, -1):
                    if _length(offsets, first + l) > s:
                        break
                    memcpy(&final[first + l, first_state], &scratch[l, stride], H * sizeof(real))
                _poll(&work, active * panels.shape[0])
            first += lanes
    return 0


cdef inline void _cell(
    const real* a, Py_ssize_t H, Py_ssize_t padded, real* h, real* c,
    real* trace, Py_ssize_t trace_rows,
) noexcept nogil:
    """Take h and c of one sequence one step on, given the pre-activations of i, f, g and o."""
    cdef Py_ssize_t block, u, v
    cdef real kept[UNITS]
    cdef real added[UNITS]
    cdef real cell[UNITS]
    cdef real hidden[UNITS]
    cdef real one = 1
    for block in range(padded // UNITS):
        u = block * UNITS
        for v in range(UNITS):  # f c_{t-1}
            kept[v] = c[u + v] / (one + exp(clip(-a[H + u + v])))
        for v in range(UNITS):  # i g
            added[v] = sigmoid_tanh(a[u + v], a[2 * H + u + v])
        for v in range(UNITS):
            cell[v] = kept[v] + added[v]
        for v in range(UNITS):  # o tanh(c)
            hidden[v] = sigmoid_tanh(a[3 * H + u + v], cell[v])
        if trace_rows == RELEVANCE_ROWS:
            for v in range(UNITS):
                trace[KEPT * padded + u + v] = kept[v]
            for v in range(UNITS):
                trace[ADDED * padded + u + v] = added[v]
            for v in range(UNITS):
                trace[CANDIDATE * padded + u + v] = a[2 * H + u + v]
            for v in range(UNITS):
                trace[HIDDEN_BEFORE * padded + u + v] = h[u + v]
        elif trace_rows == GRADIENT_ROWS:
            _derivatives(a, H, padded, u, kept, added, cell, hidden, trace)
        for v in range(UNITS):
            h[u + v] = hidden[v]
        for v in range(UNITS):
            c[u + v] = cell[v]


cdef inline void _derivatives(
    const real* a, Py_ssize_t H, Py_ssize_t padded, Py_ssize_t u, const real* kept,
    const real* added, const real* cell, const real* hidden, real* trace,
) noexcept nogil:
    """Keep what the gradient is multiplied with on its way from h and c to the pre-activations."""
    cdef Py_ssize_t v
    cdef real gate[UNITS]
    cdef real signal[UNITS]
    cdef real one = 1
    for v in range(UNITS):
        gate[v] = sigmoid(a[3 * H + u + v])
    for v in range(UNITS):
        signal[v] = tanh(cell[v])
    for v in range(UNITS):  # o (1 - tanh(c)^2)
        trace[DC_DH * padded + u + v] = gate[v] * (one - signal[v] * signal[v])
    for v in range(UNITS):  # tanh(c) o (1 - o)
        trace[DA_O * padded + u + v] = hidden[v] * (one - gate[v])
    for v in range(UNITS):
        gate[v] = sigmoid(a[u + v])
    for v in range(UNITS):
        signal[v] = tanh(a[2 * H + u + v])
    for v in range(UNITS):  # g i (1 - i)
        trace[DA_I * padded + u + v] = added[v] * (one - gate[v])
    for v in range(UNITS):  # i (1 - g^2)
        trace[DA_G * padded + u + v] = gate[v] * (one - signal[v] * signal[v])
    for v in range(UNITS):
        gate[v] = sigmoid(a[H + u + v])
    for v in range(UNITS):  # c_{t-1} f (1 - f)
        trace[DA_F * padded + u + v] = kept[v] * (one - gate[v])
    for v in range(UNITS):
        trace[FORGET * padded + u + v] = gate[v]


# What the ways back share -----------------------------------------------------------------------

cdef tuple _check_way_back(_Trace trace, str keep, final, hidden):
    """Check the arguments that both have; return final and hidden as arrays of all targets."""
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
    if hidden is None:
        hidden = np.empty((len(final), 0, width), dtype)
    if len(final) != len(hidden):
        raise ValueError(f"expected one number of targets, got {len(final)} and {len(hidden)}")
    return final, hidden


cdef inline void _add(real* y, const real* x, Py_ssize_t n) noexcept nogil:
    cdef Py_ssize_t j
    for j in range(n):
        y[j] += x[j]


# LRP --------------------------------------------------------------------------------------------

def lrp_scan(_Trace trace not None, final_relevance, hidden_relevance, inputs, rule):
    """Run relevance back over every sequence, product rule "all"; see `lrplstm.scans`."""
    cdef _Layer layer = trace.layer
    cdef _Direction direction
    cdef _Matrix recurrent, below
    final, hidden = _check_way_back(trace, "relevance", final_relevance, hidden_relevance)
    rows, offsets, dtype = trace.rows, trace.offsets, layer.dtype
    D, H = layer.input_size, layer.hidden_size
    K, B, steps = len(final), len(offsets) - 1, len(rows)
    if inputs is not None:
        inputs = _check_rows("inputs", inputs, D, dtype)
        _check("inputs", inputs, (steps, D), dtype)
    # Summed over D, or W_ih.T @ q and the share of each input.
    token = np.zeros((K, steps), dtype)
    R_x = np.zeros((K, 0 if inputs is None else steps, D), dtype)
    initial = np.zeros((K, B), dtype)
    lanes, targets = min(B, _TILE_LANES), min(K, _TARGETS)
    # For each lane and target W_hh.T @ q, R_c and q; behind them one row for the relevance given.
    scratch = _zeros((lanes * targets + 1, 3 * layer.padded), dtype)
    share = np.empty(lanes * targets, dtype)
    starts = np.zeros(lanes * targets, np.intp)
    R_x_rows = _zeros((0 if inputs is None else lanes * targets, len(layer.zero)), dtype)
    for direction, kept in zip(layer.directions, trace.arrays):
        recurrent = direction.matrix("candidate_recurrent")
        below = recurrent if inputs is None else direction.matrix("candidate_inputs")
        for first in range(0, K, targets):
            some = slice(first, first + targets)
            arguments = (
                kept, trace.projection, direction.first_projected + 2 * H, rows, offsets,
                direction.reverse, final[some], hidden[some], direction.first_state,
                direction.bias_g, direction.initial_projected[2 * H:2 * H + layer.padded],
                layer.mask, layer.zero, recurrent.panels, recurrent.vectors, below.panels,
                below.vectors, H, D, rule.epsilon, rule.bias_factor, rule.epsilon_factor,
                scratch, share, starts, lanes, R_x_rows, token[some], R_x[some], initial[some],
            )
            if dtype == np.float32:
                _lrp[float](*arguments)
            else:
                _lrp[double](*arguments)
    if inputs is None:
        return LRPResult(token, None, initial)
    R_x *= inputs
    R_x += token[..., np.newaxis]
    return LRPResult(None, R_x, initial)


cdef int _lrp(
    const real[:, :, ::1] trace,
    const real[:, ::1] projection,
    Py_ssize_t first_projected,
    const Py_ssize_t[::1] rows,
    const Py_ssize_t[::1] offsets,
    bint reverse,
    const real[:, :, ::1] final,
    const real[:, :, ::1] hidden,
    Py_ssize_t first_state,
    const real[::1] bias_g,
    const real[::1] initial_projected,
    const real[::1] mask,
    const real[::1] zero,
    const real[::1] panels,
    Py_ssize_t vectors,
    const real[::1] input_panels,
    Py_ssize_t input_vectors,
    Py_ssize_t H,
    Py_ssize_t D,
    real epsilon,
    real bias_factor,
    real epsilon_factor,
    real[:, ::1] scratch,
    real[::1] share,
    const Py_ssize_t[::1] starts,
    Py_ssize_t lanes,
    real[:, ::1] R_x_rows,
    real[:, ::1] token,
    real[:, :, ::1] R_x,
    real[:, ::1] initial,
) except -1:
    cdef Py_ssize_t B = offsets.shape[0] - 1, K = final.shape[0], padded = mask.shape[0]
    cdef Py_ssize_t first = 0, size, active, after, s, l, k, t, before, r
    cdef Py_ssize_t step = scratch.shape[1], row = 0, work = 0
    cdef bint conserving = bias_factor != 0 or epsilon_factor != 0
    cdef real of_token
    cdef const real* h
    cdef real* W_q
    cdef real* R_c
    cdef real* q
    cdef real* given = &scratch[scratch.shape[0] - 1, 0]
    with nogil:
        while first < B:
            size = min(lanes, B - first)
            for r in range(size * K):
                # R_h = 1 * final + 0, until there is a step after it.
                W_q = &scratch[r, 0]
                memcpy(W_q, &zero[0], padded * sizeof(real))
                memcpy(W_q, &final[r % K, first + r // K, first_state], H * sizeof(real))
                memcpy(&scratch[r, padded], &zero[0], padded * sizeof(real))
                share[r] = 0
            # Backwards through the rows of the trace that the forward scan wrote.
            row += offsets[first + size] - offsets[first]
            active = after = 0
            for s in range(_length(offsets, first) - 1, -1, -1):
                while active < size and _length(offsets, first + active) > s:
                    active += 1
                row -= active
                for l in range(active):
                    t = _step(offsets, first + l, s, reverse)
                    h = &trace[row + active + l, HIDDEN_BEFORE, 0] if l < after else &mask[0]
                    if s > 0:
                        prefetch(&trace[row - active + l, 0, 0], RELEVANCE_ROWS * padded)
                        before = _step(offsets, first + l, s - 1, reverse)
                        prefetch(&projection[rows[before], first_projected], padded)
                    for k in range(K):
                        r = l * K + k
                        W_q = &scratch[r, 0]
                        R_c = &scratch[r, padded]
                        q = &scratch[r, 2 * padded]
                        if hidden.shape[1] > 0:
                            memcpy(given, &hidden[k, t, first_state], H * sizeof(real))
                        _lrp_step(
                            &trace[row + l, 0, 0], padded, H, D, h, W_q, given, R_c, q,
                            &mask[0], &bias_g[0], &projection[rows[t], first_projected],
                            epsilon, bias_factor, epsilon_factor, conserving, &share[r], &of_token,
                        )
                        # R_x = x * (W_ih^g.T @ q) + share, or its sum over the D inputs
                        token[k, t] += share[r] if R_x.shape[1] > 0 else of_token
                after = active
                if R_x.shape[1] > 0:
                    multiply(
                        &scratch[0, 2 * padded], step, 1, 0, &input_panels[0], H, input_vectors,
                        &zero[0], &starts[0], &R_x_rows[0, 0], R_x_rows.shape[1], active * K,
                    )
                    for r in range(active * K):
                        t = _step(offsets, first + r // K, s, reverse)
                        _add(&R_x[r % K, t, 0], &R_x_rows[r, 0], D)
                if s > 0:
                    multiply(
                        &scratch[0, 2 * padded], step, 1, 0, &panels[0], H, vectors, &zero[0],
                        &starts[0], &scratch[0, 0], step, active * K,
                    )
                _poll(&work, active * K * panels.shape[0])
            row += offsets[first + size] - offsets[first]
            for r in range(size * K):
                initial[r % K, first + r // K] += H * share[r] + _initial_relevance(
                    padded, &scratch[r, padded], &scratch[r, 2 * padded], &initial_projected[0]
                )
            first += lanes
    return 0


cdef inline void _lrp_step(
    const real* trace, Py_ssize_t padded, Py_ssize_t H, Py_ssize_t D, const real* h,
    const real* W_q, const real* given, real* R_c, real* q, const real* mask, const real* bias_g,
    const real* projection_g, real epsilon, real bias_factor, real epsilon_factor,
    bint conserving, real* share, real* token,
) noexcept nogil:
    """Take relevance of one step, of one sequence and target, down.

    From the step after it come W_q = W_hh^g.T @ q, `share` and R_c, which are replaced by this
    step's; so is q. `token` becomes the sum over D of x * (W_ih^g.T @ q) + share, which is
    q . (W_ih^g @ x) + D share.
    """
    cdef const real* kept = trace + KEPT * padded
    cdef const real* added = trace + ADDED * padded
    cdef const real* candidate = trace + CANDIDATE * padded
    cdef Py_ssize_t block, u, v
    cdef real share_h = share[0], share_c = 0
    cdef real sums[UNITS]
    cdef real q_c[UNITS]
    cdef real q_g[UNITS]

    # c_t = f c_{t-1} + i g: identity weights, no bias, 2H units.
    if conserving:
        for v in range(UNITS):
            sums[v] = 0
        for block in range(padded // UNITS):
            u = block * UNITS
            _relevance_of_cell(u, h, W_q, share_h, mask, given, R_c, q_c)
            for v in range(UNITS):
                sums[v] += _kept_share(kept[u + v] + added[u + v], q_c[v], epsilon, epsilon_factor)
        share_c = _total(sums) / (2 * H)
    for v in range(UNITS):
        sums[v] = 0
    for block in range(padded // UNITS):
        u = block * UNITS
        _relevance_of_cell(u, h, W_q, share_h, mask, given, R_c, q_g)
        for v in range(UNITS):
            q_c[v] = _quotient(kept[u + v] + added[u + v], q_g[v], epsilon)
        for v in range(UNITS):  # to f c_{t-1}, and all of it to c_{t-1}
            R_c[u + v] = kept[u + v] * q_c[v] + share_c * mask[u + v]
        for v in range(UNITS):  # to i g, and all of it to g
            q_c[v] = added[u + v] * q_c[v] + share_c * mask[u + v]
        # a^g = W_ih^g x_t + W_hh^g h_{t-1} + b^g: D + H units.
        for v in range(UNITS):
            q_g[v] = _quotient(candidate[u + v], q_c[v], epsilon)
        for v in range(UNITS):
            sums[v] += q_g[v] * (projection_g[u + v] - bias_g[u + v])
        for v in range(UNITS):
            q[u + v] = q_g[v]
    token[0] = _total(sums)
    share[0] = 0
    if conserving:
        for v in range(UNITS):
            sums[v] = 0
        for block in range(padded // UNITS):
            u = block * UNITS
            for v in range(UNITS):
                sums[v] += q[u + v] * (
                    bias_factor * bias_g[u + v]
                    + epsilon_factor * _stabilizer(candidate[u + v], epsilon)
                )
        share[0] = _total(sums) / (D + H)
        token[0] += D * share[0]


cdef inline void _relevance_of_cell(
    Py_ssize_t u, const real* h, const real* W_q, real share, const real* mask, const real* given,
    const real* R_c, real* found,
) noexcept nogil:
    """R_h = h * (W_hh^g.T @ q) + share, and h = o tanh(c) gives it all to c."""
    cdef Py_ssize_t v
    for v in range(UNITS):
        found[v] = R_c[u + v] + h[u + v] * W_q[u + v] + share * mask[u + v] + given[u + v]


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


# Gradient ---------------------------------------------------------------------------------------

def gradient_scan(_Trace trace not None, final_gradient, hidden_gradient, bint times_input):
    """Run gradients back over every sequence; see `lrplstm.scans`."""
    cdef _Layer layer = trace.layer
    cdef _Direction direction
    cdef _Matrix recurrent, below
    final, hidden = _check_way_back(trace, "gradient", final_gradient, hidden_gradient)
    rows, offsets, dtype = trace.rows, trace.offsets, layer.dtype
    D, H = layer.input_size, layer.hidden_size
    K, B, steps = len(final), len(offsets) - 1, len(rows)
    token = np.zeros((K, steps if times_input else 0), dtype)
    dx = np.zeros((K, 0 if times_input else steps, D), dtype)
    initial = np.empty((2, K, B, layer.width), dtype)
    lanes, targets = min(B, _TILE_LANES), min(K, _TARGETS)
    # For each lane and target dh, dc and the gradients of the four pre-activations.
    scratch = _zeros((lanes * targets, 6 * layer.padded), dtype)
    starts = np.zeros(lanes * targets, np.intp)
    dx_rows = _zeros((0 if times_input else lanes * targets, len(layer.zero)), dtype)
    for direction, kept in zip(layer.directions, trace.arrays):
        recurrent = direction.matrix("recurrent_back")
        below = recurrent if times_input else direction.matrix("inputs_back")
        for first in range(0, K, targets):
            some = slice(first, first + targets)
            arguments = (
                kept, trace.projection, direction.first_projected, rows, offsets,
                direction.reverse, final[some], hidden[some], direction.first_state,
                direction.bias, layer.zero, recurrent.panels, recurrent.vectors, below.panels,
                below.vectors, H, D, scratch, starts, lanes, dx_rows,
                token[some], dx[some], initial[0, some], initial[1, some],
            )
            if dtype == np.float32:
                _gradient[float](*arguments)
            else:
                _gradient[double](*arguments)
    return GradientResult(
        token if times_input else None, None if times_input else dx, initial[0], initial[1]
    )


cdef int _gradient(
    const real[:, :, ::1] trace,
    const real[:, ::1] projection,
    Py_ssize_t first_projected,
    const Py_ssize_t[::1] rows,
    const Py_ssize_t[::1] offsets,
    bint reverse,
    const real[:, :, ::1] final,
    const real[:, :, ::1] hidden,
    Py_ssize_t first_state,
    const real[::1] bias,
    const real[::1] zero,
    const real[::1] panels,
    Py_ssize_t vectors,
    const real[::1] input_panels,
    Py_ssize_t input_vectors,
    Py_ssize_t H,
    Py_ssize_t D,
    real[:, ::1] scratch,
    const Py_ssize_t[::1] starts,
    Py_ssize_t lanes,
    real[:, ::1] dx_rows,
    real[:, ::1] token,
    real[:, :, ::1] dx,
    real[:, :, ::1] initial_hidden,
    real[:, :, ::1] initial_cell,
) except -1:
    cdef Py_ssize_t B = offsets.shape[0] - 1, K = final.shape[0], padded = trace.shape[2]
    cdef Py_ssize_t first = 0, size, active, s, l, k, t, r, j
    cdef Py_ssize_t step = scratch.shape[1], row = 0, work = 0
    cdef real* dh
    cdef real* dc
    cdef real* da
    with nogil:
        while first < B:
            size = min(lanes, B - first)
            for r in range(size * K):
                dh = &scratch[r, 0]
                memcpy(dh, &zero[0], padded * sizeof(real))
                memcpy(dh, &final[r % K, first + r // K, first_state], H * sizeof(real))
                memcpy(&scratch[r, padded], &zero[0], padded * sizeof(real))
            row += offsets[first + size] - offsets[first]
            active = 0
            for s in range(_length(offsets, first) - 1, -1, -1):
                while active < size and _length(offsets, first + active) > s:
                    active += 1
                row -= active
                for l in range(active):
                    t = _step(offsets, first + l, s, reverse)
                    if s > 0:
                        prefetch(&trace[row - active + l, 0, 0], GRADIENT_ROWS * padded)
                    for k in range(K):
                        r = l * K + k
                        dh = &scratch[r, 0]
                        dc = &scratch[r, padded]
                        da = &scratch[r, 2 * padded]
                        if hidden.shape[1] > 0:
                            _add(dh, &hidden[k, t, first_state], H)
                        _gradient_step(&trace[row + l, 0, 0], padded, dh, dc, da)
                        if token.shape[1] > 0:
                            token[k, t] += _times_projection(
                                H, padded, da, &projection[rows[t], first_projected], &bias[0]
                            )
                if dx.shape[1] > 0:  # dx = W_ih.T @ da
                    multiply(
                        &scratch[0, 2 * padded], step, 4, padded, &input_panels[0], H,
                        input_vectors, &zero[0], &starts[0], &dx_rows[0, 0], dx_rows.shape[1],
                        active * K,
                    )
                    for r in range(active * K):
                        t = _step(offsets, first + r // K, s, reverse)
                        _add(&dx[r % K, t, 0], &dx_rows[r, 0], D)
                # dh[t-1] = W_hh.T @ da
                multiply(
                    &scratch[0, 2 * padded], step, 4, padded, &panels[0], H, vectors, &zero[0],
                    &starts[0], &scratch[0, 0], step, active * K,
                )
                _poll(&work, active * K * panels.shape[0])
            row += offsets[first + size] - offsets[first]
            for r in range(size * K):
                for j in range(H):
                    initial_hidden[r % K, first + r // K, first_state + j] = scratch[r, j]
                    initial_cell[r % K, first + r // K, first_state + j] = scratch[r, padded + j]
            first += lanes
    return 0


cdef inline void _gradient_step(
    const real* trace, Py_ssize_t padded, const real* dh, real* dc, real* da
) noexcept nogil:
    """Take the gradients of h_t and c_t to those of c_{t-1} and of the pre-activations."""
    cdef Py_ssize_t block, u, v
    cdef real found[UNITS]
    for block in range(padded // UNITS):
        u = block * UNITS
        for v in range(UNITS):
            found[v] = dc[u + v] + dh[u + v] * trace[DC_DH * padded + u + v]
        for v in range(UNITS):
            da[u + v] = found[v] * trace[DA_I * padded + u + v]
        for v in range(UNITS):
            da[padded + u + v] = found[v] * trace[DA_F * padded + u + v]
        for v in range(UNITS):
            da[2 * padded + u + v] = found[v] * trace[DA_G * padded + u + v]
        for v in range(UNITS):
            da[3 * padded + u + v] = dh[u + v] * trace[DA_O * padded + u + v]
        for v in range(UNITS):
            dc[u + v] = found[v] * trace[FORGET * padded + u + v]


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
