"""The steps of a plain recurrent cell, h = act(W_ih x + W_hh h_{t-1} + b), forward and back.

They stand, to be read, in `lrplstm.backends.reference.rnn`. There is no gate, so all product rules
are the same.
"""

from lrplstm._activations cimport activated, slope
from lrplstm._rules cimport kept, share_in_activation, shares_nothing
from lrplstm._tiles cimport (
    FOR_GATES, FOR_GRADIENT, FOR_RELEVANCE, HANDED, NOTHING, OWN, STARTED, Back, Cell, Gates, Rule,
    Step, Tile,
)
from lrplstm._vectors cimport double_vector, fill, float_vector, quotient, total, vector

# What a trace keeps of a step, in rows of units; the first two for all product rules.
cdef enum:
    A = 0
    HIDDEN_BEFORE = 1
    RELEVANCE_ROWS = 2
    HIDDEN = 2
    GATES_ROWS = 3

cdef enum:
    SLOPE = 0
    GRADIENT_ROWS = 1

# Of each lane and target q, or the gradient, of a.
cdef enum:
    OF_A = OWN
    SCRATCH = OF_A + 1


# Forward ----------------------------------------------------------------------------------------

cdef inline void forward(Tile* tile, vector* rows) noexcept nogil:
    """Take h of each lane one step on."""
    cdef Py_ssize_t n = tile.n, lane, u
    cdef const vector* a
    cdef vector* h
    cdef vector* trace
    cdef vector h_t
    for lane in range(tile.first, tile.end):
        a = rows + lane * tile.row
        h = rows + lane * tile.row + tile.states
        trace = <vector*> tile.trace[lane]
        for u in range(n):
            h_t = activated(a[u], &tile.activation[0])
            if tile.keep == FOR_RELEVANCE or tile.keep == FOR_GATES:
                trace[A * n + u] = a[u]
                trace[HIDDEN_BEFORE * n + u] = h[u]
            if tile.keep == FOR_GATES:
                trace[HIDDEN * n + u] = h_t
            elif tile.keep == FOR_GRADIENT:
                trace[SLOPE * n + u] = slope(a[u], h_t, &tile.activation[0])
            h[u] = h_t


# Relevance --------------------------------------------------------------------------------------

cdef inline void relevance(Tile* tile, vector* rows) noexcept nogil:
    """Take relevance of each lane and target down to q of a."""
    cdef Py_ssize_t n = tile.n, lane, r, u
    cdef const vector* mask = <const vector*> tile.mask
    cdef const vector* bias = <const vector*> tile.bias
    cdef const vector* W_x
    cdef const vector* a
    cdef const vector* h
    cdef vector* row
    cdef vector epsilon, R, q, share, shares, token
    cdef Rule rule = tile.rule
    cdef bint from_hidden = tile.from_hidden, nothing = shares_nothing(&rule)
    fill(&epsilon, rule.epsilon)
    for r in range(tile.first * tile.targets, tile.end * tile.targets):
        lane = r // tile.targets
        row = rows + r * tile.row
        W_x = <const vector*> tile.projection[lane]
        a = <const vector*> tile.trace[lane] + A * n
        h = <const vector*> tile.h[lane]
        fill(&share, tile.share[r])
        fill(&shares, 0)
        fill(&token, 0)
        for u in range(n):
            # a = W_ih x_t + W_hh h_{t-1} + b: D + H units.
            R = h[u] * row[HANDED * n + u] + share * mask[u]
            if from_hidden:
                R = R + row[STARTED * n + u]
            q = quotient(a[u], R, epsilon)
            row[OF_A * n + u] = q
            token = token + q * (W_x[u] - bias[u])
            if not nothing:
                shares = shares + kept(q, a[u], bias[u], &rule)
        tile.share[r] = total(shares) / tile.lower_units[0]
        tile.token[r] = total(token) + tile.input_size * tile.share[r]


# Gradient ---------------------------------------------------------------------------------------

