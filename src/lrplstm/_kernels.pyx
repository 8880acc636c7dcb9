"""A backend, compiled: the same names, arguments and results as in `_reference`.

Each scan has three parts: a `def` that checks what it is given and makes the outputs, a loop over
sequences without the GIL, and one function that takes one sequence through the formulas. Rows are
contiguous, and every product of a matrix and a vector adds multiples of whole rows, so that the
inner loops are vectors without any reordering of sums.
"""

from cython cimport floating as real
from libc.math cimport exp, expf, tanh, tanhf

import numpy as np

from lrplstm.scans import GradientResult, LRPResult, Trace

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

INSTRUCTION_SET = LRPLSTM_INSTRUCTION_SET.decode()
BOUNDSCHECK = bool(LRPLSTM_BOUNDSCHECK)


# What a scan is given ---------------------------------------------------------------------------

def _check(str name, array, tuple shape, dtype):
    """Refuse an array that the loops below would read out of bounds or misread."""
    if not isinstance(array, np.ndarray):
        raise TypeError(f"{name}: expected an ndarray, got {type(array).__name__}")
    if array.dtype != dtype:
        raise TypeError(f"{name}: expected dtype {dtype}, got {array.dtype}")
    if array.shape != shape:
        raise ValueError(f"{name}: expected shape {shape}, got {array.shape}")


def _check_offsets(offsets, Py_ssize_t steps):
    if not isinstance(offsets, np.ndarray) or offsets.dtype != np.intp or offsets.ndim != 1:
        raise TypeError("offsets: expected a 1-dimensional ndarray of intp")
    if (
        len(offsets) < 2
        or offsets[0] != 0
        or offsets[len(offsets) - 1] != steps
        or not (offsets[1:] > offsets[:len(offsets) - 1]).all()
    ):
        raise ValueError(f"offsets: expected to rise from 0 to {steps}")


def _check_scan(projection_name, projection, weights, offsets):
    """Check a scan's first arguments; return the number of steps and the weights' arrays."""
    weight_hh, bias = weights.weight_hh, weights.bias
    initial_hidden, initial_cell = weights.initial_hidden, weights.initial_cell
    if not isinstance(weight_hh, np.ndarray) or weight_hh.ndim != 2:
        raise TypeError("weight_hh: expected a 2-dimensional ndarray")
    if not isinstance(projection, np.ndarray) or projection.ndim != 2:
        raise TypeError(f"{projection_name}: expected a 2-dimensional ndarray")
    steps, H, dtype = len(projection), weight_hh.shape[1], weight_hh.dtype
    _check(projection_name, projection, (steps, 4 * H), dtype)
    _check("weight_hh", weight_hh, (4 * H, H), dtype)
    _check("bias", bias, (4 * H,), dtype)
    _check("initial_hidden", initial_hidden, (H,), dtype)
    _check("initial_cell", initial_cell, (H,), dtype)
    _check_offsets(offsets, steps)
    return steps, weight_hh, bias, initial_hidden, initial_cell


def _check_trace(trace, Py_ssize_t steps, Py_ssize_t H, dtype):
    """Check what a forward scan left; return it contiguous."""
    gates, candidate, cell, hidden = trace
    _check("gates", gates, (steps, 4 * H), dtype)
    _check("candidate", candidate, (steps, H), dtype)
    _check("cell", cell, (steps, H), dtype)
    _check("hidden", hidden, (steps, H), dtype)
    return tuple(np.ascontiguousarray(array) for array in (gates, candidate, cell, hidden))


def _check_hidden(name, hidden, Py_ssize_t steps, Py_ssize_t H, dtype):
    """Check what goes into a backward scan; return it contiguous."""
    if not isinstance(hidden, np.ndarray) or hidden.ndim != 3:
        raise TypeError(f"{name}: expected a 3-dimensional ndarray")
    _check(name, hidden, (len(hidden), steps, H), dtype)
    return np.ascontiguousarray(hidden)


