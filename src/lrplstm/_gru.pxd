"""The steps of a gated recurrent unit, forward and back.

Formulas: Cho et al. 2014, with the reset gate after or before the matrix product. They stand, to be
read, in `lrplstm.backends.reference.gru`, and are derived in docs/layers.md. What belongs to all
gates is H numbers for each in `a`, projections and biases: r, z and n; of biases then also that of
what r multiplies, where r stands after the product. It is a row of n vectors for each in a trace
and in scratch.
"""

from lrplstm._activations cimport Activation, activated, exp, expm1_twice, sigmoid, slope
from lrplstm._rules cimport (
    kept, set_factors, share_in_activation, share_of_state, share_product, share_sum,
    shares_nothing,
)
from lrplstm._tiles cimport (
    CARRIED, FOR_GATES, FOR_GRADIENT, FOR_RELEVANCE, HANDED, NOTHING, OWN, STARTED, Back, Cell,
    Gates, Rule, Step, Tile,
)
from lrplstm._vectors cimport (
    apart, beyond, double_vector, fill, float_vector, quotient, total, vector, where_above,
)

# What variants there are, and activations of the candidate and of the gates: others than tanh and
# sigmoid.
cdef enum:
    RESET_AFTER = 1
    OTHER_ACTIVATIONS = 2

cdef enum:
    OF_CANDIDATE = 0
    OF_GATES = 1

# What a trace keeps of a step, in rows of units. The last is r; or r h_{t-1} where r stands before
# the product, as what reaches h_{t-1} through a^n is then multiplied by that.
cdef enum:
    KEPT = 0
    ADDED = 1
    PREACTIVATION_N = 2
    RESET = 3
    RELEVANCE_ROWS = 4

cdef enum:
    R_GATE = 0
    Z_GATE = 1
    N_GATE = 2
    A_R = 3
    A_Z = 4
    A_N = 5
    HIDDEN_BEFORE = 6
    GATES_ROWS = 7

cdef enum:
    DA_R = 0
    DA_Z = 1
    DA_N = 2
    R_OF_GRADIENT = 3
    Z_OF_GRADIENT = 4
    GRADIENT_ROWS = 5


# Forward ----------------------------------------------------------------------------------------

# Rows of units of a lane behind h.
cdef enum:
    LANE_R = 1
    LANE_R_H = 2  # where r stands before the product


cdef inline void reset(Tile* tile, vector* rows) noexcept nogil:
    """r, and where it stands before the product r h_{t-1}."""
    cdef Py_ssize_t n = tile.n, lane, u
    cdef vector* a_r
    cdef vector* h
    for lane in range(tile.first, tile.end):
        a_r = rows + lane * tile.row
        h = a_r + tile.states
        for u in range(n):
            if tile.variant & OTHER_ACTIVATIONS:
                h[LANE_R * n + u] = activated(
                    where_above((<const vector*> tile.mask)[u], 0, a_r[u]),
                    &tile.activation[OF_GATES],
                )
            else:
                h[LANE_R * n + u] = sigmoid(a_r[u])
            if not tile.variant & RESET_AFTER:
                h[LANE_R_H * n + u] = h[LANE_R * n + u] * h[u]


cdef inline void forward(Tile* tile, vector* rows) noexcept nogil:
    """Take h of each lane one step on, r being there."""
    cdef Py_ssize_t lane
    if tile.variant & OTHER_ACTIVATIONS:
        for lane in range(tile.first, tile.end):
            _forward_variant(tile, lane, rows + lane * tile.row)
    elif tile.variant & RESET_AFTER:
        _forward_of(tile, rows, True)
    else:
        _forward_of(tile, rows, False)


cdef inline void _forward_of(Tile* tile, vector* rows, bint reset_after) noexcept nogil:
    if tile.keep == FOR_RELEVANCE:
        _forward(tile, rows, reset_after, FOR_RELEVANCE)
    elif tile.keep == FOR_GATES:
        _forward(tile, rows, reset_after, FOR_GATES)
    elif tile.keep == FOR_GRADIENT:
        _forward(tile, rows, reset_after, FOR_GRADIENT)
    else:
        _forward(tile, rows, reset_after, NOTHING)


