"""What did not arrive of what was shared out."""

from cython cimport floating as real


def remainder(shared, token, initial, offsets):
    """Return what each sequence was given and did not hand on; see `lrplstm.scans`."""
    cdef Py_ssize_t K, B
    token = _check_numbers("token", token)
    _check_indices("offsets", offsets)
    _check_order(offsets, token.shape[1])
    K, B, dtype = len(token), len(offsets) - 1, token.dtype
    shared = _checked("shared", shared, _DOUBLE, K, B)
    initial = _checked("initial", initial, dtype, K, B)
    delta = np.empty((K, B), dtype)
    if dtype == np.float32:
        _remainder[float](shared, token, initial, offsets, <float*> _address(delta))
    else:
        _remainder[double](shared, token, initial, offsets, <double*> _address(delta))
    return delta


cdef int _remainder(shared, token, initial, offsets, real* delta) except -1:
    cdef const double* of_shared = <const double*> _address(shared)
    cdef const real* of_token = <const real*> _address(token)
    cdef const real* of_initial = <const real*> _address(initial)
    cdef const Py_ssize_t* begin = _indices(offsets)
    cdef Py_ssize_t B = len(offsets) - 1, steps = begin[B], k, b, t
    cdef double arrived
    for k in range(len(token)):
        for b in range(B):
            arrived = 0
            for t in range(begin[b], begin[b + 1]):
                arrived += of_token[k * steps + t]
            delta[k * B + b] = <real> (of_shared[k * B + b] - arrived - of_initial[k * B + b])
    return 0