# Activations and the stabilizer -----------------------------------------------------------------

cdef inline real _exp(real a) noexcept nogil:
    if real is float:
        return expf(a)
    else:
        return exp(a)


cdef inline real _tanh(real a) noexcept nogil:
    if real is float:
        return tanhf(a)
    else:
        return tanh(a)


cdef inline real _sigmoid(real a) noexcept nogil:
    return 1 / (1 + _exp(-a))


cdef inline real _stabilizer(real z, real epsilon) noexcept nogil:
    return epsilon if z >= 0 else -epsilon


cdef inline real _quotient(real z, real relevance, real epsilon) noexcept nogil:
    """q = R / (z + eps(z)), and 0 where that denominator is 0."""
    cdef real denominator = z + _stabilizer(z, epsilon)
    return relevance / denominator if denominator != 0 else 0


# Product ----------------------------------------------------------------------------------------

def product(a, b):
    """Multiply many rows by one matrix; see `lrplstm.scans`.

    Unlike a BLAS it adds up each number in one order, whatever the shape of the rest, and runs in
    the caller's thread.
    """
    if not isinstance(a, np.ndarray) or a.ndim < 2:
        raise TypeError("a: expected an ndarray of at least 2 dimensions")
    if not isinstance(b, np.ndarray) or b.ndim != 2:
        raise TypeError("b: expected a 2-dimensional ndarray")
    if b.dtype != np.float32 and b.dtype != np.float64:
        raise TypeError(f"b: expected float32 or float64, got {b.dtype}")
    if 0 in a.shape or 0 in b.shape:
        raise ValueError(f"a, b: expected sizes from 1, got shapes {a.shape} and {b.shape}")
    n, columns = b.shape
    _check("a", a, (*a.shape[:a.ndim - 1], n), b.dtype)
    result = np.empty((*a.shape[:a.ndim - 1], columns), b.dtype)
    arguments = (
        np.ascontiguousarray(a).reshape(-1, n), np.ascontiguousarray(b),
        result.reshape(-1, columns),
    )
    if b.dtype == np.float32:
        _product[float](*arguments)
    else:
        _product[double](*arguments)
    return result


cdef int _product(const real[:, ::1] a, const real[:, ::1] b, real[:, ::1] out) except -1:
    cdef Py_ssize_t i
    with nogil:
        for i in range(a.shape[0]):
            out[i, :] = 0
            _add_product(a[i], b, out[i])
    return 0


cdef int _add_product(const real[::1] x, const real[:, ::1] b, real[::1] y) except -1 nogil:
    """y += x @ b: to y are added x_k times row k of b, four rows in one go, in their order."""
    cdef Py_ssize_t n = x.shape[0], k, j
    cdef real x_0, x_1, x_2, x_3
    for k in range(0, n - 3, 4):
        x_0 = x[k]
        x_1 = x[k + 1]
        x_2 = x[k + 2]
        x_3 = x[k + 3]
        for j in range(y.shape[0]):
            y[j] = (
                (((y[j] + x_0 * b[k, j]) + x_1 * b[k + 1, j]) + x_2 * b[k + 2, j])
                + x_3 * b[k + 3, j]
            )
    for k in range(n - n % 4, n):
        x_0 = x[k]
        for j in range(y.shape[0]):
            y[j] += x_0 * b[k, j]
    return 0


# Forward ----------------------------------------------------------------------------------------

def forward_scan(projection, weights, offsets, bint reverse):
    """Run the cell over every sequence; see `lrplstm.scans`."""
    steps, weight_hh, bias, initial_hidden, initial_cell = _check_scan(
        "projection", projection, weights, offsets
    )
    H, dtype = weight_hh.shape[1], weight_hh.dtype
    trace = Trace(
        np.empty((steps, 4 * H), dtype),
        np.empty((steps, H), dtype),
        np.empty((steps, H), dtype),
        np.empty((steps, H), dtype),
    )
    scratch = np.empty((2, H), dtype)
    arguments = (
        np.ascontiguousarray(projection), np.ascontiguousarray(weight_hh.T), bias,
        initial_hidden, initial_cell, offsets, reverse, *trace, scratch,
    )
    if dtype == np.float32:
        _forward[float](*arguments)
    else:
        _forward[double](*arguments)
    return trace


