"""A program that reads an HDF5 file from standard input and writes what is in it to its output.

Its arguments are how many bytes may come out, and the folders of NumPy and h5py.

It is a process of its own because the HDF5 library is C code that damaged files make crash or run
on: of 8,000 files with a few bytes changed, one ended in a segmentation fault, and 41 had not ended
after ten seconds (HDF5 2.0.0). Here such a file ends this process only; see
`lrplstm.loaders.keras.hdf5`, which starts it.

The answer is the bytes of all arrays, a JSON text that lists them in their order and says the rest,
and the length of that text in 8 bytes (little-endian).
"""

from __future__ import annotations

import json
import math
import re
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import Any

MOST_GROWTH, MOST_BYTES = 3, 2**22
"""How many times as large as the file all that comes out of it may be, and how many bytes more."""

MOST_DEPTH = 64  # of groups in groups
_BYTES_PER_OBJECT, _BYTES_PER_TEXT = 1000, 100  # what names and places take in the end
_MOST_SECONDS, _BYTES_PER_SECOND = 10, 10**7
_EXTRA_BYTES = 512 * 2**20  # of address space, for the library itself

# What says nothing of the model: the state of its training.
_TRAINING = {"optimizer", "optimizer_weights", "metrics", "_metrics", "loss_tracker"}
_WANTED = re.compile(
    r"(layer_names|weight_names)\d*|(model|training)_config|keras_version|backend|name|dtype",
    re.ASCII,
)
_PLAIN_FILTERS = {1, 2, 3}  # gzip, shuffle, fletcher32; others are plugins


class RefusedError(Exception):
    """The file asks for something that it may not have."""


def most(size: int) -> int:
    """Return how many bytes may come out of a file of this size."""
    return MOST_BYTES + MOST_GROWTH * size


def seconds(size: int) -> int:
    """Return how long reading a file of this size may take."""
    return _MOST_SECONDS + size // _BYTES_PER_SECOND


def main() -> None:
    """Read standard input, and answer."""
    limit, *folders = sys.argv[1:]
    # After those of Python itself; the current folder, which may hold anything, is none of them.
    sys.path += folders
    content = sys.stdin.buffer.read()
    with suppress(ImportError):  # `answer` says so
        import h5py  # noqa: F401 - before the limits, which are for what the file takes
    _limit(len(content), int(limit))
    answer(content, int(limit), sys.stdout.buffer.write)


def answer(content: bytes, limit: int, write: Callable[[Any], Any]) -> None:
    """Write what is in a file, or what is wrong with it."""
    try:
        found = read(content, limit, write)
    except ImportError as error:
        found = {"missing": str(error)}
    except RefusedError as error:
        found = {"refused": str(error)}
    except Exception as error:  # a damaged file can raise nearly anything
        text = str(error).partition("\n")[0]
        found = {"damaged": f"{type(error).__name__}: {text:.100}"}
    said = json.dumps(found).encode()
    write(said)
    write(len(said).to_bytes(8, "little"))


def _limit(size: int, limit: int) -> None:
    """Bound the memory and time of this process by the size of the file, and what it writes."""
    try:
        import resource

        with open("/proc/self/statm", encoding="ascii") as file:
            used = int(file.read().split()[0]) * resource.getpagesize()
    except (ImportError, OSError):  # not on Linux; a limit on time is in force all the same
        return
    bounds = {
        resource.RLIMIT_AS: used + _EXTRA_BYTES + 4 * size + 2 * limit,
        resource.RLIMIT_FSIZE: 3 * limit,
        resource.RLIMIT_CPU: seconds(size),
        resource.RLIMIT_CORE: 0,
    }
    for kind, bound in bounds.items():
        with suppress(ValueError):  # a lower one is in force
            resource.setrlimit(kind, (bound, bound))


def read(content: bytes, limit: int, write: Callable[[Any], Any]) -> dict[str, Any]:
    """Return what a file says of itself, and write its arrays.

    The first is a dict of "attributes" (by the path of their object and their name), "groups" (a
    list of paths) and "arrays" (path, dtype and shape of each; of dtypes that weights cannot have,
    dtype "other" and no bytes).
    """
    import h5py

    reader = _Reader(limit, write)
    with h5py.File(h5py.h5f.open_file_image(content), "r") as file:
        reader.visit(file, "", 0)
    return reader.found


