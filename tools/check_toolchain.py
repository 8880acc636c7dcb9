"""Say plainly what this machine lacks to build lrplstm; exit with 1 if anything is missing."""

import importlib.util
import os
import shlex
import shutil
import subprocess
import sys
import sysconfig


def missing():
    """Return one line for each thing that is missing."""
    lines = []
    if sys.version_info < (3, 11):
        found = "%d.%d" % sys.version_info[:2]
        lines.append(
            "Python 3.11 or later is needed, this is %s; name another with make PYTHON=..." % found
        )
    for module in ("venv", "ensurepip"):
        if importlib.util.find_spec(module) is None:
            lines.append("Python's %s is missing; on Debian: apt-get install python3-venv" % module)
    compiler = os.environ.get("CC") or sysconfig.get_config_var("CC") or "cc"
    if shutil.which(shlex.split(compiler)[0]) is None:
        lines.append("the C compiler %s is missing; on Debian: apt-get install gcc" % compiler)
    include = sysconfig.get_path("include")
    if not os.path.exists(os.path.join(include, "Python.h")):
        lines.append(
            "Python's headers are missing (no Python.h in %s); on Debian: apt-get install "
            "python3-dev" % include
        )
    if not lines and not compiles(compiler, include):
        lines.append(
            "%s cannot compile a file that includes Python.h; on Debian: apt-get install "
            "python3-dev libc6-dev" % compiler
        )
    return lines


def compiles(compiler, include):
    """Return whether the smallest extension there is gets past the compiler."""
    command = [*shlex.split(compiler), "-fsyntax-only", "-I", include, "-x", "c", "-"]
    process = subprocess.run(command, input=b"#include <Python.h>\n", stderr=subprocess.DEVNULL)
    return process.returncode == 0


if __name__ == "__main__":
    problems = missing()
    for problem in problems:
        sys.stderr.write("cannot build lrplstm: %s\n" % problem)
    sys.exit(1 if problems else 0)