cdef int _forward(
    const real[:, ::1] projection,
    const real[:, ::1] weight_hh_t,
    const real[::1] bias,
    const real[::1] initial_hidden,
    const real[::1] initial_cell,
    const Py_ssize_t[::1] offsets,
    bint reverse,
    real[:, ::1] gates,
    real[:, ::1] candidate,
    real[:, ::1] cell,
    real[:, ::1] hidden,
    real[:, ::1] scratch,
) except -1:
    cdef Py_ssize_t b
    with nogil:
        for b in range(offsets.shape[0] - 1):
            _forward_sequence(
                projection, weight_hh_t, bias, initial_hidden, initial_cell,
                offsets[b], offsets[b + 1], reverse,
                gates, candidate, cell, hidden, scratch[0], scratch[1],
            )
    return 0


cdef int _forward_sequence(
    const real[:, ::1] projection,
    const real[:, ::1] weight_hh_t,
    const real[::1] bias,
    const real[::1] initial_hidden,
    const real[::1] initial_cell,
    Py_ssize_t start,
    Py_ssize_t stop,
    bint reverse,
    real[:, ::1] gates,
    real[:, ::1] candidate,
    real[:, ::1] cell,
    real[:, ::1] hidden,
    real[::1] h,
    real[::1] c,
) except -1 nogil:
    cdef Py_ssize_t H = h.shape[0], step, t, j
    cdef real i, f, g, o
    h[:] = initial_hidden
    c[:] = initial_cell
    for step in range(stop - start):
        t = stop - 1 - step if reverse else start + step
        # a = W_ih x + b + W_hh h, kept in the row of the gates until they replace it
        for j in range(4 * H):
            gates[t, j] = projection[t, j] + bias[j]
        _add_product(h, weight_hh_t, gates[t])
        for j in range(H):
            candidate[t, j] = gates[t, 2 * H + j]
            i = _sigmoid(gates[t, j])
            f = _sigmoid(gates[t, H + j])
            g = _tanh(gates[t, 2 * H + j])
            o = _sigmoid(gates[t, 3 * H + j])
            gates[t, j] = i
            gates[t, H + j] = f
            gates[t, 2 * H + j] = g
            gates[t, 3 * H + j] = o
            c[j] = f * c[j] + i * g
            h[j] = o * _tanh(c[j])
            cell[t, j] = c[j]
            hidden[t, j] = h[j]
    return 0


# LRP --------------------------------------------------------------------------------------------

def lrp_scan(trace, weights, offsets, bint reverse, hidden_relevance, rule):
    """Run relevance back over every sequence, product rule "all"; see `lrplstm.scans`."""
    gates, _, _, _ = trace
    steps, weight_hh, bias, initial_hidden, initial_cell = _check_scan(
        "gates", gates, weights, offsets
    )
    H, dtype = weight_hh.shape[1], weight_hh.dtype
    gates, candidate, cell, hidden = _check_trace(trace, steps, H, dtype)
    hidden_relevance = _check_hidden("hidden_relevance", hidden_relevance, steps, H, dtype)
    K = len(hidden_relevance)
    result = LRPResult(
        np.empty((K, steps, H), dtype),
        np.empty((K, steps), dtype),
        np.empty((K, len(offsets) - 1), dtype),
    )
    scratch = np.empty((3, H), dtype)
    arguments = (
        gates, candidate, cell, hidden, weight_hh[2 * H:3 * H], bias[2 * H:3 * H],
        initial_hidden, initial_cell, offsets, reverse, hidden_relevance,
        rule.epsilon, rule.bias_factor, rule.epsilon_factor, weights.input_size + H,
        *result, scratch,
    )
    if dtype == np.float32:
        _lrp[float](*arguments)
    else:
        _lrp[double](*arguments)
    return result


