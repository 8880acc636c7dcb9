"""Let a venv use the PyTorch of the Python that it is made with, so that none is downloaded.

Run with that Python it prints the folder where PyTorch is, if it is one that the tests can use. The
file `MARK`, with that folder in it, then goes into the venv, behind whose own packages Python looks
for others there.
"""

from importlib import metadata

OLDEST = (2, 6)
MARK = "installed_torch.pth"


def find():
    """Return the folder, or nothing."""
    try:
        torch = metadata.distribution("torch")
    except metadata.PackageNotFoundError:
        return ""
    known = tuple(int(n) for n in torch.version.split(".")[:2])
    return str(torch.locate_file("")) if known >= OLDEST else ""


if __name__ == "__main__":
    print(find())
