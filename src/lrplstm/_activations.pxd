"""Activations of whole vectors: exp and expm1, of which sigmoid and tanh are made, and others."""

from lrplstm._vectors cimport (
    VECTOR_BYTES,
    absolute, at_least, at_most, double_vector, fill, float_vector, power_of_2, vector, where_above,
    where_below,
)


cdef inline void _exp_parts(
    vector x, int factor, vector* scale, vector* scaled_r, vector* polynomial
) noexcept nogil:
    """Find 2^m, 2^m r and a polynomial so that exp(factor x) = scale + scaled_r polynomial.

    factor x = (m + r) log 2 with a whole m and |r| <= 1/2. The polynomials for (2^r - 1) / r have
    the smallest largest relative error there is, 1.1e-8 in float32, 1.8e-17 in float64 (Remez).
    They are added up in pairs: in a long chain each link waits for the one before it.
    Where 2^m is no normal number they mean nothing; callers see to that. `factor` is a positive
    constant where this is inlined, and costs nothing.
    """
    cdef vector shifted, r, p
    if vector is float_vector:
        # Adding 1.5 * 2**23 leaves no bits for a fraction.
        shifted = x * <float> (factor * 1.4426950408889634) + <float> 12582912
        r = x * <float> (factor * 1.4426950408889634) - (shifted - <float> 12582912)
        p = <float> 1.5403512367553546e-4 * r + <float> 1.3390735477607874e-3
        p = p * (r * r) + (<float> 9.6182374949070143e-3 * r + <float> 5.5503574336426599e-2)
        p = p * (r * r) + (<float> 2.4022649794962265e-1 * r + <float> 6.9314718792669306e-1)
    else:  # 1.5 * 2**52
        shifted = x * (factor * 1.4426950408889634) + 6755399441055744.0
        r = x * (factor * 1.4426950408889634) - (shifted - 6755399441055744.0)
        p = 4.4455372281544427e-10 * (r * r) + (7.0725617019303205e-9 * r + 1.0178121299165704e-7)
        p = p * (r * r) + (1.3215442724231128e-6 * r + 1.5252733701214656e-5)
        p = p * (r * r) + (1.5403530441480680e-4 * r + 1.3333558146531633e-3)
        p = p * (r * r) + (9.6181291076070657e-3 * r + 5.5504108664821237e-2)
        p = p * (r * r) + (2.4022650695910098e-1 * r + 6.9314718055994531e-1)
    scale[0] = power_of_2(shifted)
    scaled_r[0] = scale[0] * r
    polynomial[0] = p


cdef inline vector _cut(vector x, int factor, vector exp_x) noexcept nogil:
    """e^(factor x) where factor x is less than 43, in float64 350, else e^43.

    sigmoid and tanh are 1 long before, and products of two such numbers are still finite. It is cut
    at the end, where nothing has to wait for the comparison.
    """
    cdef vector highest
    if vector is float_vector:
        fill(&highest, 4.727839468229346e18)
        return where_below(x, 43.0 / factor, exp_x, highest)
    else:
        fill(&highest, 1.0070908870280797e152)
        return where_below(x, 350.0 / factor, exp_x, highest)


cdef inline vector exp(vector x) noexcept nogil:
    """e^x, and 0 where that would be below the normal numbers."""
    cdef double least = (-127 if vector is float_vector else -1023) * 0.6931471805599453
    cdef vector scale, scaled_r, p
    _exp_parts(x, 1, &scale, &scaled_r, &p)
    return _cut(x, 1, where_above(x, least, scale + scaled_r * p))


cdef inline vector expm1_twice(vector x) noexcept nogil:
    """e^2x - 1, precise for small x too; it is -1 long before the least x there is."""
    cdef double least = -(43.0 if vector is float_vector else 350.0) / 2
    cdef vector scale, scaled_r, p, lowest
    _exp_parts(x, 2, &scale, &scaled_r, &p)
    fill(&lowest, -1)
    return _cut(x, 2, where_below(x, least, lowest, scaled_r * p + (scale - 1)))


cdef inline vector sigmoid(vector a) noexcept nogil:
    """e^a / (1 + e^a).

    A closed gate is as small as e^a, and 0 where that is; of e^-a, which overflows there, it would
    stay at the inverse of the largest.
    """
    cdef vector exp_a = exp(a)
    return exp_a / (1 + exp_a)


cdef inline vector tanh(vector a) noexcept nogil:
    """(e^2a - 1) / (e^2a + 1)."""
    cdef vector expm1_2a = expm1_twice(a)
    return expm1_2a / (2 + expm1_2a)


cdef inline vector gated_tanh(vector exp_a, vector expm1_2b) noexcept nogil:
    """sigmoid(a) tanh(b), of e^a and e^2b - 1, with one division, as long as ten products."""
    cdef vector above = 2 + expm1_2b
    return exp_a * expm1_2b / (above + exp_a * above)


# By kind ----------------------------------------------------------------------------------------

# Parameters have the names of `lrplstm.activations`, where they have no others below.
cdef enum:
    SIGMOID
    TANH
    SCALED_TANH  # alpha tanh(beta z)
    CLIPPED  # alpha z + beta, but at least low and at most high
    RELU
    LEAKY_RELU  # alpha z below 0
    ELU  # beta z above 0, below it beta alpha (e^(z / high) - 1)
    SOFTSIGN
    SILU
    HARD_SILU
    BY_NUMBER  # what `function` is, by functions of numbers

