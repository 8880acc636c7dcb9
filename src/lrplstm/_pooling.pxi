"""Poolings: what the steps of each sequence are made one row of."""

from cython cimport floating as real

cdef struct Pooled:
    # What is pooled: the steps of B sequences, so many in all, in rows of `width` numbers; and the
    # targets of what goes back to them.
    const Py_ssize_t* offsets
    Py_ssize_t B
    Py_ssize_t steps
    Py_ssize_t width
    Py_ssize_t targets


def pool(str pooling, hidden, offsets):
    """Return what all steps of each sequence are pooled to; see `lrplstm.scans`."""
    cdef bint mean = _is_mean(pooling)
    cdef Pooled all
    hidden = _check_pooled(hidden, offsets, &all)
    out = np.empty((all.B, all.width), hidden.dtype)
    if hidden.dtype == np.float32:
        _pool[float](mean, &all, <const float*> _address(hidden), <float*> _address(out))
    else:
        _pool[double](mean, &all, <const double*> _address(hidden), <double*> _address(out))
    return out


cdef bint _is_mean(str pooling) except? True:
    if pooling not in ("mean", "max"):
        raise ValueError(f"pooling: expected 'mean' or 'max', got {pooling!r}")
    return pooling == "mean"


cdef object _check_pooled(hidden, offsets, Pooled* all):
    """Return the states, checked, and set what is known of them."""
    hidden = _check_numbers("hidden", hidden)
    _check_indices("offsets", offsets)
    _check_order(offsets, len(hidden))
    all.offsets, all.B = _indices(offsets), len(offsets) - 1
    all.steps, all.width = hidden.shape
    return hidden


cdef int _pool(bint mean, const Pooled* all, const real* hidden, real* pooled) except -1:
    cdef const Py_ssize_t* offsets = all.offsets
    cdef Py_ssize_t width = all.width, b, t, j, work = 0
    cdef const real* h
    cdef _Memory memory = _memory(width * <Py_ssize_t> sizeof(double), False)
    cdef double* sums = <double*> memory.start
    with nogil:
        for b in range(all.B):
            h = hidden + offsets[b] * width
            for j in range(width):
                pooled[j] = h[j]
                sums[j] = h[j]
            for t in range(offsets[b] + 1, offsets[b + 1]):
                h = hidden + t * width
                for j in range(width):
                    if mean:
                        sums[j] += h[j]
                    elif h[j] > pooled[j]:
                        pooled[j] = h[j]
            if mean:
                for j in range(width):
                    pooled[j] = <real> (sums[j] / _length(offsets, b))
            pooled += width
            _poll(&work, _length(offsets, b) * width)
    return 0


def pool_lrp(str pooling, hidden, offsets, pooled, relevance, rule):
    """Return the relevance of each step's state, given that of the pooled; see `lrplstm.scans`."""
    if not _is_mean(pooling):  # all to the step that won
        return pool_gradient(pooling, hidden, offsets, relevance)
    cdef Pooled all
    hidden = _check_pooled(hidden, offsets, &all)
    dtype = hidden.dtype
    pooled = _checked("pooled", pooled, dtype, all.B, all.width)
    relevance = _check_targets("relevance", relevance, all.B, all.width, dtype)
    all.targets = len(relevance)
    out = np.empty((all.targets, all.steps, all.width), dtype)
    if dtype == np.float32:
        _mean_lrp[float](&all, rule, hidden, pooled, relevance, <float*> _address(out))
    else:
        _mean_lrp[double](&all, rule, hidden, pooled, relevance, <double*> _address(out))
    return out


cdef int _mean_lrp(
    const Pooled* all, rule, hidden, pooled, relevance, real* R_hidden
) except -1:
    """The epsilon rule of a layer with weights 1/T, no bias, and T * width lower units."""
    cdef real epsilon = rule.epsilon, epsilon_factor = rule.epsilon_factor, share
    cdef const Py_ssize_t* offsets = all.offsets
    cdef Py_ssize_t width = all.width, T, k, b, t, j, work = 0
    cdef const real* h = <const real*> _address(hidden)
    cdef const real* z = <const real*> _address(pooled)
    cdef const real* R_pooled = <const real*> _address(relevance)
    cdef const real* R_z
    cdef real* R_h
    cdef _Memory memory = _memory(width * <Py_ssize_t> sizeof(real), False)
    cdef real* q = <real*> memory.start
    with nogil:
        for b in range(all.B):
            T = _length(offsets, b)
            for k in range(all.targets):
                R_z = R_pooled + (k * all.B + b) * width
                R_h = R_hidden + (k * all.steps + offsets[b]) * width
                share = 0
                for j in range(width):
                    q[j] = _quotient(z[j], R_z[j], epsilon)
                # A loop that writes nothing: of one that does, a compiler makes two, which round
                # differently, and chooses by where the arrays happen to lie.
                for j in range(width):
                    share += epsilon_factor * _stabilizer(z[j], epsilon) * q[j]
                for j in range(width):
                    q[j] /= T
                share /= T * width
                for t in range(T):
                    for j in range(width):
                        R_h[t * width + j] = h[t * width + j] * q[j] + share
                _poll(&work, T * width)
            h += T * width
            z += width
    return 0


def pool_gradient(str pooling, hidden, offsets, gradient):
    """Return the gradient of each step's state, given that of the pooled; see `lrplstm.scans`."""
    cdef bint mean = _is_mean(pooling)
    cdef Pooled all
    hidden = _check_pooled(hidden, offsets, &all)
    gradient = _check_targets("gradient", gradient, all.B, all.width, hidden.dtype)
    all.targets = len(gradient)
    out = np.zeros((all.targets, all.steps, all.width), hidden.dtype)
    if hidden.dtype == np.float32:
        _pool_gradient[float](mean, &all, hidden, gradient, <float*> _address(out))
    else:
        _pool_gradient[double](mean, &all, hidden, gradient, <double*> _address(out))
    return out


cdef int _pool_gradient(bint mean, const Pooled* all, hidden, gradient, real* out) except -1:
    cdef const Py_ssize_t* offsets = all.offsets
    cdef const real* h = <const real*> _address(hidden)
    cdef const real* of_pooled = <const real*> _address(gradient)
    cdef Py_ssize_t width = all.width, of_target = all.steps * all.width, b, t, j, k, work = 0
    cdef Py_ssize_t winner
    cdef real share
    with nogil:
        for b in range(all.B):
            for j in range(width):
                winner = offsets[b]
                for t in range(offsets[b] + 1, offsets[b + 1]):
                    if h[t * width + j] > h[winner * width + j]:
                        winner = t
                for k in range(all.targets):
                    share = of_pooled[(k * all.B + b) * width + j]
                    if not mean:
                        out[k * of_target + winner * width + j] = share
                        continue
                    share /= _length(offsets, b)
                    for t in range(offsets[b], offsets[b + 1]):
                        out[k * of_target + t * width + j] = share
            _poll(&work, _length(offsets, b) * all.targets * width)
    return 0