cdef int _lrp(
    const real[:, ::1] gates,
    const real[:, ::1] candidate,
    const real[:, ::1] cell,
    const real[:, ::1] hidden,
    const real[:, ::1] weight_g,
    const real[::1] bias_g,
    const real[::1] initial_hidden,
    const real[::1] initial_cell,
    const Py_ssize_t[::1] offsets,
    bint reverse,
    const real[:, :, ::1] hidden_relevance,
    real epsilon,
    real bias_factor,
    real epsilon_factor,
    Py_ssize_t lower_units_g,
    real[:, :, ::1] quotient,
    real[:, ::1] share,
    real[:, ::1] initial,
    real[:, ::1] scratch,
) except -1:
    cdef Py_ssize_t k, b
    with nogil:
        for k in range(hidden_relevance.shape[0]):
            for b in range(offsets.shape[0] - 1):
                _lrp_sequence(
                    gates, candidate, cell, hidden, weight_g, bias_g,
                    initial_hidden, initial_cell, offsets[b], offsets[b + 1], reverse,
                    hidden_relevance[k], epsilon, bias_factor, epsilon_factor, lower_units_g,
                    quotient[k], share[k], initial[k, b:b + 1],
                    scratch[0], scratch[1], scratch[2],
                )
    return 0


cdef int _lrp_sequence(
    const real[:, ::1] gates,
    const real[:, ::1] candidate,
    const real[:, ::1] cell,
    const real[:, ::1] hidden,
    const real[:, ::1] weight_g,
    const real[::1] bias_g,
    const real[::1] initial_hidden,
    const real[::1] initial_cell,
    Py_ssize_t start,
    Py_ssize_t stop,
    bint reverse,
    const real[:, ::1] hidden_relevance,
    real epsilon,
    real bias_factor,
    real epsilon_factor,
    Py_ssize_t lower_units_g,
    real[:, ::1] quotient,
    real[::1] share,
    real[::1] initial,
    real[::1] R_h,
    real[::1] R_c,
    real[::1] R_g,
) except -1 nogil:
    """Take relevance back over one sequence; R_h, R_c and R_g are scratch."""
    cdef Py_ssize_t H = R_h.shape[0], step, t, before, j
    cdef real q, c_before, h_before, kept, share_c
    R_h[:] = 0
    R_c[:] = 0
    for step in range(stop - start - 1, -1, -1):
        t = stop - 1 - step if reverse else start + step
        before = t + 1 if reverse else t - 1

        # h = o tanh(c): all to the signal. Then c_t = f c_{t-1} + i g: identity weights, no bias.
        kept = 0
        for j in range(H):
            R_c[j] += R_h[j] + hidden_relevance[t, j]
            q = _quotient(cell[t, j], R_c[j], epsilon)
            kept += epsilon_factor * _stabilizer(cell[t, j], epsilon) * q
            c_before = cell[before, j] if step > 0 else initial_cell[j]
            R_c[j] = gates[t, H + j] * c_before * q
            R_g[j] = gates[t, j] * gates[t, 2 * H + j] * q
        share_c = kept / (2 * H)

        # a^g = W_ih^g x_t + W_hh^g h_{t-1} + b^g
        kept = 0
        for j in range(H):
            R_c[j] += share_c
            q = _quotient(candidate[t, j], R_g[j] + share_c, epsilon)
            kept += q * (
                bias_factor * bias_g[j]
                + epsilon_factor * _stabilizer(candidate[t, j], epsilon)
            )
            quotient[t, j] = q
        share[t] = kept / lower_units_g
        R_h[:] = 0
        _add_product(quotient[t], weight_g, R_h)
        for j in range(H):
            h_before = hidden[before, j] if step > 0 else initial_hidden[j]
            R_h[j] = h_before * R_h[j] + share[t]
    initial[0] = 0
    for j in range(H):
        initial[0] += R_h[j] + R_c[j]
    return 0