cdef inline void _forward(Tile* tile, vector* rows, bint reset_after, int keep) noexcept nogil:
    """h_t = z h_{t-1} + (1 - z) n; `reset_after` and `keep` are constants where this is inlined.

    With e = e^z and E = e^2n - 1 of the pre-activations, z = e / (1 + e) and n = E / (2 + E): both
    products take one division.
    """
    cdef Py_ssize_t n = tile.n, lane, u
    cdef const vector* a_r
    cdef const vector* a_z
    cdef const vector* a_n
    cdef const vector* x_n
    cdef vector* h
    cdef vector* trace
    cdef vector r, z, exp_z, expm1_n, inverse, signal, z_h, n_z
    for lane in range(tile.first, tile.end):
        a_r = rows + lane * tile.row
        a_z = beyond(a_r, tile.hidden_size)
        a_n = beyond(a_r, 2 * tile.hidden_size)
        x_n = beyond(<const vector*> tile.projection[lane], 2 * tile.hidden_size)
        h = rows + lane * tile.row + tile.states
        trace = <vector*> tile.trace[lane]
        for u in range(n):
            r = h[LANE_R * n + u]
            signal = x_n[u] + r * a_n[u] if reset_after else a_n[u]
            exp_z = exp(a_z[u])
            expm1_n = expm1_twice(signal)
            inverse = 1 / ((1 + exp_z) * (2 + expm1_n))
            z_h = apart(exp_z * (2 + expm1_n) * inverse * h[u])
            n_z = apart(expm1_n * inverse)
            if keep == FOR_RELEVANCE:
                trace[KEPT * n + u] = z_h
                trace[ADDED * n + u] = n_z
                trace[PREACTIVATION_N * n + u] = signal
                trace[RESET * n + u] = r if reset_after else h[LANE_R_H * n + u]
            elif keep == FOR_GATES:
                trace[R_GATE * n + u] = r
                trace[Z_GATE * n + u] = exp_z / (1 + exp_z)
                trace[N_GATE * n + u] = expm1_n / (2 + expm1_n)
                trace[A_R * n + u] = a_r[u]
                trace[A_Z * n + u] = a_z[u]
                trace[A_N * n + u] = signal
                trace[HIDDEN_BEFORE * n + u] = h[u]
            elif keep == FOR_GRADIENT:
                z = exp_z / (1 + exp_z)
                signal = expm1_n / (2 + expm1_n)
                trace[DA_R * n + u] = (a_n[u] if reset_after else h[u]) * (r * (1 - r))
                trace[DA_Z * n + u] = (h[u] - signal) * z * (1 - z)
                trace[DA_N * n + u] = (1 - z) * (1 - signal * signal)
                trace[R_OF_GRADIENT * n + u] = r
                trace[Z_OF_GRADIENT * n + u] = z
            h[u] = z_h + n_z


