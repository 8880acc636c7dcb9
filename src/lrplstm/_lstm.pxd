"""The steps of an LSTM, forward and back.

Formulas: Hochreiter and Schmidhuber's cell with forget gates; Arras et al. 2017, section 2, for
relevance; Murdoch et al. 2018, section 3, for decomposition. They stand, to be read, in
`lrplstm.backends.reference.lstm`. What belongs to all gates, i, f, g and o, is H numbers for each
in `a`, projections and biases, and a row of n vectors for each in a trace and in scratch.
"""

from lrplstm._activations cimport (
    SIGMOID, TANH, Activation, activated, activated_as, exp, expm1_twice, gated_tanh, slope,
)
from lrplstm._tiles cimport (
    CARRIED, FOR_GATES, FOR_GRADIENT, FOR_RELEVANCE, HANDED, NOTHING, OWN, STARTED, Back, Cell,
    Gates, Rule, Step, Tile,
)
from lrplstm._rules cimport (
    kept, set_factors, share_in_activation, share_of_state, share_product, share_sum,
    shares_nothing,
)
from lrplstm._vectors cimport (
    apart, beyond, double_vector, fill, float_vector, quotient, total, vector, where_above,
)

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


# Forward ----------------------------------------------------------------------------------------

# Activations of the candidate, of the cell state, and of the gates; a variant has others than tanh
# and sigmoid.
cdef enum:
    OF_CANDIDATE = 0
    OF_CELL = 1
    OF_GATES = 2

cdef enum:
    OTHER_ACTIVATIONS = 1
    PEEPHOLES = 2


cdef inline void forward(Tile* tile, vector* rows) noexcept nogil:
    """Take h and c of each lane one step on."""
    cdef Py_ssize_t lane
    if tile.variant:
        for lane in range(tile.first, tile.end):
            _forward_variant(tile, lane, rows + lane * tile.row)
    elif tile.keep == FOR_RELEVANCE:
        _forward(tile, rows, FOR_RELEVANCE)
    elif tile.keep == FOR_GATES:
        _forward(tile, rows, FOR_GATES)
    elif tile.keep == FOR_GRADIENT:
        _forward(tile, rows, FOR_GRADIENT)
    else:
        _forward(tile, rows, NOTHING)


cdef inline void _forward(Tile* tile, vector* rows, int keep) noexcept nogil:
    """`keep` is a constant where this is inlined.

    All lanes go through one loop and then through another, whose inputs are ready long before.
    """
    cdef Py_ssize_t n = tile.n, lane, u
    cdef const vector* a
    cdef const vector* a_f
    cdef const vector* a_g
    cdef const vector* a_o
    cdef vector* h
    cdef vector* c
    cdef vector* trace
    cdef vector exp_i, exp_f, exp_o, expm1_g, expm1_c, i, f, g, o, tanh_c, f_c, i_g
    for lane in range(tile.first, tile.end):
        a = rows + lane * tile.row
        a_f = beyond(a, tile.hidden_size)
        a_g = beyond(a, 2 * tile.hidden_size)
        a_o = beyond(a, 3 * tile.hidden_size)
        h = rows + lane * tile.row + tile.states
        c = h + n
        trace = <vector*> tile.trace[lane]
        for u in range(n):
            exp_i = exp(a[u])
            exp_f = exp(a_f[u])
            expm1_g = expm1_twice(a_g[u])
            f = exp_f / (1 + exp_f)
            f_c = apart(f * c[u])
            i_g = apart(gated_tanh(exp_i, expm1_g))
            if keep == FOR_RELEVANCE:
                trace[KEPT * n + u] = f_c
                trace[ADDED * n + u] = i_g
                trace[PREACTIVATION_G * n + u] = a_g[u]
                trace[HIDDEN_BEFORE * n + u] = h[u]
            elif keep == FOR_GRADIENT:
                i = exp_i / (1 + exp_i)
                g = expm1_g / (2 + expm1_g)
                trace[DA_I * n + u] = i_g * (1 - i)
                trace[DA_F * n + u] = f_c * (1 - f)
                trace[DA_G * n + u] = i * (1 - g * g)
                trace[FORGET * n + u] = f
            elif keep == FOR_GATES:
                trace[GATES * n + u] = exp_i / (1 + exp_i)
                trace[(GATES + 1) * n + u] = f
                trace[(GATES + 2) * n + u] = expm1_g / (2 + expm1_g)
                trace[A * n + u] = a[u]
                trace[(A + 1) * n + u] = a_f[u]
                trace[(A + 2) * n + u] = a_g[u]
                trace[(A + 3) * n + u] = a_o[u]
                trace[CELL_BEFORE * n + u] = c[u]
                trace[HIDDEN_OF_GATES * n + u] = h[u]
            c[u] = f_c + i_g
    for lane in range(tile.first, tile.end):
        a_o = beyond(rows + lane * tile.row, 3 * tile.hidden_size)
        h = rows + lane * tile.row + tile.states
        c = h + n
        trace = <vector*> tile.trace[lane]
        for u in range(n):
            exp_o = exp(a_o[u])
            expm1_c = expm1_twice(c[u])
            h[u] = gated_tanh(exp_o, expm1_c)
            if keep == FOR_GRADIENT:
                o = exp_o / (1 + exp_o)
                tanh_c = expm1_c / (2 + expm1_c)
                trace[DC_DH * n + u] = o * (1 - tanh_c * tanh_c)
                trace[DA_O * n + u] = h[u] * (1 - o)
            elif keep == FOR_GATES:
                trace[(GATES + 3) * n + u] = exp_o / (1 + exp_o)
                trace[TANH_C * n + u] = expm1_c / (2 + expm1_c)


