"""Activations that no vector instruction makes: number by number, with functions of C's library.

`lrplstm.activations` has the formulas to be read, and says what alpha is.
"""

from libc.math cimport (
    M_PI, M_SQRT1_2, M_SQRT2, cos, erf, exp as exp_of, expm1, fabs, log1p, sin, sqrt,
    tanh as tanh_of,
)

cdef enum:
    THRESHOLDED_RELU
    CELU
    GELU
    GELU_TANH
    MISH
    SOFTPLUS
    LOG_SIGMOID
    EXPONENTIAL
    SOFT_SHRINK
    HARD_SHRINK
    ABSOLUTE
    SQUARE
    SINE
    COSINE
    TANH_SHRINK


cdef double _softplus(double z) noexcept nogil:
    return max(z, 0.0) + log1p(exp_of(-fabs(z)))


cdef double _sigmoid_of(double z) noexcept nogil:
    return 1 / (1 + exp_of(-z))


cdef double _tanh_in_gelu(double z) noexcept nogil:
    return tanh_of(sqrt(2 / M_PI) * (z + 0.044715 * z * z * z))


cdef double _value_of(int function, double z, double alpha) noexcept nogil:
    """f(z)."""
    if function == THRESHOLDED_RELU:
        return z if z > alpha else 0
    if function == CELU:
        return z if z > 0 else alpha * expm1(z / alpha)
    if function == GELU:
        return z * (1 + erf(z * M_SQRT1_2)) / 2
    if function == GELU_TANH:
        return z * (1 + _tanh_in_gelu(z)) / 2
    if function == MISH:
        return z * tanh_of(_softplus(z))
    if function == SOFTPLUS:
        return _softplus(z)
    if function == LOG_SIGMOID:
        return -_softplus(-z)
    if function == EXPONENTIAL:
        return exp_of(z)
    if function == SOFT_SHRINK:
        return max(z - alpha, 0.0) + min(z + alpha, 0.0)
    if function == HARD_SHRINK:
        return z if fabs(z) > alpha else 0
    if function == ABSOLUTE:
        return fabs(z)
    if function == SQUARE:
        return z * z
    if function == SINE:
        return sin(z)
    if function == COSINE:
        return cos(z)
    return z - tanh_of(z)


cdef double _slope_of(int function, double z, double alpha) noexcept nogil:
    """f'(z)."""
    cdef double t
    if function == THRESHOLDED_RELU:
        return z > alpha
    if function == CELU:
        return 1 if z > 0 else exp_of(z / alpha)
    if function == GELU:
        return (1 + erf(z * M_SQRT1_2)) / 2 + z * exp_of(-z * z / 2) / (M_SQRT2 * sqrt(M_PI))
    if function == GELU_TANH:
        t = _tanh_in_gelu(z)
        return (1 + t + z * (1 - t * t) * sqrt(2 / M_PI) * (1 + 3 * 0.044715 * z * z)) / 2
    if function == MISH:
        t = tanh_of(_softplus(z))
        return t + z * (1 - t * t) * _sigmoid_of(z)
    if function == SOFTPLUS:
        return _sigmoid_of(z)
    if function == LOG_SIGMOID:
        return _sigmoid_of(-z)
    if function == EXPONENTIAL:
        return exp_of(z)
    if function == SOFT_SHRINK or function == HARD_SHRINK:
        return fabs(z) > alpha
    if function == ABSOLUTE:
        return (z > 0) - (z < 0)
    if function == SQUARE:
        return 2 * z
    if function == SINE:
        return cos(z)
    if function == COSINE:
        return -sin(z)
    t = tanh_of(z)
    return t * t