cdef inline void _forward_variant(const Tile* tile, Py_ssize_t lane, vector* row) noexcept nogil:
    """The same with any activations. What stands beyond the units is 0, and h kept from growing."""
    cdef Py_ssize_t n = tile.n, u
    cdef const Activation* gate = &tile.activation[OF_GATES]
    cdef const Activation* candidate = &tile.activation[OF_CANDIDATE]
    cdef const vector* mask = <const vector*> tile.mask
    cdef const vector* x_n = beyond(<const vector*> tile.projection[lane], 2 * tile.hidden_size)
    cdef const vector* after_r = beyond(<const vector*> row, tile.hidden_size)
    cdef const vector* a_n = beyond(<const vector*> row, 2 * tile.hidden_size)
    cdef vector* h = row + tile.states
    cdef vector* trace = <vector*> tile.trace[lane]
    cdef vector r, z, a, a_r, a_z, signal, z_h, n_z
    for u in range(n):
        r = h[LANE_R * n + u]
        a = a_n[u]
        if tile.variant & RESET_AFTER:
            a = x_n[u] + r * a
        a = where_above(mask[u], 0, a)
        a_r, a_z = where_above(mask[u], 0, row[u]), where_above(mask[u], 0, after_r[u])
        z = activated(a_z, gate)
        signal = activated(a, candidate)
        z_h = apart(z * h[u])
        n_z = apart((1 - z) * signal * mask[u])
        if tile.keep == FOR_RELEVANCE:
            trace[KEPT * n + u] = z_h
            trace[ADDED * n + u] = n_z
            trace[PREACTIVATION_N * n + u] = a
            trace[RESET * n + u] = r if tile.variant & RESET_AFTER else h[LANE_R_H * n + u]
        elif tile.keep == FOR_GATES:
            trace[R_GATE * n + u] = r
            trace[Z_GATE * n + u] = z
            trace[N_GATE * n + u] = signal
            trace[A_R * n + u] = a_r
            trace[A_Z * n + u] = a_z
            trace[A_N * n + u] = a
            trace[HIDDEN_BEFORE * n + u] = h[u]
        elif tile.keep == FOR_GRADIENT:
            trace[DA_R * n + u] = slope(a_r, r, gate)
            trace[DA_R * n + u] *= a_n[u] if tile.variant & RESET_AFTER else h[u]
            trace[DA_Z * n + u] = (h[u] - signal) * slope(a_z, z, gate)
            trace[DA_N * n + u] = (1 - z) * slope(a, signal, candidate)
            trace[R_OF_GRADIENT * n + u] = r
            trace[Z_OF_GRADIENT * n + u] = z
        h[u] = z_h + n_z


# Relevance, all to the signal -------------------------------------------------------------------

cdef enum:
    Q = OWN
    R_Q = Q + 1
    RELEVANCE_SCRATCH = Q + 2


cdef inline void relevance(Tile* tile, vector* rows) noexcept nogil:
    """Take relevance of each lane and target down to h_{t-1} and to q of a^n."""
    if not shares_nothing(&tile.rule):
        _relevance_with_shares(tile, rows)
    elif tile.variant & RESET_AFTER:
        _relevance_of_products(tile, rows, True)
    else:
        _relevance_of_products(tile, rows, False)


cdef inline void _relevance_of_products(Tile* tile, vector* rows, bint reset_after) noexcept nogil:
    """Where nothing is shared out, both quotients take one division."""
    cdef Py_ssize_t n = tile.n, n_at = 2 * tile.hidden_size, lane, r, u
    cdef bint from_hidden = tile.from_hidden, to_inputs = tile.to_inputs
    cdef const vector* W_x
    cdef const vector* bias = beyond(<const vector*> tile.bias, n_at)
    cdef const vector* trace
    cdef const vector* h
    cdef vector* row
    cdef vector epsilon, of_h, of_q, R, q, token
    fill(&epsilon, tile.rule.epsilon)
    for r in range(tile.first * tile.targets, tile.end * tile.targets):
        lane = r // tile.targets
        row = rows + r * tile.row
        W_x = beyond(<const vector*> tile.projection[lane], n_at)
        trace = <const vector*> tile.trace[lane]
        h = <const vector*> tile.h[lane]
        fill(&token, 0)
        for u in range(n):
            set_factors(
                trace[KEPT * n + u], trace[ADDED * n + u], trace[PREACTIVATION_N * n + u],
                epsilon, &of_h, &of_q,
            )
            # What is handed on is diag(r) W_hn, or W_hn diag(r), of q.
            if reset_after:
                R = (trace[KEPT * n + u] + trace[ADDED * n + u]) * row[HANDED * n + u]
            else:
                R = h[u] * row[HANDED * n + u]
            R = R + row[CARRIED * n + u]
            if from_hidden:
                R = R + row[STARTED * n + u]
            q = of_q * R
            row[CARRIED * n + u] = of_h * R
            if reset_after:
                row[R_Q * n + u] = trace[RESET * n + u] * q
            if to_inputs or not reset_after:
                row[Q * n + u] = q
            token = token + q * (W_x[u] - bias[u])
        tile.token[r] = total(token)