cdef inline void _forward_variant(const Tile* tile, Py_ssize_t lane, vector* row) noexcept nogil:
    """The same with any activations. What stands beyond the units is 0, and c kept from growing."""
    cdef Py_ssize_t n = tile.n, H = tile.hidden_size, u
    cdef const Activation* gate = &tile.activation[OF_GATES]
    cdef const Activation* candidate = &tile.activation[OF_CANDIDATE]
    cdef const Activation* of_cell = &tile.activation[OF_CELL]
    cdef const vector* mask = <const vector*> tile.mask
    cdef const vector* p = <const vector*> tile.peepholes
    cdef const vector* after_i = beyond(<const vector*> row, H)
    cdef const vector* after_f = beyond(<const vector*> row, 2 * H)
    cdef const vector* after_g = beyond(<const vector*> row, 3 * H)
    cdef vector* h = row + tile.states
    cdef vector* c = h + n
    cdef vector* trace = <vector*> tile.trace[lane]
    cdef vector a_i, a_f, a_g, a_o, i, f, g, o, signal, f_c, i_g, c_t
    for u in range(n):
        a_i, a_f = where_above(mask[u], 0, row[u]), where_above(mask[u], 0, after_i[u])
        a_g, a_o = where_above(mask[u], 0, after_f[u]), where_above(mask[u], 0, after_g[u])
        if tile.variant & PEEPHOLES:
            a_i = a_i + p[u] * c[u]
            a_f = a_f + p[n + u] * c[u]
        i = activated(a_i, gate)
        f = activated(a_f, gate)
        g = activated(a_g, candidate)
        f_c = apart(f * c[u])
        i_g = apart(i * g)
        c_t = (f_c + i_g) * mask[u]
        if tile.variant & PEEPHOLES:
            a_o = a_o + p[2 * n + u] * c_t
        o = activated(a_o, gate)
        signal = activated(c_t, of_cell)
        if tile.keep == FOR_RELEVANCE:
            trace[KEPT * n + u] = f_c
            trace[ADDED * n + u] = i_g * mask[u]
            trace[PREACTIVATION_G * n + u] = a_g
            trace[HIDDEN_BEFORE * n + u] = h[u]
        elif tile.keep == FOR_GRADIENT:
            trace[DC_DH * n + u] = o * slope(c_t, signal, of_cell)
            trace[DA_O * n + u] = signal * slope(a_o, o, gate)
            trace[DA_I * n + u] = g * slope(a_i, i, gate) * mask[u]
            trace[DA_F * n + u] = c[u] * slope(a_f, f, gate)
            trace[DA_G * n + u] = i * slope(a_g, g, candidate)
            trace[FORGET * n + u] = f
        elif tile.keep == FOR_GATES:
            trace[GATES * n + u] = i
            trace[(GATES + 1) * n + u] = f
            trace[(GATES + 2) * n + u] = g
            trace[(GATES + 3) * n + u] = o
            trace[A * n + u] = a_i
            trace[(A + 1) * n + u] = a_f
            trace[(A + 2) * n + u] = a_g
            trace[(A + 3) * n + u] = a_o
            trace[CELL_BEFORE * n + u] = c[u]
            trace[TANH_C * n + u] = signal
            trace[HIDDEN_OF_GATES * n + u] = h[u]
        c[u] = c_t
        h[u] = o * signal


