"""Recurrent layers: the weights of one or two directions, packed, and the cell that they are of."""

from math import inf

from libc.string cimport memset

from lrplstm cimport _gru, _lstm, _rnn
from lrplstm._activations cimport (
    BY_NUMBER, CLIPPED, ELU, HARD_SILU, LEAKY_RELU, RELU, SCALED_TANH, SIGMOID, SILU, SOFTSIGN,
    TANH, Activation, other_slope, other_value,
)
from lrplstm._tiles cimport (
    FOR_GATES, FOR_GRADIENT, FOR_RELEVANCE, MOST_STATES, TILE, Cell, Gates, Tile,
)

from lrplstm.activations import SELU_ALPHA, SELU_SCALE
from lrplstm.cells import GRUWeights, RNNWeights
from lrplstm.weights import LSTMWeights

# Recurrent weights of this size stay in the cache next to the core. Half a tile is then enough to
# fill the registers many times, and its rows stay there too.
_SMALL_BYTES = 2**19


# Of each activation its kind, and those parameters that it does not have itself; or what it is by
# number.
_ACTIVATIONS = {
    "sigmoid": (SIGMOID, {}),
    "tanh": (TANH, {}),
    "scaled_tanh": (SCALED_TANH, {}),
    "linear": (CLIPPED, {"alpha": 1.0, "low": -inf, "high": inf}),
    "affine": (CLIPPED, {"low": -inf, "high": inf}),
    "hard_sigmoid": (CLIPPED, {"high": 1.0}),
    "hard_tanh": (CLIPPED, {"alpha": 1.0}),
    "relu6": (CLIPPED, {"alpha": 1.0, "high": 6.0}),
    "relu": (RELU, {}),
    "leaky_relu": (LEAKY_RELU, {}),
    "elu": (ELU, {"beta": 1.0, "high": 1.0}),
    "selu": (ELU, {"alpha": SELU_ALPHA, "beta": SELU_SCALE, "high": 1.0}),
    "softsign": (SOFTSIGN, {}),
    "silu": (SILU, {}),
    "hard_silu": (HARD_SILU, {}),
}
_FUNCTIONS = {
    "thresholded_relu": THRESHOLDED_RELU,
    "celu": CELU,
    "gelu": GELU,
    "gelu_tanh": GELU_TANH,
    "mish": MISH,
    "softplus": SOFTPLUS,
    "log_sigmoid": LOG_SIGMOID,
    "exponential": EXPONENTIAL,
    "soft_shrink": SOFT_SHRINK,
    "hard_shrink": HARD_SHRINK,
    "absolute": ABSOLUTE,
    "square": SQUARE,
    "sine": SINE,
    "cosine": COSINE,
    "tanh_shrink": TANH_SHRINK,
}


cdef bint _describe(weights, Cell* cell) except -1:
    """Find the cell of some weights, if there is one: the one table of cells."""
    memset(cell, 0, sizeof(Cell))
    variants = weights.variants().keys()
    if isinstance(weights, LSTMWeights):
        others = not variants.isdisjoint(_LSTM_ACTIVATIONS)
        _lstm.describe(cell, others, weights.peepholes is not None)
        return _set_activations(weights.functions, cell)
    if isinstance(weights, GRUWeights):
        _gru.describe(cell, weights.reset_after, bool(variants - {"reset_after"}))
        return _set_activations(weights.functions, cell)
    if isinstance(weights, RNNWeights):
        _rnn.describe(cell)
        return _set_activations([weights.function], cell)
    return False


_LSTM_ACTIVATIONS = "activation", "cell_activation", "gate_activation"


cdef bint _set_activations(functions, Cell* cell) except -1:
    """Set the activations of a cell, if all of them are known."""
    cdef Py_ssize_t i
    cdef Activation* f
    for i, function in enumerate(functions):
        if function.name not in _ACTIVATIONS and function.name not in _FUNCTIONS:
            return False
        f = &cell.activation[i]
        f.kind, others = _ACTIVATIONS.get(function.name, (BY_NUMBER, {}))
        parameters = others | dict(function.parameters)
        f.alpha, f.beta = parameters.get("alpha", 0), parameters.get("beta", 0)
        f.low, f.high = parameters.get("low", 0), parameters.get("high", 0)
        f.value_of_floats, f.slope_of_floats = other_value[float_vector], other_slope[float_vector]
        f.value_of_doubles = other_value[double_vector]
        f.slope_of_doubles = other_slope[double_vector]
        if f.kind == BY_NUMBER:
            f.function, f.value, f.slope = _FUNCTIONS[function.name], _value_of, _slope_of
    return True


cdef object _biases(weights):
    """Return what a projection has beside W_ih x, and behind it the bias of what r multiplies."""
    if not isinstance(weights, GRUWeights):
        return weights.bias
    if not weights.reset_after:
        return weights.bias_ih + weights.bias_hh
    first = 2 * weights.hidden_size
    gates = weights.bias_ih[:first] + weights.bias_hh[:first]
    return np.concatenate([gates, weights.bias_ih[first:], weights.bias_hh[first:]])


