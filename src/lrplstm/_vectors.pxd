"""Whole vectors of the processor, declared as numbers: + - * and / of them read like the paper.

How wide a vector is depends on the instruction set that a build is for; nothing else does. Types
and operations are those of GCC and Clang, not of one family of processors. A row of units is `n`
vectors.
"""

from cython cimport floating as real

cdef extern from *:
    """
    #include <stdint.h>

    #if defined(__AVX512F__)
    enum { VECTOR_BYTES = 64 };
    #elif defined(__AVX__)
    enum { VECTOR_BYTES = 32 };
    #else
    enum { VECTOR_BYTES = 16 };
    #endif

    /* A compiler may compute a sum of products in one step or in two. What has to be the same
       wherever it is inlined is set apart from what it is a sum of. */
    #if defined(__AVX512F__)
    #define LRPLSTM_APART(x) __asm__("" : "+v"(x))
    #elif defined(__x86_64__) || defined(__i386__)
    #define LRPLSTM_APART(x) __asm__("" : "+x"(x))
    #elif defined(__aarch64__)
    #define LRPLSTM_APART(x) __asm__("" : "+w"(x))
    #else
    #define LRPLSTM_APART(x) __asm__("" : "+m"(x))
    #endif

    /* VECTOR may stand at any number, INTEGER and WHOLE are its bits with and without sign. */
    #define LRPLSTM_VECTOR(REAL, SIGNED, UNSIGNED, DIGITS, ONE)                                  \\
    typedef REAL REAL##_vector                                                                   \\
        __attribute__((vector_size(VECTOR_BYTES), aligned(sizeof(REAL)), may_alias));            \\
    typedef SIGNED REAL##_bits __attribute__((vector_size(VECTOR_BYTES), may_alias));            \\
    typedef UNSIGNED REAL##_whole __attribute__((vector_size(VECTOR_BYTES), may_alias));         \\
    enum { REAL##_width = VECTOR_BYTES / sizeof(REAL) };                                         \\
    static CYTHON_INLINE REAL##_vector REAL##_every(REAL x) {                                    \\
        const REAL##_vector zero = {0};                                                          \\
        return x - zero;                                                                         \\
    }                                                                                            \\
    static CYTHON_INLINE REAL##_vector REAL##_at_most(REAL##_vector x, REAL limit) {             \\
        const REAL##_vector limits = REAL##_every(limit);                                        \\
        const REAL##_bits below = (REAL##_bits)(x < limits);                                     \\
        return (REAL##_vector)(((REAL##_bits)x & below) | ((REAL##_bits)limits & ~below));       \\
    }                                                                                            \\
    static CYTHON_INLINE REAL##_vector REAL##_at_least(REAL##_vector x, REAL limit) {            \\
        const REAL##_vector limits = REAL##_every(limit);                                        \\
        const REAL##_bits above = (REAL##_bits)(x > limits);                                     \\
        return (REAL##_vector)(((REAL##_bits)x & above) | ((REAL##_bits)limits & ~above));       \\
    }                                                                                            \\
    static CYTHON_INLINE REAL##_vector REAL##_where_above(                                       \\
        REAL##_vector x, REAL limit, REAL##_vector y) {                                          \\
        return (REAL##_vector)((REAL##_bits)y & (REAL##_bits)(x > REAL##_every(limit)));         \\
    }                                                                                            \\
    static CYTHON_INLINE REAL##_vector REAL##_where_below(                                       \\
        REAL##_vector x, REAL limit, REAL##_vector y, REAL##_vector z) {                         \\
        const REAL##_bits below = (REAL##_bits)(x < REAL##_every(limit));                        \\
        return (REAL##_vector)(((REAL##_bits)y & below) | ((REAL##_bits)z & ~below));            \\
    }                                                                                            \\
    static CYTHON_INLINE REAL##_vector REAL##_where_not_0(REAL##_vector x, REAL##_vector y) {    \\
        const REAL##_vector zero = {0};                                                          \\
        return (REAL##_vector)((REAL##_bits)y & (REAL##_bits)(x != zero));                       \\
    }                                                                                            \\
    static CYTHON_INLINE REAL##_vector REAL##_absolute(REAL##_vector x) {                        \\
        return (REAL##_vector)((REAL##_whole)x << 1 >> 1);                                       \\
    }                                                                                            \\
    static CYTHON_INLINE REAL##_vector REAL##_with_sign(REAL##_vector x, REAL##_vector z) {      \\
        const REAL##_whole sign = (REAL##_whole)REAL##_every(-(REAL)0);                          \\
        const REAL##_vector zero = {0}; /* -0 + 0 is +0 */                                       \\
        return (REAL##_vector)((REAL##_whole)x ^ ((REAL##_whole)(z + zero) & sign));             \\
    }                                                                                            \\
    static CYTHON_INLINE REAL##_vector REAL##_power_of_2(REAL##_vector rounded) {                \\
        return (REAL##_vector)(((REAL##_whole)rounded << DIGITS) + ONE);                         \\
    }                                                                                            \\
    static CYTHON_INLINE REAL##_vector REAL##_apart(REAL##_vector x) {                           \\
        LRPLSTM_APART(x);                                                                        \\
        return x;                                                                                \\
    }                                                                                            \\
    typedef REAL REAL##_32 __attribute__((vector_size(32), aligned(sizeof(REAL)), may_alias));   \\
    typedef REAL REAL##_16 __attribute__((vector_size(16), aligned(sizeof(REAL)), may_alias));   \\
    static CYTHON_INLINE REAL REAL##_total_16(REAL##_16 x) {                                     \\
        return sizeof(REAL) == 8 ? x[0] + x[1] : (x[0] + x[2 % (16 / sizeof(REAL))])             \\
            + (x[1] + x[3 % (16 / sizeof(REAL))]);                                               \\
    }                                                                                            \\
    static CYTHON_INLINE REAL REAL##_total_32(REAL##_32 x) {                                     \\
        return REAL##_total_16(((REAL##_16 *)&x)[0] + ((REAL##_16 *)&x)[1]);                     \\
    }                                                                                            \\
    static CYTHON_INLINE REAL REAL##_total(REAL##_vector x) {                                    \\
        if (VECTOR_BYTES == 16) return REAL##_total_16(*(REAL##_16 *)&x);                        \\
        if (VECTOR_BYTES == 32) return REAL##_total_32(*(REAL##_32 *)&x);                        \\
        return REAL##_total_32(*(REAL##_32 *)&x + *((REAL##_32 *)(&x + 1) - 1));                 \\
    }

    LRPLSTM_VECTOR(float, int32_t, uint32_t, 23, 0x3F800000u)
    LRPLSTM_VECTOR(double, int64_t, uint64_t, 52, 0x3FF0000000000000u)
    """
    enum: VECTOR_BYTES
    ctypedef float float_vector
    ctypedef double double_vector
    float_vector float_every(float x) nogil
    double_vector double_every(double x) nogil
    float_vector float_at_most(float_vector x, float limit) nogil
    double_vector double_at_most(double_vector x, double limit) nogil
    float_vector float_at_least(float_vector x, float limit) nogil
    double_vector double_at_least(double_vector x, double limit) nogil
    float_vector float_where_above(float_vector x, float limit, float_vector y) nogil
    double_vector double_where_above(double_vector x, double limit, double_vector y) nogil
    float_vector float_where_below(
        float_vector x, float limit, float_vector y, float_vector z) nogil
    double_vector double_where_below(
        double_vector x, double limit, double_vector y, double_vector z) nogil
    float_vector float_where_not_0(float_vector x, float_vector y) nogil
    double_vector double_where_not_0(double_vector x, double_vector y) nogil
    float_vector float_absolute(float_vector x) nogil
    double_vector double_absolute(double_vector x) nogil
    float_vector float_with_sign(float_vector x, float_vector z) nogil
    double_vector double_with_sign(double_vector x, double_vector z) nogil
    float_vector float_power_of_2(float_vector rounded) nogil
    double_vector double_power_of_2(double_vector rounded) nogil
    float_vector float_apart(float_vector x) nogil
    double_vector double_apart(double_vector x) nogil
    float float_total(float_vector x) nogil
    double double_total(double_vector x) nogil
    void __builtin_prefetch(const void* address) nogil