# Relevance, all to the signal -------------------------------------------------------------------

cdef enum:
    Q = OWN
    RELEVANCE_SCRATCH = Q + 1


cdef inline void relevance(Tile* tile, vector* rows) noexcept nogil:
    """Take relevance of each lane and target down to c_{t-1} and to q of a^g."""
    if shares_nothing(&tile.rule):
        _relevance_of_products(tile, rows)
    else:
        _relevance_with_shares(tile, rows)


cdef inline void _relevance_of_products(Tile* tile, vector* rows) noexcept nogil:
    cdef Py_ssize_t lane, r
    for lane in range(tile.first, tile.end):
        if tile.targets == 1:
            tile.token[lane] = _relevance_of_one(tile, lane, rows + lane * tile.row)
            continue
        _find_factors(tile, lane, <vector*> tile.spare)
        for r in range(lane * tile.targets, (lane + 1) * tile.targets):
            tile.token[r] = _relevance_by_factors(tile, lane, rows + r * tile.row)


cdef inline double _relevance_of_one(
    const Tile* tile, Py_ssize_t lane, vector* row
) noexcept nogil:
    """Take relevance of one lane and target down; return that of the token."""
    cdef Py_ssize_t n = tile.n, u
    cdef const vector* W_x = beyond(
        <const vector*> tile.projection[lane], 2 * tile.hidden_size
    )
    cdef const vector* bias = beyond(<const vector*> tile.bias, 2 * tile.hidden_size)
    cdef const vector* trace = <const vector*> tile.trace[lane]
    cdef const vector* h = <const vector*> tile.h[lane]
    cdef vector epsilon, of_c, of_q, R, q, token
    fill(&epsilon, tile.rule.epsilon)
    fill(&token, 0)
    for u in range(n):
        set_factors(
            trace[KEPT * n + u], trace[ADDED * n + u], trace[PREACTIVATION_G * n + u], epsilon,
            &of_c, &of_q,
        )
        # R_h = h * (W_hh^g.T @ q), and h = o tanh(c) gives it all to c.
        R = row[CARRIED * n + u] + h[u] * row[HANDED * n + u]
        if tile.from_hidden:
            R = R + row[STARTED * n + u]
        q = of_q * R
        row[CARRIED * n + u] = of_c * R
        row[Q * n + u] = q
        token = token + q * (W_x[u] - bias[u])
    return total(token)


cdef inline void _find_factors(
    const Tile* tile, Py_ssize_t lane, vector* factors
) noexcept nogil:
    """Factors are the same for all targets."""
    cdef Py_ssize_t n = tile.n, u
    cdef const vector* W_x = beyond(
        <const vector*> tile.projection[lane], 2 * tile.hidden_size
    )
    cdef const vector* bias = beyond(<const vector*> tile.bias, 2 * tile.hidden_size)
    cdef const vector* trace = <const vector*> tile.trace[lane]
    cdef vector epsilon
    fill(&epsilon, tile.rule.epsilon)
    for u in range(n):
        set_factors(
            trace[KEPT * n + u], trace[ADDED * n + u], trace[PREACTIVATION_G * n + u], epsilon,
            &factors[u], &factors[n + u],
        )
        factors[2 * n + u] = W_x[u] - bias[u]


cdef inline double _relevance_by_factors(
    const Tile* tile, Py_ssize_t lane, vector* row
) noexcept nogil:
    """The same as `_relevance_of_one`, with factors that were found before."""
    cdef Py_ssize_t n = tile.n, u
    cdef const vector* factors = <const vector*> tile.spare
    cdef const vector* h = <const vector*> tile.h[lane]
    cdef vector R, q, token
    fill(&token, 0)
    for u in range(n):
        R = row[CARRIED * n + u] + h[u] * row[HANDED * n + u]
        if tile.from_hidden:
            R = R + row[STARTED * n + u]
        q = factors[n + u] * R
        row[CARRIED * n + u] = factors[u] * R
        row[Q * n + u] = q
        token = token + q * factors[2 * n + u]
    return total(token)