def has_cell(directions):
    """Return whether there is the cell of a layer's directions; see `lrplstm.scans`."""
    cdef Cell cell
    cells = set()
    for weights in directions:
        if not _describe(weights, &cell):
            return False
        variants = [
            (name, value.shape if isinstance(value, np.ndarray) else str(value))
            for name, value in weights.variants().items()
        ]
        cells.add((type(weights), *variants))
    return len(cells) == 1


cdef class _Layer


cdef class _Direction:
    """One direction of a layer; matrices of ways back are packed when they are first needed."""

    cdef object weights
    cdef list rows
    cdef bint reverse
    cdef Py_ssize_t hidden_size, first_projected
    cdef const void* bias
    cdef const void* peepholes
    cdef const void* initial[MOST_STATES]
    cdef const void* initial_projected
    cdef _Matrix inputs, projection
    cdef list recurrent
    cdef dict packed

    cdef int pack(self, _Layer layer, weights, Py_ssize_t number) except -1:
        cdef Py_ssize_t stride = layer.stride, i
        self.weights = weights
        self.reverse = weights.reverse or number == 1
        self.hidden_size = weights.hidden_size
        self.first_projected = number * stride
        self.packed = {}
        self.inputs = _Matrix(weights.weight_ih.T)
        self.recurrent = [
            _Matrix(self.rows_of(weights.weight_hh, &layer.cell.stage[i].recurrent).T)
            for i in range(layer.cell.stages)
        ]
        # Step 0 is the same for all sequences: W_hh h_{-1}.
        hidden, zero = weights.initial_states[0][np.newaxis], _zeros((stride,), weights.dtype)
        projected = _padded(_product(hidden, self.recurrent[0], zero)[0], stride)
        states = [_padded(state, layer.padded) for state in weights.initial_states]
        self.rows = [_padded(_biases(weights), stride + layer.padded), projected, None, *states]
        if layer.cell.peeps:
            peepholes = _zeros((len(weights.peepholes), layer.padded), weights.dtype)
            peepholes[:, :self.hidden_size] = weights.peepholes
            self.rows[2] = peepholes
        self.bias = _address(self.rows[0])
        self.initial_projected = _address(self.rows[1])
        self.peepholes = _address(self.rows[2])
        for i in range(layer.cell.states):
            self.initial[i] = _address(states[i])
        if layer.projects:
            self.projection = _Matrix(weights.weight_hr.T)
        return 0

    cdef object rows_of(self, weight, const Gates* gates):
        """The rows of some gates."""
        cdef Py_ssize_t i, H = self.hidden_size
        return np.concatenate(
            [weight[gates.gate[i] * H:(gates.gate[i] + 1) * H] for i in range(gates.count)]
        )

    cdef void set_product(self, Py_ssize_t stage, Product* product) noexcept:
        """Fill in what the product of a stage of the forward step needs to know."""
        (<_Matrix> self.recurrent[stage]).set_product(product)
        product.segment_stride, product.start_step = 0, 1

    cdef void set_projection(self, Product* product, Py_ssize_t columns, const void** zero):
        """Fill in the product that projects h."""
        self.projection.set_product(product)
        product.x_stride = product.y_stride = columns
        product.segment_stride, product.start_step, product.start_at = 0, 0, 0
        product.start = zero

    cdef _Matrix back(self, str name, const Gates* gates):
        """The rows of `weight_hh` or `weight_ih` that belong to some gates, a segment for each."""
        cdef Py_ssize_t i
        key = name, *[gates.gate[i] for i in range(gates.count)]
        matrix = self.packed.get(key)
        if matrix is None:
            rows = self.rows_of(getattr(self.weights, name), gates)
            # Of two threads that come here at once one's stays: products point into it.
            matrix = self.packed.setdefault(key, _Matrix(rows, gates.count))
        return matrix

    cdef _Matrix back_projection(self):
        """What leads from h back to what is projected."""
        if "weight_hr" not in self.packed:
            self.packed.setdefault("weight_hr", _Matrix(self.weights.weight_hr))
        return self.packed["weight_hr"]


cdef struct States:
    # Those of a cell, h first. Of each how many numbers it has, and how many all directions have,
    # of which those of the direction that runs begin at `first`.
    Py_ssize_t number
    Py_ssize_t size[MOST_STATES]
    Py_ssize_t width[MOST_STATES]
    Py_ssize_t first[MOST_STATES]
    # In a row of scratch they are so many numbers apart.
    Py_ssize_t padded


