"""Print what pyproject.toml requires, a line for pip each: of `build`, `oldest` or an extra's name.

`oldest` is the oldest release that may be there of each package that a run or a loader needs. What
the tests need has no PyTorch in it where the venv uses one that was there (installed_torch.py).
"""

import sys
import sysconfig
import tomllib
from pathlib import Path

from installed_torch import MARK


def main(name):
    """Print the requirements of this name."""
    content = tomllib.loads(Path("pyproject.toml").read_text(encoding="utf-8"))
    project = content["project"]
    extras = project["optional-dependencies"]
    if name == "build":
        wanted = content["build-system"]["requires"]
    elif name == "oldest":
        read = ("keras", "onnx", "tables")
        bounds = [*project["dependencies"], *(bound for name in read for bound in extras[name])]
        wanted = [bound.replace(">=", "==") for bound in bounds]
    else:
        wanted = extras[name]
    if name == "test" and Path(sysconfig.get_path("purelib"), MARK).exists():
        wanted = [line for line in wanted if not line.startswith("torch==")]
    print(*wanted, sep="\n")


if __name__ == "__main__":
    main(sys.argv[1])