cdef inline void _relevance_with_shares(Tile* tile, vector* rows) noexcept nogil:
    cdef Py_ssize_t n = tile.n, lane, r, u
    cdef const vector* mask = <const vector*> tile.mask
    cdef const vector* W_x
    cdef const vector* bias = beyond(<const vector*> tile.bias, 2 * tile.hidden_size)
    cdef const vector* trace
    cdef vector* row
    cdef vector epsilon, z, R, q, share, shares, token
    cdef Rule rule = tile.rule
    fill(&epsilon, rule.epsilon)
    for r in range(tile.first * tile.targets, tile.end * tile.targets):
        lane = r // tile.targets
        row = rows + r * tile.row
        W_x = beyond(<const vector*> tile.projection[lane], 2 * tile.hidden_size)
        trace = <const vector*> tile.trace[lane]
        # R_h = h * (W_hh^g.T @ q) + share; h = o tanh(c) gives it all to c_t = f c_{t-1} + i g.
        share = share_of_state(
            tile, r, row, <const vector*> tile.h[lane], trace + KEPT * n, trace + ADDED * n
        )
        fill(&shares, 0)
        fill(&token, 0)
        for u in range(n):
            R = share_sum(
                trace[KEPT * n + u], trace[ADDED * n + u], share * mask[u], epsilon,
                &row[CARRIED * n + u],
            )
            # a^g = W_ih^g x_t + W_hh^g h_{t-1} + b^g: D + H units.
            z = trace[PREACTIVATION_G * n + u]
            q = quotient(z, R, epsilon)
            row[Q * n + u] = q
            token = token + q * (W_x[u] - bias[u])
            shares = shares + kept(q, z, bias[u], &rule)
        tile.share[r] = total(shares) / tile.lower_units[2]
        tile.token[r] = total(token) + tile.input_size * tile.share[r]


# Relevance, to gates too ------------------------------------------------------------------------

cdef enum:
    Q_GATES = OWN
    GATES_SCRATCH = Q_GATES + 4


cdef inline void relevance_of_gates(Tile* tile, vector* rows) noexcept nogil:
    """Take relevance of each lane and target down to c_{t-1} and to q of all gates."""
    cdef Py_ssize_t lane, r
    for r in range(tile.first * tile.targets, tile.end * tile.targets):
        lane = r // tile.targets
        _relevance_of_gates(tile, lane, rows + r * tile.row, r)