cdef class _Layer:
    """A recurrent layer of one or two directions."""

    cdef Cell cell
    cdef object dtype
    cdef bint single
    cdef Py_ssize_t itemsize, input_size, static_inputs, hidden_size, padded, stride, lanes
    cdef States states
    cdef list directions, rows
    cdef tuple lower_units
    # Whether h is a projection of what the cell gives.
    cdef bint projects
    cdef const void* mask
    cdef const void* mask_of_h
    cdef const void* zero

    def __cinit__(self, list directions):
        cdef _Direction direction
        cdef Py_ssize_t H, width, i
        first = directions[0]
        _describe(first, &self.cell)
        self.dtype = first.dtype
        self.single = self.dtype == np.float32
        self.itemsize = self.dtype.itemsize
        self.input_size = first.input_size
        self.hidden_size = H = first.hidden_size
        width = VECTOR_BYTES // self.itemsize
        if isinstance(first, LSTMWeights):
            self.projects, self.static_inputs = first.weight_hr is not None, first.static_inputs
        self.lower_units = first.lower_units
        self.padded = _round_up(max(H, first.output_size), width)
        self.lanes = TILE // 2 if first.weight_hh.nbytes <= _SMALL_BYTES else TILE
        # A row of all gates, behind which whole vectors of the last one can be read.
        self.stride = _round_up((self.cell.gates - 1) * H + self.padded, width)
        self.states.number, self.states.padded = self.cell.states, self.padded
        for i in range(self.cell.states):
            self.states.size[i] = len(first.initial_states[i])
            self.states.width[i] = len(directions) * self.states.size[i]
        self.directions = []
        for number, weights in enumerate(directions):
            direction = _Direction()
            direction.pack(self, weights, number)
            self.directions.append(direction)
        self.rows = [
            _padded(np.ones(H, self.dtype), self.padded),
            _zeros((max(self.stride, self.padded_inputs()),), self.dtype),
            _padded(np.ones(first.output_size, self.dtype), self.padded),
        ]
        # 1 for each unit, and 0 for the places beyond: what keeps their relevance 0.
        self.mask, self.mask_of_h = _address(self.rows[0]), _address(self.rows[2])
        # What products without anything to add to start from.
        self.zero = _address(self.rows[1])

    cdef Py_ssize_t projected(self):
        return len(self.directions) * self.stride

    cdef States states_of(self, Py_ssize_t direction) noexcept:
        """The states, of which one direction runs."""
        cdef Py_ssize_t i
        cdef States states = self.states
        for i in range(states.number):
            states.first[i] = direction * states.size[i]
        return states

    cdef Py_ssize_t trace_rows(self, int keep) noexcept:
        """Rows of units of a step in a trace; where h is projected what is, and h, stand last."""
        return self.cell.trace_rows[keep] + (2 if self.projects else 0)

    cdef Py_ssize_t padded_inputs(self):
        return _round_up(self.input_size, VECTOR_BYTES // self.itemsize)

    cdef void set_tile(self, Tile* tile, Py_ssize_t columns, void* spare) noexcept:
        """Fill in the sizes, of rows of scratch of so many numbers, and what is the same always."""
        cdef Py_ssize_t width = VECTOR_BYTES // self.itemsize, i
        tile.hidden_size, tile.static_inputs = self.hidden_size, self.static_inputs
        tile.input_size = self.input_size - self.static_inputs
        for i in range(self.cell.gates):
            tile.lower_units[i] = self.lower_units[i]
        tile.n, tile.row, tile.states = self.padded // width, columns // width, self.stride // width
        tile.variant, tile.activation = self.cell.variant, self.cell.activation
        tile.mask, tile.mask_of_h, tile.spare = self.mask, self.mask_of_h, spare


def prepare_layer(directions):
    """Return a recurrent layer; see `lrplstm.scans`."""
    cdef Cell cell
    directions = list(directions)
    if len(directions) not in (1, 2):
        raise ValueError(f"directions: expected one or two, got {len(directions)}")
    first = directions[0]
    if not has_cell(directions):
        raise ValueError(f"directions: expected a cell that is compiled, got {first!r}")
    _describe(first, &cell)
    rows, dtype = cell.gates * first.hidden_size, first.dtype
    for weights in directions:
        _checked("weight_ih", weights.weight_ih, dtype, rows, first.input_size)
        _checked("weight_hh", weights.weight_hh, dtype, rows, first.output_size)
        for state, like in zip(weights.initial_states, first.initial_states, strict=True):
            _checked("initial state", state, dtype, len(like))
    return _Layer(directions)


def project(_Layer layer not None, x):
    """Return W_ih x + b of all directions, each in a row of its own stride; see `lrplstm.scans`."""
    cdef _Direction direction
    cdef Py_ssize_t first
    cdef char* out
    x = _checked("x", x, layer.dtype, ANY, layer.input_size)
    projection = _aligned((len(x), layer.projected()), layer.dtype, False)
    out = <char*> _address(projection)
    for direction in layer.directions:
        first = direction.first_projected
        _multiply_rows(
            direction.inputs, <const char*> _address(x), len(x), direction.bias,
            out + first * layer.itemsize, layer.projected(),
        )
        projection[:, first + direction.inputs.padded_columns:first + layer.stride] = 0
    return projection


def bytes_per_step(_Layer layer not None):
    """Return what projection and trace of a step take; see `lrplstm.scans`."""
    cdef Py_ssize_t rows = max(
        layer.trace_rows(keep) for keep in (FOR_RELEVANCE, FOR_GATES, FOR_GRADIENT)
    )
    numbers = layer.projected() + len(layer.directions) * (rows + 1) * layer.padded
    return numbers * layer.itemsize