cdef inline void _relevance_with_shares(Tile* tile, vector* rows) noexcept nogil:
    cdef Py_ssize_t n = tile.n, n_at = 2 * tile.hidden_size, lane, r, u
    cdef const vector* mask = <const vector*> tile.mask
    cdef const vector* W_x
    cdef const vector* b_n = beyond(<const vector*> tile.bias, n_at)
    cdef const vector* b_hn = beyond(<const vector*> tile.bias, 3 * tile.hidden_size)
    cdef const vector* trace
    cdef const vector* h
    cdef vector* row
    cdef vector epsilon, z, R, q, bias, share, shares, token
    cdef Rule rule = tile.rule
    fill(&epsilon, rule.epsilon)
    for r in range(tile.first * tile.targets, tile.end * tile.targets):
        lane = r // tile.targets
        row = rows + r * tile.row
        W_x = beyond(<const vector*> tile.projection[lane], n_at)
        trace = <const vector*> tile.trace[lane]
        # h_t = z h_{t-1} + (1 - z) n
        h = NULL
        if not tile.variant & RESET_AFTER:
            h = <const vector*> tile.h[lane]
        share = share_of_state(tile, r, row, h, trace + KEPT * n, trace + ADDED * n)
        fill(&shares, 0)
        fill(&token, 0)
        for u in range(n):
            R = share_sum(
                trace[KEPT * n + u], trace[ADDED * n + u], share * mask[u], epsilon,
                &row[CARRIED * n + u],
            )
            # a^n = W_in x_t + r W_hn h_{t-1} + b_in + r b_hn: D + H units, r a constant.
            z = trace[PREACTIVATION_N * n + u]
            q = quotient(z, R, epsilon)
            row[Q * n + u] = q
            row[R_Q * n + u] = trace[RESET * n + u] * q
            token = token + q * (W_x[u] - b_n[u])
            bias = b_n[u]
            if tile.variant & RESET_AFTER:
                bias = bias + trace[RESET * n + u] * b_hn[u]
            shares = shares + kept(q, z, bias, &rule)
        tile.share[r] = total(shares) / tile.lower_units[2]
        tile.token[r] = total(token) + tile.input_size * tile.share[r]


# Relevance, to gates too ------------------------------------------------------------------------

cdef enum:
    Q_N = OWN
    Q_Z = Q_N + 1
    R_Q_N = Q_N + 2  # or what the product with W_hn hands on to r h_{t-1}
    GATES_SCRATCH = Q_N + 3


cdef inline void relevance_of_gates(Tile* tile, vector* rows) noexcept nogil:
    """Take relevance of each lane and target down to h_{t-1} and to q of a^z and a^n."""
    cdef Py_ssize_t lane, r
    for r in range(tile.first * tile.targets, tile.end * tile.targets):
        lane = r // tile.targets
        _relevance_of_gates(tile, lane, rows + r * tile.row, &tile.share[r], &tile.token[r])