class _Reader:
    """Walks over groups and datasets, and keeps account of what it takes out of the file."""

    def __init__(self, budget: int, write: Callable[[Any], Any]) -> None:
        self.budget = budget
        self.write = write
        self.seen: set[int] = set()
        self.found: dict[str, Any] = {"attributes": {}, "groups": [], "arrays": []}

    def visit(self, group: Any, path: str, depth: int) -> None:
        import h5py

        if depth > MOST_DEPTH:
            raise RefusedError(f"groups in groups, more than {MOST_DEPTH} deep")
        self.enter(group, path)
        self.found["groups"].append(path)
        for name in group:
            self.take(_BYTES_PER_OBJECT + 2 * len(path) + 4 * len(name), path)
            below = f"{path}/{name}" if path else name
            if depth == 0 and name.partition("\\")[0] in _TRAINING:
                continue
            if type(group.get(name, getlink=True)) is not h5py.HardLink:
                raise RefusedError(f"{below!r:.80} is a link to somewhere else")
            member = group[name]
            if isinstance(member, h5py.Group):
                self.visit(member, below, depth + 1)
            elif isinstance(member, h5py.Dataset):
                self.enter(member, below)
                self.take_array(member, below)
            else:
                raise RefusedError(f"{below!r:.80} is neither a group nor a dataset")

    def enter(self, member: Any, path: str) -> None:
        """Note an object and its attributes."""
        import h5py

        address = h5py.h5o.get_info(member.id).addr
        if address in self.seen:
            raise RefusedError(f"{path!r:.80} is a second name of an object")
        self.seen.add(address)
        attributes = {}
        for name in member.attrs:
            if _WANTED.fullmatch(name):
                text = self.take_text(member.attrs, name, path)
                if text is not None:
                    attributes[name] = text
        if attributes:
            self.found["attributes"][path] = attributes

    def take(self, size: int, path: str) -> None:
        """Take this many bytes, if the file is large enough to hold them."""
        self.budget -= size
        if self.budget < 0:
            raise RefusedError(f"{path!r:.80} is larger than the file can hold")

    def take_text(self, attributes: Any, name: str, path: str) -> str | list[str] | None:
        """Return an attribute that is a string or a list of them; None if it is anything else."""
        import h5py

        stored = attributes.get_id(name)
        dtype, shape = stored.dtype, stored.shape
        if shape is not None and 0 in shape:  # how an empty list is written, in any dtype
            return []
        if shape is None or len(shape) > 1:
            return None
        if dtype.kind != "S" and h5py.check_string_dtype(dtype) is None:
            return None
        self.take((dtype.itemsize + _BYTES_PER_TEXT) * math.prod(shape), f"{path}/{name}")
        value = attributes[name]
        texts = [value] if not shape else list(value)
        texts = [t if isinstance(t, str) else bytes(t).decode() for t in texts]
        self.take(sum(map(len, texts)), f"{path}/{name}")
        return texts if shape else texts[0]

    def take_array(self, dataset: Any, path: str) -> None:
        import h5py

        stored = dataset.id.get_create_plist()
        if stored.get_layout() == h5py.h5d.VIRTUAL or stored.get_external_count():
            raise RefusedError(f"{path!r:.80} lies in another file")
        dtype, shape = dataset.dtype, dataset.shape
        size = None if shape is None else dtype.itemsize * math.prod(shape)
        code = _code(dtype, self.found["attributes"].get(path, {}).get("dtype"))
        entry = {"path": path, "dtype": code, "shape": shape}
        if size is None or code == "other":
            self.found["arrays"].append(entry | {"dtype": "other"})
            return
        for n in range(stored.get_nfilters()):
            if stored.get_filter(n)[0] not in _PLAIN_FILTERS:
                raise RefusedError(f"{path!r:.80} is compressed by a plugin")
        self.take(size, path)
        chunk = stored.get_chunk() if stored.get_layout() == h5py.h5d.CHUNKED else (0,)
        if dtype.itemsize * math.prod(chunk) > self.budget + size:
            raise RefusedError(f"{path!r:.80} has chunks larger than the file can hold")
        if size and not dataset.id.get_storage_size():
            raise RefusedError(f"{path!r:.80} was given a shape but no numbers")
        self.found["arrays"].append(entry)
        array = dataset[()]
        if code != "bf2":
            array = array.astype(array.dtype.newbyteorder("<"), copy=False)
        self.write(array.reshape(-1).view("u1"))


def _code(dtype: Any, said: Any) -> str:
    """Return the name of a dtype that weights can have: f2, f4, f8 or bf2; else "other"."""
    if dtype.kind == "f" and dtype.itemsize in (2, 4, 8):
        return f"f{dtype.itemsize}"
    if dtype.kind == "V" and dtype.itemsize == 2 and said == "bfloat16":
        return "bf2"
    return "other"


if __name__ == "__main__":
    main()
