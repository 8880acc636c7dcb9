"""exp and expm1 in a form in which the compiler turns loops of them into vectors.

No branches, no calls, and every constant is of the type it meets: a double among floats would
halve the width of the vectors.
"""

from cython cimport floating as real

cdef extern from *:
    """
    #include <stdint.h>
    #include <string.h>

    /* The smaller of x and a positive limit. Bits of floats order as whole numbers do if one is
       positive, and the smaller of these takes one instruction; of long ones it would take many. */
    static inline float float_at_most(float x, float limit) {
        int32_t bits, most;
        memcpy(&bits, &x, 4);
        memcpy(&most, &limit, 4);
        bits = bits < most ? bits : most;
        memcpy(&x, &bits, 4);
        return x;
    }
    static inline double double_at_most(double x, double limit) {
        return x < limit ? x : limit;
    }

    /* 2^n for the n that sits in the lowest bits of n + ROUNDER; 0 for the least, -127 or -1023. */
    static inline float float_power_of_2(float rounded) {
        uint32_t bits;
        memcpy(&bits, &rounded, 4);
        bits = (bits << 23) + 0x3F800000u;
        memcpy(&rounded, &bits, 4);
        return rounded;
    }
    static inline double double_power_of_2(double rounded) {
        uint64_t bits;
        memcpy(&bits, &rounded, 8);
        bits = (bits << 52) + 0x3FF0000000000000u;
        memcpy(&rounded, &bits, 8);
        return rounded;
    }
    """
    float float_at_most(float x, float limit) nogil
    double double_at_most(double x, double limit) nogil
    float float_power_of_2(float rounded) nogil
    double double_power_of_2(double rounded) nogil


cdef inline void _exp_parts(real x, int factor, real* scale, real* fraction) noexcept nogil:
    """Find scale = 2^n and fraction = 2^r - 1 so that exp(factor x) = scale (1 + fraction).

    factor x = (n + r) log 2 with a whole n and |r| <= 1/2. The polynomials for (2^r - 1) / r have
    the smallest largest relative error there is, 1.1e-8 in float32, 1.8e-17 in float64 (Remez).
    Above 43, in float64 350, factor x is cut: sigmoid and tanh are 1 long before, and products of
    two such numbers are still finite. Below the range of exponents it means nothing; callers see
    to that. `factor` is a positive constant where this is inlined, and costs nothing.
    """
    cdef real factor_log2_e = factor * 1.4426950408889634, rounder, rounded, r, r2, p
    cdef real most = (43.0 if real is float else 350.0) / factor
    # Adding the rounder leaves no bits for a fraction.
    if real is float:
        x = float_at_most(x, most)
        rounder = 12582912  # 1.5 * 2**23
    else:
        x = double_at_most(x, most)
        rounder = 6755399441055744  # 1.5 * 2**52
    rounded = x * factor_log2_e + rounder
    r = x * factor_log2_e - (rounded - rounder)
    if real is float:
        scale[0] = float_power_of_2(rounded)
        p = <float> 1.5403512367553546e-4 * r + <float> 1.3390735477607874e-3
        p = p * r + <float> 9.6182374949070143e-3
        p = p * r + <float> 5.5503574336426599e-2
        p = p * r + <float> 2.4022649794962265e-1
        p = p * r + <float> 6.9314718792669306e-1
    else:  # in pairs, a long chain of which each link waits for the one before it
        r2 = r * r
        scale[0] = double_power_of_2(rounded)
        p = 4.4455372281544427e-10 * r2 + (7.0725617019303205e-9 * r + 1.0178121299165704e-7)
        p = p * r2 + (1.3215442724231128e-6 * r + 1.5252733701214656e-5)
        p = p * r2 + (1.5403530441480680e-4 * r + 1.3333558146531633e-3)
        p = p * r2 + (9.6181291076070657e-3 * r + 5.5504108664821237e-2)
        p = p * r2 + (2.4022650695910098e-1 * r + 6.9314718055994531e-1)
    fraction[0] = p * r


cdef inline real exp(real x) noexcept nogil:
    """e^x, and 0 where that would be below the normal numbers."""
    cdef real scale, fraction, zero = 0
    cdef real least = (-127 if real is float else -1023) * 0.6931471805599453
    _exp_parts(x, 1, &scale, &fraction)
    scale += scale * fraction
    return scale if x > least else zero


cdef inline real expm1_twice(real x) noexcept nogil:
    """e^2x - 1, precise for small x too."""
    cdef real scale, fraction, one = 1
    cdef real least = -(43.0 if real is float else 350.0) / 2  # it is -1 long before
    _exp_parts(x, 2, &scale, &fraction)
    scale = scale * fraction + (scale - one)
    return scale if x > least else -one