cdef inline void _relevance_of_gates(
    Tile* tile, Py_ssize_t lane, vector* row, Py_ssize_t r
) noexcept nogil:
    cdef Py_ssize_t n = tile.n, gate, u
    cdef const vector* mask = <const vector*> tile.mask
    cdef const vector* trace = <const vector*> tile.trace[lane]
    cdef const vector* i = trace + GATES * n
    cdef const vector* f = trace + (GATES + 1) * n
    cdef const vector* g = trace + (GATES + 2) * n
    cdef const vector* o = trace + (GATES + 3) * n
    cdef const vector* c_before = trace + CELL_BEFORE * n
    cdef const vector* tanh_c = trace + TANH_C * n
    cdef const vector* p = <const vector*> tile.peepholes
    cdef const vector* h = <const vector*> tile.h[lane]
    cdef vector* R_c = row + CARRIED * n
    cdef vector* q = row + Q_GATES * n
    cdef double shares[4]
    cdef double share
    cdef vector epsilon, nothing, z, R, R_gate, R_signal, q_c, share_h, share_c, kept_c, token
    fill(&epsilon, tile.rule.epsilon)
    fill(&nothing, 0)
    fill(&share_h, tile.share[r])
    token = nothing
    # h = o tanh(c); R_h = h * (W_hh.T @ q) + share, and what starts here.
    for u in range(n):
        R = h[u] * row[HANDED * n + u] + share_h * mask[u]
        if tile.from_hidden:
            R = R + row[STARTED * n + u]
        share_product(o[u], tanh_c[u], R, &tile.rule, &R_gate, &R_signal)
        q[3 * n + u] = R_gate
        R_c[u] = R_c[u] + R_signal
    shares[3] = _through_gate(tile, lane, row, 3, &token)
    if tile.variant & PEEPHOLES:
        fill(&share_c, shares[3])
        for u in range(n):
            z = f[u] * c_before[u] + i[u] * g[u]
            R_c[u] = R_c[u] + z * p[2 * n + u] * q[3 * n + u] + share_c * mask[u]
    # c_t = f c_{t-1} + i g: identity weights, no bias, 2H units.
    kept_c = nothing
    for u in range(n):
        z = f[u] * c_before[u] + i[u] * g[u]
        kept_c = kept_c + kept(quotient(z, R_c[u], epsilon), z, nothing, &tile.rule)
    fill(&share_c, total(kept_c) / (2 * tile.hidden_size))
    for u in range(n):
        q_c = quotient(f[u] * c_before[u] + i[u] * g[u], R_c[u], epsilon)
        R = f[u] * c_before[u] * q_c + share_c * mask[u]
        share_product(f[u], c_before[u], R, &tile.rule, &R_gate, &R_signal)
        q[n + u] = R_gate
        R_c[u] = R_signal
        R = i[u] * g[u] * q_c + share_c * mask[u]
        share_product(i[u], g[u], R, &tile.rule, &R_gate, &R_signal)
        q[u] = R_gate
        q[2 * n + u] = R_signal
    for gate in range(3):
        shares[gate] = _through_gate(tile, lane, row, gate, &token)
    if tile.variant & PEEPHOLES:
        fill(&share_c, shares[0] + shares[1])
        for u in range(n):
            R = p[u] * q[u] + p[n + u] * q[n + u]
            R_c[u] = R_c[u] + c_before[u] * R + share_c * mask[u]
    share = shares[1] + shares[2] + shares[3]
    if tile.static_inputs == 0:
        share = share + shares[0]
    tile.share[r], tile.static_share[r] = share, shares[0]
    tile.token[r] = total(token) + tile.input_size * share + tile.static_inputs * shares[0]


cdef inline double _through_gate(
    const Tile* tile, Py_ssize_t lane, vector* row, Py_ssize_t gate, vector* token
) noexcept nogil:
    """Take relevance of a pre-activation to its q; return the share of each unit below.

    a = W_ih x_t + W_hh h_{t-1} + b, and p c: D + H units, or D + 2H.
    """
    cdef Py_ssize_t n = tile.n, u
    cdef const vector* a = <const vector*> tile.trace[lane] + (A + gate) * n
    cdef const vector* W_x = beyond(<const vector*> tile.projection[lane], gate * tile.hidden_size)
    cdef const vector* bias = beyond(<const vector*> tile.bias, gate * tile.hidden_size)
    cdef vector* q = row + (Q_GATES + gate) * n
    cdef vector epsilon, shares
    fill(&epsilon, tile.rule.epsilon)
    fill(&shares, 0)
    for u in range(n):
        q[u] = quotient(a[u], q[u], epsilon)
        token[0] = token[0] + q[u] * (W_x[u] - bias[u])
        shares = shares + kept(q[u], a[u], bias[u], &tile.rule)
    return total(shares) / tile.lower_units[gate]


# Gradient ---------------------------------------------------------------------------------------

cdef enum:
    DA = OWN
    GRADIENT_SCRATCH = DA + 4


cdef inline void gradient(Tile* tile, vector* rows) noexcept nogil:
    """Take the gradients of h_t and c_t to those of c_{t-1} and of the pre-activations."""
    if tile.times_input:
        _gradient(tile, rows, True)
    else:
        _gradient(tile, rows, False)