cdef inline void _relevance_of_gates(
    const Tile* tile, Py_ssize_t lane, vector* row, double* share, double* of_token
) noexcept nogil:
    cdef Py_ssize_t n = tile.n, H = tile.hidden_size, n_at = 2 * H, u
    cdef const vector* mask = <const vector*> tile.mask
    cdef const vector* trace = <const vector*> tile.trace[lane]
    cdef const vector* r = trace + R_GATE * n
    cdef const vector* z = trace + Z_GATE * n
    cdef const vector* signal = trace + N_GATE * n
    cdef const vector* a_z = trace + A_Z * n
    cdef const vector* a_n = trace + A_N * n
    cdef const vector* h_before = trace + HIDDEN_BEFORE * n
    cdef const vector* h = <const vector*> tile.h[lane]
    cdef const vector* x_z = beyond(<const vector*> tile.projection[lane], H)
    cdef const vector* x_n = beyond(<const vector*> tile.projection[lane], n_at)
    cdef const vector* b_z = beyond(<const vector*> tile.bias, H)
    cdef const vector* b_hn = beyond(<const vector*> tile.bias, 3 * H)
    cdef const vector* b_n = beyond(<const vector*> tile.bias, n_at)
    cdef vector* R_h = row + CARRIED * n
    cdef vector epsilon, nothing, h_t, R, R_keep, R_renew, R_n, q, bias, share_h, token, shares
    fill(&epsilon, tile.rule.epsilon)
    fill(&nothing, 0)
    fill(&share_h, share[0])
    shares = nothing
    for u in range(n):
        R = R_h[u] + h[u] * row[HANDED * n + u] + share_h * mask[u]
        if tile.from_hidden:
            R = R + row[STARTED * n + u]
        R_h[u] = R
        h_t = z[u] * h_before[u] + (1 - z[u]) * signal[u]
        shares = shares + kept(quotient(h_t, R, epsilon), h_t, nothing, &tile.rule)
    # h_t = z h_{t-1} + (1 - z) n: identity weights, no bias, 2H units.
    fill(&share_h, total(shares) / (2 * H))
    shares = nothing
    token = nothing
    for u in range(n):
        h_t = z[u] * h_before[u] + (1 - z[u]) * signal[u]
        q = quotient(h_t, R_h[u], epsilon)
        R = z[u] * h_before[u] * q + share_h * mask[u]
        share_product(z[u], h_before[u], R, &tile.rule, &R_keep, &R)
        R_h[u] = R
        R = (1 - z[u]) * signal[u] * q + share_h * mask[u]
        share_product(1 - z[u], signal[u], R, &tile.rule, &R_renew, &R_n)
        # a^z = W_iz x_t + W_hz h_{t-1} + b, and a^n with r a constant: D + H units each.
        q = quotient(a_z[u], R_keep + R_renew, epsilon)
        row[Q_Z * n + u] = q
        token = token + q * (x_z[u] - b_z[u])
        shares = shares + kept(q, a_z[u], b_z[u], &tile.rule)
        q = quotient(a_n[u], R_n, epsilon)
        row[Q_N * n + u] = q
        row[R_Q_N * n + u] = r[u] * q
        token = token + q * (x_n[u] - b_n[u])
        bias = b_n[u]
        if tile.variant & RESET_AFTER:
            bias = bias + r[u] * b_hn[u]
        shares = shares + kept(q, a_n[u], bias, &tile.rule)
    share[0] = total(shares) / tile.lower_units[2]
    of_token[0] = total(token) + tile.input_size * share[0]


