"""Poolings: what the steps of each sequence are made one row of."""

from cython cimport floating as real


def pool(str pooling, hidden, offsets):
    """Return what all steps of each sequence are pooled to; see `lrplstm.scans`."""
    cdef bint mean = _is_mean(pooling)
    hidden = _check_pooled(hidden, offsets)
    out = np.empty((len(offsets) - 1, hidden.shape[1]), hidden.dtype)
    sums = np.empty(hidden.shape[1])
    if hidden.dtype == np.float32:
        _pool[float](mean, hidden, _indices(offsets), sums, out)
    else:
        _pool[double](mean, hidden, _indices(offsets), sums, out)
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


cdef int _pool(
    bint mean, const real[:, ::1] hidden, const Py_ssize_t* offsets, double[::1] sums,
    real[:, ::1] pooled,
) except -1:
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
    pooled = _checked("pooled", pooled, dtype, B, width)
    relevance = _check_targets("relevance", relevance, B, width, dtype)
    out = np.empty((len(relevance), len(hidden), width), dtype)
    q = np.empty(width, dtype)
    if dtype == np.float32:
        _mean_lrp[float](hidden, _indices(offsets), pooled, relevance, rule, q, out)
    else:
        _mean_lrp[double](hidden, _indices(offsets), pooled, relevance, rule, q, out)
    return out


cdef int _mean_lrp(
    const real[:, ::1] hidden, const Py_ssize_t* offsets, const real[:, ::1] pooled,
    const real[:, :, ::1] R_pooled, rule, real[::1] q, real[:, :, ::1] R_h,
) except -1:
    """The epsilon rule of a layer with weights 1/T, no bias, and T * width lower units."""
    cdef real epsilon = rule.epsilon, epsilon_factor = rule.epsilon_factor, share
    cdef Py_ssize_t width = hidden.shape[1], T, k, b, t, j, work = 0
    with nogil:
        for b in range(pooled.shape[0]):
            T = _length(offsets, b)
            for k in range(R_pooled.shape[0]):
                share = 0
                for j in range(width):
                    q[j] = _quotient(pooled[b, j], R_pooled[k, b, j], epsilon)
                # A loop that writes nothing: of one that does, a compiler makes two, which round
                # differently, and chooses by where the arrays happen to lie.
                for j in range(width):
                    share += epsilon_factor * _stabilizer(pooled[b, j], epsilon) * q[j]
                for j in range(width):
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
        _pool_gradient[float](mean, hidden, _indices(offsets), gradient, out)
    else:
        _pool_gradient[double](mean, hidden, _indices(offsets), gradient, out)
    return out


cdef int _pool_gradient(
    bint mean, const real[:, ::1] hidden, const Py_ssize_t* offsets,
    const real[:, :, ::1] gradient, real[:, :, ::1] out,
) except -1:
    cdef Py_ssize_t width = hidden.shape[1], b, t, j, k, winner, work = 0
    with nogil:
        for b in range(gradient.shape[1]):
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