cdef inline void _gradient(Tile* tile, vector* rows, bint times_input) noexcept nogil:
    """`times_input` is a constant where this is inlined."""
    cdef Py_ssize_t n = tile.n, H = tile.hidden_size, r, u
    cdef bint from_hidden = tile.from_hidden, peeps = tile.variant & PEEPHOLES
    cdef const vector* p = <const vector*> tile.peepholes
    cdef const vector* b_i = <const vector*> tile.bias
    cdef const vector* b_f = beyond(b_i, H)
    cdef const vector* b_g = beyond(b_i, 2 * H)
    cdef const vector* b_o = beyond(b_i, 3 * H)
    cdef const vector* W_i
    cdef const vector* W_f
    cdef const vector* W_g
    cdef const vector* W_o
    cdef const vector* trace
    cdef vector* row
    cdef vector dh, dc, da_i, da_f, da_g, da_o, token
    for r in range(tile.first * tile.targets, tile.end * tile.targets):
        row = rows + r * tile.row
        trace = <const vector*> tile.trace[r // tile.targets]
        W_i = <const vector*> tile.projection[r // tile.targets]
        W_f = beyond(W_i, H)
        W_g = beyond(W_i, 2 * H)
        W_o = beyond(W_i, 3 * H)
        fill(&token, 0)
        for u in range(n):
            dh = row[HANDED * n + u]
            if from_hidden:
                dh = dh + row[STARTED * n + u]
            dc = row[CARRIED * n + u] + dh * trace[DC_DH * n + u]
            da_o = dh * trace[DA_O * n + u]
            if peeps:
                dc = dc + p[2 * n + u] * da_o
            da_i = dc * trace[DA_I * n + u]
            da_f = dc * trace[DA_F * n + u]
            da_g = dc * trace[DA_G * n + u]
            row[DA * n + u] = da_i
            row[(DA + 1) * n + u] = da_f
            row[(DA + 2) * n + u] = da_g
            row[(DA + 3) * n + u] = da_o
            dc = dc * trace[FORGET * n + u]
            if peeps:
                dc = dc + p[u] * da_i + p[n + u] * da_f
            row[CARRIED * n + u] = dc
            if times_input:  # x . (W_ih.T @ da), which is da . (W_ih @ x)
                token = token + da_i * (W_i[u] - b_i[u]) + da_f * (W_f[u] - b_f[u])
                token = token + da_g * (W_g[u] - b_g[u]) + da_o * (W_o[u] - b_o[u])
        if times_input:
            tile.token[r] = total(token)


# Contextual decomposition -----------------------------------------------------------------------

cdef inline void begin_decompose(Tile* tile, vector* rows) noexcept nogil:
    """What the biases alone make of i, f and g."""
    cdef Py_ssize_t n = tile.n, u
    cdef const vector* b = <const vector*> tile.bias
    cdef const vector* b_f = beyond(b, tile.hidden_size)
    cdef const vector* b_g = beyond(b, 2 * tile.hidden_size)
    cdef vector* of_bias = <vector*> tile.spare
    for u in range(n):
        of_bias[u] = activated(b[u], &tile.activation[OF_GATES])
        of_bias[n + u] = activated(b_f[u], &tile.activation[OF_GATES])
        of_bias[2 * n + u] = activated(b_g[u], &tile.activation[OF_CANDIDATE])


cdef inline void decompose(Tile* tile, vector* rows) noexcept nogil:
    """Take the relevant parts of h and c of each lane one step on, given those of a."""
    cdef Py_ssize_t lane
    for lane in range(tile.first, tile.end):
        if tile.variant:
            _decompose(tile, lane, rows + lane * tile.row, True)
        else:
            _decompose(tile, lane, rows + lane * tile.row, False)


cdef inline void _decompose(
    const Tile* tile, Py_ssize_t lane, vector* row, bint is_variant
) noexcept nogil:
    """Take the relevant parts of one lane one step on; `is_variant` is a constant.

    Of i g what has a relevant factor and none that is irrelevant is relevant, biases being neither;
    o is as it is.
    """
    cdef Py_ssize_t n = tile.n, H = tile.hidden_size, u
    cdef const vector* trace = <const vector*> tile.trace[lane]
    cdef const vector* i = trace + GATES * n
    cdef const vector* f = i + n
    cdef const vector* g = f + n
    cdef const vector* o = g + n
    cdef const vector* a = trace + A * n
    cdef const vector* c_before = trace + CELL_BEFORE * n
    cdef const vector* tanh_c = trace + TANH_C * n
    cdef const vector* part_i = row
    cdef const vector* part_f = beyond(part_i, H)
    cdef const vector* part_g = beyond(part_i, 2 * H)
    cdef const vector* b = <const vector*> tile.bias
    cdef const vector* b_f = beyond(b, H)
    cdef const vector* b_g = beyond(b, 2 * H)
    cdef const vector* bias_i = <const vector*> tile.spare
    cdef const vector* bias_f = bias_i + n
    cdef const vector* bias_g = bias_f + n
    cdef const vector* p = <const vector*> tile.peepholes
    cdef const vector* mask = <const vector*> tile.mask
    cdef const Activation* gate = &tile.activation[OF_GATES]
    cdef const Activation* candidate = &tile.activation[OF_CANDIDATE]
    cdef const Activation* of_cell = &tile.activation[OF_CELL]
    cdef bint peeps = is_variant and tile.variant & PEEPHOLES
    cdef int of_gates = gate.kind if is_variant else SIGMOID
    cdef int of_candidate = candidate.kind if is_variant else TANH
    cdef int of_c = of_cell.kind if is_variant else TANH
    cdef vector* h_part = row + tile.states
    cdef vector* c_part = h_part + n
    cdef vector share_i, share_f, share_g, part, other, nothing
    fill(&nothing, 0)
    for u in range(n):
        part, other = part_i[u], part_f[u]
        if peeps:
            part, other = part + p[u] * c_part[u], other + p[n + u] * c_part[u]
        share_i = share_in_activation(a[u], i[u], part, b[u], bias_i[u], of_gates, gate)
        share_f = share_in_activation(a[n + u], f[u], other, b_f[u], bias_f[u], of_gates, gate)
        share_g = share_in_activation(
            a[2 * n + u], g[u], part_g[u], b_g[u], bias_g[u], of_candidate, candidate
        )
        part = (share_f + bias_f[u]) * c_part[u]
        part = part + share_i * (share_g + bias_g[u]) + bias_i[u] * share_g
        if tile.in_phrase[lane]:
            part = part + bias_i[u] * bias_g[u]
        c_part[u] = part * mask[u]
    for u in range(n):
        part = f[u] * c_before[u] + i[u] * g[u]
        part = share_in_activation(
            part, tanh_c[u], c_part[u], nothing, activated_as(of_c, nothing, of_cell), of_c, of_cell
        )
        h_part[u] = o[u] * part


# The cell ---------------------------------------------------------------------------------------

cdef inline void describe(Cell* cell, bint other_activations, bint peepholes) noexcept:
    """What the drivers are to know of it."""
    cdef Back* way
    cell.gates = 4
    cell.states, cell.own, cell.stages, cell.peeps = 2, 0, 1, peepholes
    cell.variant = OTHER_ACTIVATIONS * other_activations + PEEPHOLES * peepholes
    cell.trace_rows[NOTHING] = 0
    cell.trace_rows[FOR_RELEVANCE], cell.trace_h[FOR_RELEVANCE] = RELEVANCE_ROWS, HIDDEN_BEFORE
    cell.trace_rows[FOR_GATES], cell.trace_h[FOR_GATES] = GATES_ROWS, HIDDEN_OF_GATES
    cell.trace_rows[FOR_GRADIENT], cell.trace_h[FOR_GRADIENT] = GRADIENT_ROWS, 0
    cell.stage[0].recurrent, cell.stage[0].writes = Gates(4, 0, [0, 1, 2, 3]), 0
    cell.stage[0].forward = Step(forward[float_vector], forward[double_vector])
    cell.stage[0].decompose = Step(decompose[float_vector], decompose[double_vector])
    cell.begin_decompose = Step(begin_decompose[float_vector], begin_decompose[double_vector])
    way = &cell.relevance
    way.keep, way.rows, way.stages = FOR_RELEVANCE, RELEVANCE_SCRATCH, 1
    way.stage[0].step = Step(relevance[float_vector], relevance[double_vector])
    way.stage[0].recurrent, way.stage[0].writes = Gates(1, Q, [2, 0, 0, 0]), HANDED
    way.inputs = way.stage[0].recurrent
    way = &cell.relevance_of_gates
    way.keep, way.rows, way.stages = FOR_GATES, GATES_SCRATCH, 1
    way.stage[0].step = Step(relevance_of_gates[float_vector], relevance_of_gates[double_vector])
    way.stage[0].recurrent, way.stage[0].writes = Gates(4, Q_GATES, [0, 1, 2, 3]), HANDED
    way.inputs = way.stage[0].recurrent
    way = &cell.gradient
    way.keep, way.rows, way.stages = FOR_GRADIENT, GRADIENT_SCRATCH, 1
    way.stage[0].step = Step(gradient[float_vector], gradient[double_vector])
    way.stage[0].recurrent, way.stage[0].writes = Gates(4, DA, [0, 1, 2, 3]), HANDED
    way.inputs = way.stage[0].recurrent