cdef inline void relevance_after_reset(Tile* tile, vector* rows) noexcept nogil:
    """h_{t-1} also gets r h_{t-1} * (W_hn.T @ q), where r stands before the product."""
    cdef Py_ssize_t n = tile.n, i, u
    cdef const vector* trace
    cdef vector* row
    for i in range(tile.first * tile.targets, tile.end * tile.targets):
        row = rows + i * tile.row
        trace = <const vector*> tile.trace[i // tile.targets]
        for u in range(n):
            row[CARRIED * n + u] += (
                trace[R_GATE * n + u] * trace[HIDDEN_BEFORE * n + u] * row[R_Q_N * n + u]
            )


# Gradient ---------------------------------------------------------------------------------------

cdef enum:
    OF_N = OWN
    OF_Z = OF_N + 1
    OF_R = OF_N + 2
    R_OF_N = OF_N + 3  # or what the product with W_hn hands on to r h_{t-1}
    GRADIENT_SCRATCH = OF_N + 4


cdef inline void gradient(Tile* tile, vector* rows) noexcept nogil:
    """Take the gradient of h_t to those of h_{t-1} and of the pre-activations."""
    cdef Py_ssize_t n = tile.n, i, u
    cdef const vector* trace
    cdef vector* row
    cdef vector dh, da_n
    for i in range(tile.first * tile.targets, tile.end * tile.targets):
        row = rows + i * tile.row
        trace = <const vector*> tile.trace[i // tile.targets]
        for u in range(n):
            dh = row[HANDED * n + u] + row[CARRIED * n + u]
            if tile.from_hidden:
                dh = dh + row[STARTED * n + u]
            da_n = dh * trace[DA_N * n + u]
            row[OF_N * n + u] = da_n
            row[OF_Z * n + u] = dh * trace[DA_Z * n + u]
            row[CARRIED * n + u] = dh * trace[Z_OF_GRADIENT * n + u]
            if tile.variant & RESET_AFTER:
                row[OF_R * n + u] = da_n * trace[DA_R * n + u]
                row[R_OF_N * n + u] = da_n * trace[R_OF_GRADIENT * n + u]
    if tile.variant & RESET_AFTER and tile.times_input:
        _times_input(tile, rows)


cdef inline void gradient_after_reset(Tile* tile, vector* rows) noexcept nogil:
    """The same of r, where it stands before the product: given W_hn.T @ da_n."""
    cdef Py_ssize_t n = tile.n, i, u
    cdef const vector* trace
    cdef vector* row
    for i in range(tile.first * tile.targets, tile.end * tile.targets):
        row = rows + i * tile.row
        trace = <const vector*> tile.trace[i // tile.targets]
        for u in range(n):
            row[OF_R * n + u] = row[R_OF_N * n + u] * trace[DA_R * n + u]
            row[CARRIED * n + u] += row[R_OF_N * n + u] * trace[R_OF_GRADIENT * n + u]
    if tile.times_input:
        _times_input(tile, rows)


cdef inline void _times_input(Tile* tile, vector* rows) noexcept nogil:
    """x . (W_ih.T @ da), which is da . (W_ih @ x)."""
    cdef Py_ssize_t n = tile.n, H = tile.hidden_size, i, u
    cdef const vector* x
    cdef const vector* x_z
    cdef const vector* x_n
    cdef const vector* b = <const vector*> tile.bias
    cdef const vector* b_z = beyond(b, H)
    cdef const vector* b_n = beyond(b, 2 * H)
    cdef vector* row
    cdef vector token
    for i in range(tile.first * tile.targets, tile.end * tile.targets):
        row = rows + i * tile.row
        x = <const vector*> tile.projection[i // tile.targets]
        x_z = beyond(x, H)
        x_n = beyond(x, 2 * H)
        fill(&token, 0)
        for u in range(n):
            token = token + row[OF_R * n + u] * (x[u] - b[u])
            token = token + row[OF_Z * n + u] * (x_z[u] - b_z[u])
            token = token + row[OF_N * n + u] * (x_n[u] - b_n[u])
        tile.token[i] = total(token)


# Contextual decomposition -----------------------------------------------------------------------

cdef enum:  # in the spare row
    OF_BIAS_R = 0
    OF_BIAS_Z = 1
    OF_BIAS_N = 2
    BIAS_N = 3


cdef inline void begin_decompose(Tile* tile, vector* rows) noexcept nogil:
    """What the biases alone make of r, z and n."""
    cdef Py_ssize_t n = tile.n, H = tile.hidden_size, u
    cdef const vector* b_r = <const vector*> tile.bias
    cdef const vector* b_z = beyond(b_r, H)
    cdef const vector* b_n = beyond(b_r, 2 * H)
    cdef const vector* b_hn = beyond(b_r, 3 * H)
    cdef const Activation* gate = &tile.activation[OF_GATES]
    cdef const Activation* candidate = &tile.activation[OF_CANDIDATE]
    cdef vector* of_bias = <vector*> tile.spare
    for u in range(n):
        of_bias[OF_BIAS_R * n + u] = activated(b_r[u], gate)
        of_bias[OF_BIAS_Z * n + u] = activated(b_z[u], gate)
        of_bias[BIAS_N * n + u] = b_n[u]
        if tile.variant & RESET_AFTER:
            of_bias[BIAS_N * n + u] = b_n[u] + of_bias[OF_BIAS_R * n + u] * b_hn[u]
        of_bias[OF_BIAS_N * n + u] = activated(of_bias[BIAS_N * n + u], candidate)


cdef inline void decompose_reset(Tile* tile, vector* rows) noexcept nogil:
    """The relevant part of r, and where it stands before the product that of r h_{t-1}."""
    cdef Py_ssize_t n = tile.n, lane, u
    cdef const Activation* gate = &tile.activation[OF_GATES]
    cdef const vector* b_r = <const vector*> tile.bias
    cdef const vector* bias_r = <const vector*> tile.spare + OF_BIAS_R * n
    cdef const vector* trace
    cdef vector* part_r
    cdef vector* h_part
    cdef vector share
    for lane in range(tile.first, tile.end):
        part_r = rows + lane * tile.row
        h_part = part_r + tile.states
        trace = <const vector*> tile.trace[lane]
        for u in range(n):
            share = share_in_activation(
                trace[A_R * n + u], trace[R_GATE * n + u], part_r[u], b_r[u], bias_r[u],
                gate.kind, gate,
            )
            h_part[LANE_R * n + u] = share
            if not tile.variant & RESET_AFTER:
                h_part[LANE_R_H * n + u] = (share + bias_r[u]) * h_part[u]


cdef inline void decompose(Tile* tile, vector* rows) noexcept nogil:
    """Take the relevant part of h of each lane one step on, given those of a."""
    cdef Py_ssize_t lane
    for lane in range(tile.first, tile.end):
        _decompose(tile, lane, rows + lane * tile.row)


cdef inline void _decompose(const Tile* tile, Py_ssize_t lane, vector* row) noexcept nogil:
    """Of a product what has a relevant factor and none that is irrelevant is relevant, biases being
    neither. In 1 - z the bias is 1 - sigmoid(b), and the relevant part is negative.
    """
    cdef Py_ssize_t n = tile.n, H = tile.hidden_size, u
    cdef const Activation* gate = &tile.activation[OF_GATES]
    cdef const Activation* candidate = &tile.activation[OF_CANDIDATE]
    cdef const vector* trace = <const vector*> tile.trace[lane]
    cdef const vector* b_z = beyond(<const vector*> tile.bias, H)
    cdef const vector* b_hn = beyond(<const vector*> tile.bias, 3 * H)
    cdef const vector* of_bias = <const vector*> tile.spare
    cdef const vector* bias_r = of_bias + OF_BIAS_R * n
    cdef const vector* bias_z = of_bias + OF_BIAS_Z * n
    cdef const vector* bias_n = of_bias + OF_BIAS_N * n
    cdef const vector* b_n = of_bias + BIAS_N * n
    cdef const vector* part_z = beyond(<const vector*> row, H)
    cdef const vector* part_hn = beyond(<const vector*> row, 2 * H)
    cdef const vector* x_n = beyond(<const vector*> tile.projection[lane], 2 * H)
    cdef vector* h_part = row + tile.states
    cdef vector share_r, share_z, share_n, relevant, part
    for u in range(n):
        relevant = part_hn[u]
        if tile.variant & RESET_AFTER:  # r (W_hn h + b_hn)
            share_r = h_part[LANE_R * n + u]
            relevant = x_n[u] + (share_r + bias_r[u]) * relevant + share_r * b_hn[u]
        share_z = share_in_activation(
            trace[A_Z * n + u], trace[Z_GATE * n + u], part_z[u], b_z[u], bias_z[u],
            gate.kind, gate,
        )
        share_n = share_in_activation(
            trace[A_N * n + u], trace[N_GATE * n + u], relevant, b_n[u], bias_n[u],
            candidate.kind, candidate,
        )
        part = (share_z + bias_z[u]) * h_part[u]
        part = part + (1 - bias_z[u] - share_z) * share_n - share_z * bias_n[u]
        if tile.in_phrase[lane]:
            part = part + (1 - bias_z[u]) * bias_n[u]
        h_part[u] = part


# The cell ---------------------------------------------------------------------------------------

cdef inline void describe(Cell* cell, bint reset_after, bint other_activations) noexcept:
    """What the drivers are to know of it; gates are r, z and n."""
    cdef Back* way
    cell.gates = 3
    cell.states, cell.own = 1, 1 if reset_after else 2
    cell.variant = RESET_AFTER * reset_after + OTHER_ACTIVATIONS * other_activations
    cell.trace_rows[NOTHING] = 0
    cell.trace_rows[FOR_RELEVANCE] = RELEVANCE_ROWS
    cell.trace_h[FOR_RELEVANCE] = -1 if reset_after else RESET
    cell.trace_rows[FOR_GATES], cell.trace_h[FOR_GATES] = GATES_ROWS, HIDDEN_BEFORE
    cell.trace_rows[FOR_GRADIENT], cell.trace_h[FOR_GRADIENT] = GRADIENT_ROWS, 0
    cell.begin_decompose = Step(begin_decompose[float_vector], begin_decompose[double_vector])
    cell.stages = 2
    cell.stage[0].recurrent, cell.stage[0].writes = Gates(2, 0, [0, 1, 0, 0]), 0
    cell.stage[0].forward = Step(reset[float_vector], reset[double_vector])
    cell.stage[0].decompose = Step(decompose_reset[float_vector], decompose_reset[double_vector])
    cell.stage[1].recurrent = Gates(1, 0 if reset_after else LANE_R_H, [2, 0, 0, 0])
    cell.stage[1].writes, cell.stage[1].adds_bias = 2, reset_after
    cell.stage[1].forward = Step(forward[float_vector], forward[double_vector])
    cell.stage[1].decompose = Step(decompose[float_vector], decompose[double_vector])

    way = &cell.relevance
    way.keep, way.rows, way.stages = FOR_RELEVANCE, RELEVANCE_SCRATCH, 1
    way.stage[0].step = Step(relevance[float_vector], relevance[double_vector])
    way.stage[0].recurrent = Gates(1, R_Q if reset_after else Q, [2, 0, 0, 0])
    way.stage[0].writes = HANDED
    way.inputs = Gates(1, Q, [2, 0, 0, 0])

    way = &cell.relevance_of_gates
    way.keep, way.rows, way.stages = FOR_GATES, GATES_SCRATCH, 1 if reset_after else 2
    way.stage[0].step = Step(relevance_of_gates[float_vector], relevance_of_gates[double_vector])
    way.stage[0].recurrent, way.stage[0].writes = Gates(2, Q_Z, [1, 2, 0, 0]), HANDED
    if not reset_after:
        way.stage[0].recurrent, way.stage[0].writes = Gates(1, Q_N, [2, 0, 0, 0]), R_Q_N
        way.stage[1].step = Step(
            relevance_after_reset[float_vector], relevance_after_reset[double_vector]
        )
        way.stage[1].recurrent, way.stage[1].writes = Gates(1, Q_Z, [1, 0, 0, 0]), HANDED
    way.inputs = Gates(2, Q_N, [2, 1, 0, 0])

    way = &cell.gradient
    way.keep, way.rows, way.stages = FOR_GRADIENT, GRADIENT_SCRATCH, 1 if reset_after else 2
    way.stage[0].step = Step(gradient[float_vector], gradient[double_vector])
    way.stage[0].recurrent, way.stage[0].writes = Gates(3, OF_Z, [1, 0, 2, 0]), HANDED
    if not reset_after:
        way.stage[0].recurrent, way.stage[0].writes = Gates(1, OF_N, [2, 0, 0, 0]), R_OF_N
        way.stage[1].step = Step(
            gradient_after_reset[float_vector], gradient_after_reset[double_vector]
        )
        way.stage[1].recurrent, way.stage[1].writes = Gates(2, OF_Z, [1, 0, 0, 0]), HANDED
    way.inputs = Gates(3, OF_N, [2, 1, 0, 0])