cdef inline void gradient(Tile* tile, vector* rows) noexcept nogil:
    """Take the gradient of h_t to that of a; where it is wanted, also times the input."""
    cdef Py_ssize_t n = tile.n, lane, r, u
    cdef const vector* bias = <const vector*> tile.bias
    cdef const vector* W_x
    cdef const vector* slopes
    cdef vector* row
    cdef vector da, token
    for r in range(tile.first * tile.targets, tile.end * tile.targets):
        lane = r // tile.targets
        row = rows + r * tile.row
        W_x = <const vector*> tile.projection[lane]
        slopes = <const vector*> tile.trace[lane] + SLOPE * n
        fill(&token, 0)
        for u in range(n):
            da = row[HANDED * n + u]
            if tile.from_hidden:
                da = da + row[STARTED * n + u]
            da = da * slopes[u]
            row[OF_A * n + u] = da
            token = token + da * (W_x[u] - bias[u])
        tile.token[r] = total(token)


# Contextual decomposition -----------------------------------------------------------------------

cdef inline void begin_decompose(Tile* tile, vector* rows) noexcept nogil:
    """What the bias alone makes of h."""
    cdef const vector* bias = <const vector*> tile.bias
    cdef vector* of_bias = <vector*> tile.spare
    cdef Py_ssize_t u
    for u in range(tile.n):
        of_bias[u] = activated(bias[u], &tile.activation[0])


cdef inline void decompose(Tile* tile, vector* rows) noexcept nogil:
    """Take the relevant part of h of each lane one step on, given that of a."""
    cdef Py_ssize_t n = tile.n, lane, u
    cdef const vector* bias = <const vector*> tile.bias
    cdef const vector* of_bias = <const vector*> tile.spare
    cdef const vector* trace
    cdef vector* row
    cdef vector* h_part
    for lane in range(tile.first, tile.end):
        row = rows + lane * tile.row
        h_part = row + tile.states
        trace = <const vector*> tile.trace[lane]
        for u in range(n):
            h_part[u] = share_in_activation(
                trace[A * n + u], trace[HIDDEN * n + u], row[u], bias[u], of_bias[u],
                tile.activation[0].kind, &tile.activation[0],
            )
            if tile.in_phrase[lane]:
                h_part[u] = h_part[u] + of_bias[u]


# The cell ---------------------------------------------------------------------------------------

cdef inline void describe(Cell* cell) noexcept:
    """What the drivers are to know of it."""
    cdef Gates only = Gates(1, OF_A, [0, 0, 0, 0])
    cdef Back* way = &cell.relevance
    cell.gates = cell.states = cell.stages = 1
    cell.own = cell.variant = 0
    cell.trace_rows[NOTHING] = 0
    cell.trace_rows[FOR_RELEVANCE], cell.trace_h[FOR_RELEVANCE] = RELEVANCE_ROWS, HIDDEN_BEFORE
    cell.trace_rows[FOR_GATES], cell.trace_h[FOR_GATES] = GATES_ROWS, HIDDEN_BEFORE
    cell.trace_rows[FOR_GRADIENT], cell.trace_h[FOR_GRADIENT] = GRADIENT_ROWS, 0
    cell.stage[0].recurrent, cell.stage[0].writes = Gates(1, 0, [0, 0, 0, 0]), 0
    cell.stage[0].forward = Step(forward[float_vector], forward[double_vector])
    cell.stage[0].decompose = Step(decompose[float_vector], decompose[double_vector])
    cell.begin_decompose = Step(begin_decompose[float_vector], begin_decompose[double_vector])
    way.keep, way.rows, way.stages = FOR_RELEVANCE, SCRATCH, 1
    way.stage[0].step = Step(relevance[float_vector], relevance[double_vector])
    way.stage[0].recurrent, way.stage[0].writes, way.inputs = only, HANDED, only
    cell.relevance_of_gates = cell.relevance
    cell.relevance_of_gates.keep = FOR_GATES
    cell.gradient = cell.relevance
    cell.gradient.keep = FOR_GRADIENT
    cell.gradient.stage[0].step = Step(gradient[float_vector], gradient[double_vector])
