/* Which builds of the kernels the processor runs, and the operating system with it:
   __builtin_cpu_supports also asks whether wide registers are kept for each process. */

#if defined(__x86_64__)
static inline int runs_v3(void) {
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
}
static inline int runs_v4(void) {
    return runs_v3() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw")
        && __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
}
#else
static inline int runs_v3(void) { return 0; }
static inline int runs_v4(void) { return 0; }
#endif
