"""The compiled extensions; everything else about the package is in pyproject.toml."""

import os
import platform
import shutil
import sysconfig
import threading
from pathlib import Path

from Cython.Build import cythonize
from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

# LRPLSTM_SANITIZE=1 builds kernels that stop the process where memory is read or written out of
# bounds, or where behaviour is undefined. Python builds extensions with -fwrapv, which would make
# signed overflow defined, so nothing to report.
SANITIZE = os.environ.get("LRPLSTM_SANITIZE", "") not in ("", "0")
SANITIZERS = ["-fsanitize=address,undefined", "-fno-sanitize-recover=undefined"] if SANITIZE else []

# LRPLSTM_UNOPTIMIZED=1 builds fast what is far too slow for use: to test packaging.
UNOPTIMIZED = os.environ.get("LRPLSTM_UNOPTIMIZED", "") not in ("", "0")

# LRPLSTM_BUILDS="baseline v3" builds these alone: enough to look for faults that all builds share.
BUILDS = os.environ.get("LRPLSTM_BUILDS", "").split()

if SANITIZE:
    OPTIMIZATION = ["-O1", "-ftree-vectorize", "-g1", "-fno-omit-frame-pointer", "-fno-wrapv"]
    OPTIMIZATION += SANITIZERS
else:
    OPTIMIZATION = ["-O0" if UNOPTIMIZED else "-O3", "-g0"]

# With the limited API one wheel serves every later Python; typed memoryviews need that of 3.11.
# Free-threaded Pythons have no limited API.
LIMITED_API = not sysconfig.get_config_var("Py_GIL_DISABLED")

# One source, built for each instruction set; `lrplstm.backends.choose` imports the best that runs.
INSTRUCTION_SETS = {"_kernels": []}
if platform.machine().lower() in ("x86_64", "amd64"):
    v3 = ["-mavx2", "-mfma"]
    v4 = [*v3, "-mavx512f", "-mavx512bw", "-mavx512dq", "-mavx512vl", "-mprefer-vector-width=512"]
    INSTRUCTION_SETS |= {"_kernels_v3": v3, "_kernels_v4": v4}

if BUILDS:
    names = {"_kernels" if build == "baseline" else f"_kernels_{build}" for build in BUILDS}
    INSTRUCTION_SETS = {name: INSTRUCTION_SETS[name] for name in sorted(names)}

# What a build needs of the processor: a function of _processor.h that looks, and its name in words.
NEEDS = {"_kernels_v3": ("runs_v3", "AVX2"), "_kernels_v4": ("runs_v4", "AVX-512")}

API = [("Py_LIMITED_API", "0x030B0000")] if LIMITED_API else []


class BuildKernels(build_ext):
    """Translates the source once, and compiles each build side by side with the others.

    Before each that not every processor runs it puts an entry that is compiled for all of them.
    """

    translating = threading.Lock()
    c_source = None
    begun = 0

    def build_extension(self, extension):
        name = extension.name.removeprefix("lrplstm.")
        runs, needs = NEEDS.get(name, ("", "any processor"))
        with self.translating:  # not by all of the three calls of this file that make a wheel
            if self.c_source is None:
                self.c_source = translate(Path(self.build_temp, "cython"))
            self.begun += 1
            count = f"{self.begun} of {len(self.extensions)}"
            print(f"lrplstm: compiling kernels ({count}), for {needs}", flush=True)
        extension.sources = [self.named(name)]
        if name in NEEDS:
            macros = [("MODULE", name), ("RUNS", runs), ("NEEDS", f'"{needs}"'), *API]
            folder = str(Path(self.build_temp, name))  # builds run side by side
            entry = self.compiler.compile(["src/lrplstm/_entry.c"], folder, macros)
            extension.extra_objects = entry
        super().build_extension(extension)

    def named(self, name):
        """Write the C source of a module of this name; return the path."""
        source = self.c_source.read_text(encoding="utf-8")
        source = source.replace("PyInit__kernels", f"PyInit_{name}")
        source = source.replace("lrplstm._kernels", f"lrplstm.{name}")
        path = Path(self.build_temp, name, f"{name}.c")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(source, encoding="utf-8")
        return str(path)


def translate(folder):
    """Make C of the kernels' source; return the path."""
    source = folder / "_kernels.pyx"
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copyfile("src/lrplstm/_kernels.pyx", source)
    (translated,) = cythonize(
        Extension("lrplstm._kernels", [str(source)]),
        include_path=["src"],
        compiler_directives={
            "language_level": 3,
            "boundscheck": False,
            "wraparound": False,
            "initializedcheck": False,
            "cdivision": True,
            "auto_pickle": False,
        },
        force=True,
    )
    return Path(translated.sources[0])


def extension(name, flags):
    """Return one build of the kernels."""
    return Extension(
        f"lrplstm.{name}",
        ["src/lrplstm/_kernels.pyx"],
        define_macros=[
            ("LRPLSTM_SANITIZE", str(int(SANITIZE))),
            # A block product keeps its sums in registers only where its sizes are constants.
            ("CYTHON_INLINE", "inline __attribute__((always_inline))"),
            *([(f"PyInit_{name}", f"enter_{name}")] if name in NEEDS else []),
            *API,
        ],
        include_dirs=["src/lrplstm"],
        depends=["src/lrplstm/_entry.c", "src/lrplstm/_processor.h"],
        # Loops become vectors where errno and floating-point traps are nobody's business. Beyond
        # what is inlined always, inlining makes nothing faster but takes long to compile.
        extra_compile_args=[
            *OPTIMIZATION,
            "-fno-inline",
            "-fno-math-errno",
            "-fno-trapping-math",
            *flags,
        ],
        extra_link_args=SANITIZERS,
        py_limited_api=LIMITED_API,
    )


setup(
    cmdclass={"build_ext": BuildKernels},
    ext_modules=[extension(name, flags) for name, flags in INSTRUCTION_SETS.items()],
    options={
        "build_ext": {"parallel": len(INSTRUCTION_SETS)},
        **({"bdist_wheel": {"py_limited_api": "cp311"}} if LIMITED_API else {}),
    },
)