cdef struct Activation

ctypedef double (*OfNumber)(int function, double z, double alpha) noexcept nogil
ctypedef float_vector (*OfFloats)(
    float_vector z, float_vector value, const Activation* f) noexcept nogil
ctypedef double_vector (*OfDoubles)(
    double_vector z, double_vector value, const Activation* f) noexcept nogil

cdef struct Activation:
    int kind
    double alpha
    double beta
    double low
    double high
    # `other_value` and `other_slope`, which are called: inlined everywhere, such a list of kinds
    # would take longer to compile than everything else.
    OfFloats value_of_floats
    OfFloats slope_of_floats
    OfDoubles value_of_doubles
    OfDoubles slope_of_doubles
    # Of a kind that is computed by numbers.
    int function
    OfNumber value
    OfNumber slope


cdef inline vector _by_number(vector z, OfNumber of, const Activation* f) noexcept nogil:
    """What a function of numbers makes of each."""
    cdef vector y = z
    cdef int j
    if vector is float_vector:
        for j in range(VECTOR_BYTES // <int> sizeof(float)):
            (<float*> &y)[j] = <float> of(f.function, (<float*> &z)[j], f.alpha)
    else:
        for j in range(VECTOR_BYTES // <int> sizeof(double)):
            (<double*> &y)[j] = of(f.function, (<double*> &z)[j], f.alpha)
    return y


cdef inline vector _affine(vector z, double alpha, double beta) noexcept nogil:
    """alpha z + beta."""
    cdef vector factor, added
    fill(&factor, alpha)
    fill(&added, beta)
    return factor * z + added


cdef inline vector _hard_sigmoid(vector z) noexcept nogil:
    return at_most(at_least(_affine(z, 1.0 / 6, 0.5), 0), 1)


cdef inline vector activated_as(int kind, vector z, const Activation* f) noexcept nogil:
    """f(z), of this kind: where that is a constant, no other is looked for."""
    if kind == SIGMOID:
        return sigmoid(z)
    if kind == TANH:
        return tanh(z)
    if vector is float_vector:
        return f.value_of_floats(z, z, f)
    else:
        return f.value_of_doubles(z, z, f)


cdef inline vector activated(vector z, const Activation* f) noexcept nogil:
    """f(z)."""
    return activated_as(f.kind, z, f)


cdef inline vector slope(vector z, vector value, const Activation* f) noexcept nogil:
    """f'(z), given z and f(z)."""
    if f.kind == SIGMOID:
        return value * (1 - value)
    if f.kind == TANH:
        return 1 - value * value
    if vector is float_vector:
        return f.slope_of_floats(z, value, f)
    else:
        return f.slope_of_doubles(z, value, f)


cdef inline vector other_value(vector z, vector _value, const Activation* f) noexcept nogil:
    """f(z), if f is neither sigmoid nor tanh; it takes what `other_slope` takes."""
    cdef vector alpha, beta
    fill(&alpha, f.alpha)
    fill(&beta, f.beta)
    if f.kind == SCALED_TANH:
        return alpha * tanh(beta * z)
    if f.kind == CLIPPED:
        return at_most(at_least(_affine(z, f.alpha, f.beta), f.low), f.high)
    if f.kind == RELU:
        return where_above(z, 0, z)
    if f.kind == LEAKY_RELU:
        return where_below(z, 0, alpha * z, z)
    if f.kind == ELU:
        alpha = alpha * expm1_twice(_affine(at_most(z, 0), 0.5 / f.high, 0))
        return beta * (where_above(z, 0, z) + alpha)
    if f.kind == SOFTSIGN:
        return z / (1 + absolute(z))
    if f.kind == SILU:
        return z * sigmoid(z)
    if f.kind == BY_NUMBER:
        return _by_number(z, f.value, f)
    return z * _hard_sigmoid(z)


cdef inline vector other_slope(vector z, vector value, const Activation* f) noexcept nogil:
    """f'(z), given z and f(z), if f is neither sigmoid nor tanh."""
    cdef vector one, alpha, beta
    fill(&one, 1)
    fill(&alpha, f.alpha)
    fill(&beta, f.beta)
    if f.kind == SCALED_TANH:
        return beta * (alpha - value * value / alpha)
    if f.kind == CLIPPED:
        z = _affine(z, f.alpha, f.beta)
        return where_above(z, f.low, where_above(-z, -f.high, alpha))
    if f.kind == RELU:
        return where_above(z, 0, one)
    if f.kind == LEAKY_RELU:
        return where_below(-z, 0, one, alpha)
    if f.kind == ELU:
        value = _affine(value + alpha * beta, 1 / f.high, 0)
        return where_above(z, 0, beta - value) + value
    if f.kind == SOFTSIGN:
        one = 1 - absolute(value)
        return one * one
    if f.kind == BY_NUMBER:
        return _by_number(z, f.slope, f)
    if f.kind == SILU:
        z = sigmoid(z)
        return z + value * (1 - z)
    return where_above(z, -3, where_below(z, 3, _affine(z, 1.0 / 3, 0.5), one))