# Gradient ---------------------------------------------------------------------------------------

def gradient_scan(trace, weights, offsets, bint reverse, hidden_gradient):
    """Run gradients back over every sequence; see `lrplstm.scans`."""
    gates, _, _, _ = trace
    steps, weight_hh, _, _, initial_cell = _check_scan("gates", gates, weights, offsets)
    H, dtype = weight_hh.shape[1], weight_hh.dtype
    gates, _, cell, _ = _check_trace(trace, steps, H, dtype)
    hidden_gradient = _check_hidden("hidden_gradient", hidden_gradient, steps, H, dtype)
    K, sequences = len(hidden_gradient), len(offsets) - 1
    result = GradientResult(
        np.empty((K, steps, 4 * H), dtype),
        np.empty((K, sequences, H), dtype),
        np.empty((K, sequences, H), dtype),
    )
    arguments = (
        gates, cell, weight_hh, initial_cell, offsets, reverse, hidden_gradient, *result,
    )
    if dtype == np.float32:
        _gradient[float](*arguments)
    else:
        _gradient[double](*arguments)
    return result


cdef int _gradient(
    const real[:, ::1] gates,
    const real[:, ::1] cell,
    const real[:, ::1] weight_hh,
    const real[::1] initial_cell,
    const Py_ssize_t[::1] offsets,
    bint reverse,
    const real[:, :, ::1] hidden_gradient,
    real[:, :, ::1] preactivation,
    real[:, :, ::1] initial_hidden_gradient,
    real[:, :, ::1] initial_cell_gradient,
) except -1:
    cdef Py_ssize_t k, b
    with nogil:
        for k in range(hidden_gradient.shape[0]):
            for b in range(offsets.shape[0] - 1):
                _gradient_sequence(
                    gates, cell, weight_hh, initial_cell, offsets[b], offsets[b + 1], reverse,
                    hidden_gradient[k], preactivation[k],
                    initial_hidden_gradient[k, b], initial_cell_gradient[k, b],
                )
    return 0


cdef int _gradient_sequence(
    const real[:, ::1] gates,
    const real[:, ::1] cell,
    const real[:, ::1] weight_hh,
    const real[::1] initial_cell,
    Py_ssize_t start,
    Py_ssize_t stop,
    bint reverse,
    const real[:, ::1] hidden_gradient,
    real[:, ::1] da,
    real[::1] dh,
    real[::1] dc,
) except -1 nogil:
    """Take the gradient back over one sequence; dh and dc end as those of the initial states."""
    cdef Py_ssize_t H = dh.shape[0], step, t, before, j
    cdef real i, f, g, o, tanh_c, c_before
    dh[:] = 0
    dc[:] = 0
    for step in range(stop - start - 1, -1, -1):
        t = stop - 1 - step if reverse else start + step
        before = t + 1 if reverse else t - 1
        for j in range(H):
            i = gates[t, j]
            f = gates[t, H + j]
            g = gates[t, 2 * H + j]
            o = gates[t, 3 * H + j]
            tanh_c = _tanh(cell[t, j])
            c_before = cell[before, j] if step > 0 else initial_cell[j]
            dh[j] += hidden_gradient[t, j]
            dc[j] += dh[j] * o * (1 - tanh_c * tanh_c)
            da[t, j] = dc[j] * g * i * (1 - i)
            da[t, H + j] = dc[j] * c_before * f * (1 - f)
            da[t, 2 * H + j] = dc[j] * i * (1 - g * g)
            da[t, 3 * H + j] = dh[j] * tanh_c * o * (1 - o)
            dc[j] *= f
        dh[:] = 0
        _add_product(da[t], weight_hh, dh)
    return 0
