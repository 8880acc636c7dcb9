"""The rules of relevance on whole vectors; `lrplstm.rules` has them to be read."""

from lrplstm._activations cimport Activation, activated_as
from lrplstm._tiles cimport ABS, CARRIED, HALF, HANDED, STARTED, Rule, Tile
from lrplstm._vectors cimport absolute, fill, quotient, stabilizer, total, vector


cdef inline bint shares_nothing(const Rule* rule) noexcept nogil:
    """Whether units get nothing but products, and two quotients can be had by one division.

    The square of such an epsilon is still a normal number.
    """
    return rule.bias_factor == 0 and rule.epsilon_factor == 0 and rule.epsilon >= 1e-6


cdef inline void set_factors(
    vector kept, vector added, vector a, vector epsilon, vector* of_kept, vector* of_q
) noexcept nogil:
    """What relevance of z = kept + added is multiplied by where nothing is shared out.

    To become that of what was kept; and, through what was added, q of its pre-activation a. Both
    quotients take one division.
    """
    cdef vector stabilized_z = kept + added, stabilized_a, inverse
    stabilized_z = stabilized_z + stabilizer(stabilized_z, epsilon)
    stabilized_a = a + stabilizer(a, epsilon)
    inverse = 1 / (stabilized_z * stabilized_a)
    of_kept[0] = kept * (stabilized_a * inverse)
    of_q[0] = added * inverse


cdef inline vector kept(vector q, vector z, vector bias, const Rule* rule) noexcept nogil:
    """(bias_factor b + epsilon_factor eps(z)) q: what a unit shares out among all below it."""
    cdef vector epsilon, bias_factor, epsilon_factor
    fill(&epsilon, rule.epsilon)
    fill(&bias_factor, rule.bias_factor)
    fill(&epsilon_factor, rule.epsilon_factor)
    return (bias_factor * bias + epsilon_factor * stabilizer(z, epsilon)) * q


cdef inline void share_product(
    vector gate, vector signal, vector R, const Rule* rule, vector* R_gate, vector* R_signal
) noexcept nogil:
    """Share relevance of a product out between gate and signal."""
    cdef vector epsilon, q
    if rule.product == HALF:
        R_gate[0] = R / 2
        R_signal[0] = R / 2
        return
    if rule.product == ABS:
        gate = absolute(gate)
        signal = absolute(signal)
    fill(&epsilon, rule.epsilon)
    q = quotient(gate + signal, R, epsilon)
    R_gate[0] = gate * q
    R_signal[0] = signal * q


cdef inline vector share_of_state(
    const Tile* tile, Py_ssize_t r, vector* row, const vector* h, const vector* earlier,
    const vector* added,
) noexcept nogil:
    """Set CARRIED to the relevance of a state, a sum of two, and return the share of each of both.

    It is what was carried and handed to it, with the share of h; without h, the state is h. Weights
    are the identity, and there is no bias: 2H units.
    """
    cdef Py_ssize_t n = tile.n, u
    cdef Rule rule = tile.rule
    cdef bint from_hidden = tile.from_hidden
    cdef const vector* mask = <const vector*> tile.mask
    cdef vector epsilon, nothing, share, shares, z, R
    fill(&epsilon, rule.epsilon)
    fill(&nothing, 0)
    fill(&share, tile.share[r])
    shares = nothing
    for u in range(n):
        z = earlier[u] + added[u]
        R = row[CARRIED * n + u] + (z if h == NULL else h[u]) * row[HANDED * n + u]
        R = R + share * mask[u]
        if from_hidden:
            R = R + row[STARTED * n + u]
        row[CARRIED * n + u] = R
        shares = shares + kept(quotient(z, R, epsilon), z, nothing, &rule)
    fill(&share, total(shares) / (2 * tile.hidden_size))
    return share


cdef inline vector share_sum(
    vector earlier, vector added, vector share, vector epsilon, vector* R
) noexcept nogil:
    """Set R, of a sum, to that of what was earlier, and return that of what was added."""
    cdef vector q = quotient(earlier + added, R[0], epsilon)
    R[0] = earlier * q + share
    return added * q + share


cdef inline vector share_in_activation(
    vector a, vector value, vector relevant, vector bias, vector of_bias, int kind,
    const Activation* f,
) noexcept nogil:
    """The share in value = f(a) of what is relevant in a, given f(bias) and the kind of f.

    It is what adding it changes, the mean of first and last, the bias always there.
    """
    cdef vector first = activated_as(kind, bias + relevant, f) - of_bias
    cdef vector last = value - activated_as(kind, a - relevant, f)
    return (first + last) / 2
