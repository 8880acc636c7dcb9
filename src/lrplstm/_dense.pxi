"""Linear layers and activations."""

from cython cimport floating as real

from libc.string cimport memcpy, memset

from lrplstm._activations cimport tanh
from lrplstm._vectors cimport double_vector, float_vector

# Of a vector.
cdef enum:
    MOST_NUMBERS = VECTOR_BYTES // sizeof(float)


cdef inline real _stabilizer(real z, real epsilon) noexcept nogil:
    """eps(z): epsilon with the sign of z."""
    return epsilon if z >= 0 else -epsilon


cdef inline real _quotient(real z, real relevance, real epsilon) noexcept nogil:
    """q = R / (z + eps(z)), and 0 where that denominator is 0."""
    cdef real denominator = z + _stabilizer(z, epsilon), zero = 0
    return relevance / denominator if denominator != 0 else zero


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
        bias = _checked("bias", bias, weight.dtype, len(weight))
    return _Linear(weight, bias)


def linear(_Linear layer not None, y):
    """Return z of y; see `lrplstm.scans`."""
    y = _checked("y", y, layer.dtype, ANY, layer.forward.n)
    return _product(y, layer.forward, layer.start)


def linear_lrp(_Linear layer not None, y, z, relevance, rule):
    """Return the relevance of y, given that of z; see `lrplstm.scans`.

    R_y = y * (W.T @ q) + share, with q = R_z / (z + eps(z)).
    """
    y = _checked("y", y, layer.dtype, ANY, layer.forward.n)
    z = _checked("z", z, layer.dtype, len(y), layer.back.n)
    relevance = _check_targets("relevance", relevance, len(y), layer.back.n, layer.dtype)
    R_y = np.empty((len(relevance), len(y), layer.forward.n), layer.dtype)
    if layer.forward.single:
        _linear_lrp[float](layer, y, z, relevance, rule, <float*> _address(R_y))
    else:
        _linear_lrp[double](layer, y, z, relevance, rule, <double*> _address(R_y))
    return R_y


cdef int _linear_lrp(_Linear layer, y, z, relevance, rule, real* R_y) except -1:
    """Set R_y; a row of `q` and `W_q` is one of each target and each row of y."""
    cdef const real* of_y = <const real*> _address(y)
    cdef const real* of_z = <const real*> _address(z)
    cdef const real* R_z = <const real*> _address(relevance)
    cdef const real* bias = <const real*> _address(layer.bias)
    cdef real epsilon = rule.epsilon, bias_factor = rule.bias_factor
    cdef real epsilon_factor = rule.epsilon_factor, share
    cdef Py_ssize_t B = len(y), N = layer.forward.n, C = layer.back.n, rows = len(relevance) * B
    cdef Py_ssize_t columns = layer.back.padded_columns, row, b, i, j
    cdef _Memory memory = _memory(rows * (columns + C) * <Py_ssize_t> sizeof(real), False)
    cdef real* W_q = <real*> memory.start
    cdef real* q = W_q + rows * columns
    for row in range(rows):
        b = row % B
        for j in range(C):
            q[row * C + j] = _quotient(of_z[b * C + j], R_z[row * C + j], epsilon)
    _multiply_rows(layer.back, <char*> q, rows, _address(layer.zero), <char*> W_q, columns)
    for row in range(rows):
        b, share = row % B, 0
        for j in range(C):
            share += q[row * C + j] * (
                bias_factor * bias[j] + epsilon_factor * _stabilizer(of_z[b * C + j], epsilon)
            )
        share /= N
        for i in range(N):
            R_y[row * N + i] = of_y[b * N + i] * W_q[row * columns + i] + share
    return 0


def linear_gradient(_Linear layer not None, gradient):
    """Return the gradient of y, given that of z; see `lrplstm.scans`."""
    if not isinstance(gradient, np.ndarray) or gradient.ndim != 3:
        raise TypeError("gradient: expected a 3-dimensional ndarray")
    gradient = _check_targets("gradient", gradient, gradient.shape[1], layer.back.n, layer.dtype)
    rows = gradient.reshape(-1, layer.back.n)
    return _product(rows, layer.back, layer.zero).reshape(*gradient.shape[:2], layer.forward.n)


# Activations ------------------------------------------------------------------------------------

def activate(str activation, z):
    """Return what an activation makes of z; see `lrplstm.scans`."""
    cdef bint to_tanh = _is_tanh(activation)
    z = _check_numbers("z", z)
    value = np.empty(z.shape, z.dtype)
    if z.dtype == np.float32:
        _activate[float](to_tanh, z.size, <const float*> _address(z), <float*> _address(value))
    else:
        _activate[double](to_tanh, z.size, <const double*> _address(z), <double*> _address(value))
    return value


cdef bint _is_tanh(str activation) except? True:
    if activation not in ("relu", "tanh"):
        raise ValueError(f"activation: expected 'relu' or 'tanh', got {activation!r}")
    return activation == "tanh"


cdef int _activate(bint to_tanh, Py_ssize_t size, const real* z, real* value) except -1:
    """In whole vectors, so that each number is computed in the same way wherever it stands."""
    cdef real numbers[MOST_NUMBERS]
    cdef real zero = 0
    cdef Py_ssize_t width = VECTOR_BYTES // sizeof(real), first = 0, rest, v, work = 0
    memset(numbers, 0, sizeof(numbers))
    with nogil:
        while first < size:
            rest = min(width, size - first)
            memcpy(numbers, z + first, rest * sizeof(real))
            if not to_tanh:
                for v in range(width):
                    numbers[v] = numbers[v] if numbers[v] > zero else zero
            elif real is float:
                (<float_vector*> numbers)[0] = tanh((<float_vector*> numbers)[0])
            else:
                (<double_vector*> numbers)[0] = tanh((<double_vector*> numbers)[0])
            memcpy(value + first, numbers, rest * sizeof(real))
            first += rest
            _poll(&work, 16 * width)
    return 0


def activation_gradient(str activation, value, gradient):
    """Return the gradient of z, given that of its activation; see `lrplstm.scans`."""
    cdef bint of_tanh = _is_tanh(activation)
    value = _check_numbers("value", value)
    gradient = _check_targets("gradient", gradient, len(value), value.shape[1], value.dtype)
    return gradient * (1 - value * value if of_tanh else value > 0)
