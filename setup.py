"""The compiled extension; everything else about the package is in pyproject.toml."""

import os
import sysconfig

from Cython.Build import cythonize
from setuptools import Extension, setup

# LRPLSTM_BOUNDSCHECK=1 builds kernels that raise IndexError instead of reading out of bounds:
# for finding a wrong index while working on them, too slow for use.
BOUNDSCHECK = os.environ.get("LRPLSTM_BOUNDSCHECK", "") not in ("", "0")

# With the limited API one wheel serves every later Python; typed memoryviews need that of 3.11.
# Free-threaded Pythons have no limited API.
LIMITED_API = not sysconfig.get_config_var("Py_GIL_DISABLED")

kernels = Extension(
    "lrplstm._kernels",
    ["src/lrplstm/_kernels.pyx"],
    define_macros=[
        ("LRPLSTM_BOUNDSCHECK", str(int(BOUNDSCHECK))),
        *([("Py_LIMITED_API", "0x030B0000")] if LIMITED_API else []),
    ],
    extra_compile_args=["-O3", "-g0", "-fno-math-errno"],
    py_limited_api=LIMITED_API,
)

setup(
    ext_modules=cythonize(
        [kernels],
        compiler_directives={
            "language_level": 3,
            "boundscheck": BOUNDSCHECK,
            "wraparound": False,
            "initializedcheck": BOUNDSCHECK,
            "cdivision": True,
        },
        # The same source under different directives is a different C file.
        force=True,
        build_dir="build/cython",
    ),
    options={"bdist_wheel": {"py_limited_api": "cp311"}} if LIMITED_API else {},
)