ctypedef fused vector:
    float_vector
    double_vector


cdef inline void fill(vector* y, double x) noexcept nogil:
    """Every number of y is x."""
    if vector is float_vector:
        y[0] = float_every(<float> x)
    else:
        y[0] = double_every(x)


cdef inline vector at_most(vector x, double limit) noexcept nogil:
    if vector is float_vector:
        return float_at_most(x, <float> limit)
    else:
        return double_at_most(x, limit)


cdef inline vector at_least(vector x, double limit) noexcept nogil:
    if vector is float_vector:
        return float_at_least(x, <float> limit)
    else:
        return double_at_least(x, limit)


cdef inline vector where_above(vector x, double limit, vector y) noexcept nogil:
    """y where x > limit, else 0."""
    if vector is float_vector:
        return float_where_above(x, <float> limit, y)
    else:
        return double_where_above(x, limit, y)


cdef inline vector where_below(vector x, double limit, vector y, vector z) noexcept nogil:
    """y where x < limit, else z."""
    if vector is float_vector:
        return float_where_below(x, <float> limit, y, z)
    else:
        return double_where_below(x, limit, y, z)


cdef inline vector absolute(vector x) noexcept nogil:
    if vector is float_vector:
        return float_absolute(x)
    else:
        return double_absolute(x)


