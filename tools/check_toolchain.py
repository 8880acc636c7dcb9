"""Say plainly what this machine lacks to build lrplstm; exit with 1 if anything is missing."""

import importlib.util
import os
import shlex
import shutil
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
    elif not any(
        os.path.exists(os.path.join(folder, "limits.h"))
        for folder in ("/usr/include", "/usr/local/include")
    ) and sys.platform.startswith("linux"):
        lines.append("the C library's headers are missing; on Debian: apt-get install libc6-dev")
    return lines


if __name__ == "__main__":
    problems = missing()
    for problem in problems:
        sys.stderr.write("cannot build lrplstm: %s\n" % problem)
    sys.exit(1 if problems else 0)