cdef inline vector power_of_2(vector rounded) noexcept nogil:
    """2^m for the m that sits in the lowest bits of m + rounder; 0 for the least m there is."""
    if vector is float_vector:
        return float_power_of_2(rounded)
    else:
        return double_power_of_2(rounded)


cdef inline vector apart(vector x) noexcept nogil:
    """x, rounded by itself also where it is a product in a sum."""
    if vector is float_vector:
        return float_apart(x)
    else:
        return double_apart(x)


cdef inline double total(vector x) noexcept nogil:
    """The sum of all numbers of x, by halves."""
    if vector is float_vector:
        return float_total(x)
    else:
        return double_total(x)


cdef inline vector stabilizer(vector z, vector epsilon) noexcept nogil:
    """eps(z): epsilon with the sign of z, that of 0 being +."""
    if vector is float_vector:
        return float_with_sign(epsilon, z)
    else:
        return double_with_sign(epsilon, z)


cdef inline vector quotient(vector z, vector R, vector epsilon) noexcept nogil:
    """q = R / (z + eps(z)), and 0 where that denominator is 0."""
    cdef vector denominator = z + stabilizer(z, epsilon)
    if vector is float_vector:
        return float_where_not_0(denominator, R / denominator)
    else:
        return double_where_not_0(denominator, R / denominator)


cdef inline const vector* beyond(const vector* row, Py_ssize_t numbers) noexcept nogil:
    """Where a row is so many numbers behind its beginning."""
    if vector is float_vector:
        return <const vector*> (<const float*> row + numbers)
    else:
        return <const vector*> (<const double*> row + numbers)


cdef inline void add(real* y, const real* x, Py_ssize_t n) noexcept nogil:
    """y += x, for n numbers."""
    cdef Py_ssize_t width = VECTOR_BYTES // <Py_ssize_t> sizeof(real), whole = n // width, v, j
    for v in range(whole):
        if real is float:
            (<float_vector*> y)[v] += (<const float_vector*> x)[v]
        else:
            (<double_vector*> y)[v] += (<const double_vector*> x)[v]
    for j in range(whole * width, n):
        y[j] += x[j]


cdef inline void prefetch(const real* x, Py_ssize_t n) noexcept nogil:
    """Have n numbers brought into the cache."""
    cdef Py_ssize_t line, lines = n * <Py_ssize_t> sizeof(real) // 64
    for line in range(lines):
        __builtin_prefetch(<const char*> x + 64 * line)
    __builtin_prefetch(<const char*> (x + n) - 1)  # they may begin within a line
