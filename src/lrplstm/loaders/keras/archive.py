"""The .keras file: a zip archive with the config and the weights of a model."""

from __future__ import annotations

import io
import stat
import zipfile
from pathlib import PurePosixPath
from typing import NamedTuple

from lrplstm.loaders.keras.hdf5_worker import MOST_BYTES, MOST_GROWTH, most
from lrplstm.loaders.refusals import RefusedError
from lrplstm.texts import first_line, shown

__all__ = ["CONFIG", "METADATA", "SIGNATURE", "WEIGHTS", "Archive", "read_archive"]

SIGNATURE = b"PK\x03\x04"

METADATA, CONFIG, WEIGHTS = "metadata.json", "config.json", "model.weights.h5"
_ASSETS, _VOCABULARY = "assets/", "/vocabulary.txt"
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)  # others unpack without a bound
_ENCRYPTED = 1
_LEAST_CONFIG = 2**16  # bytes that a config may have in any file


class Archive(NamedTuple):
    """What is in a .keras file.

    Attributes
    ----------
    config, weights : bytes
    metadata : bytes
        Which version of Keras wrote it; empty where it does not say so.
    vocabularies : dict of bytes by str
        Words of the layers that make ids of them, by where Keras has these layers.
    """

    config: bytes
    weights: bytes
    metadata: bytes
    vocabularies: dict[str, bytes]


def read_archive(content: bytes, name: str) -> Archive:
    """Return what is in a .keras file.

    Parameters
    ----------
    content : bytes
        The file. Nothing is written to disk, and what is unpacked is at most `hdf5_worker.most` of
        its size.
    name : str
        What errors call it.

    Raises
    ------
    ValueError
        If it is damaged, or holds something that no Keras model has.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            members = _check_members(archive.infolist(), len(content))
            text = len(content) + _LEAST_CONFIG
            vocabularies = [
                name for name in members if name.startswith(_ASSETS) and name.endswith(_VOCABULARY)
            ]
            return Archive(
                _unpack(archive, members, CONFIG, text),
                _unpack(archive, members, WEIGHTS, most(len(content))),
                _unpack(archive, members, METADATA, text) if METADATA in members else b"",
                {
                    name.removeprefix(_ASSETS).removesuffix(_VOCABULARY): _unpack(
                        archive, members, name, most(len(content))
                    )
                    for name in vocabularies
                },
            )
    except RefusedError as error:
        raise ValueError(f"{name}: refused: {error}") from None
    except Exception as error:  # a damaged archive can raise nearly anything
        raise ValueError(
            f"{name}: not a readable .keras file ({type(error).__name__}: {first_line(error)})"
        ) from None


def _check_members(infos: list[zipfile.ZipInfo], size: int) -> dict[str, zipfile.ZipInfo]:
    members: dict[str, zipfile.ZipInfo] = {}
    total = 0
    for info in infos:
        member = f"member {shown(info.filename)}"
        path = PurePosixPath(info.filename)
        if path.is_absolute() or ".." in path.parts or "\\" in info.filename:
            raise RefusedError(f"{member} has a path that leads out of the archive")
        if stat.S_ISLNK(info.external_attr >> 16):
            raise RefusedError(f"{member} is a link")
        if info.filename in members:
            raise RefusedError(f"{member} is there twice")
        total += info.file_size
        if total > most(size):
            raise RefusedError(
                f"{member} unpacks to more than {MOST_GROWTH} times the archive and "
                f"{MOST_BYTES} bytes"
            )
        members[info.filename] = info
    return members


def _unpack(
    archive: zipfile.ZipFile, members: dict[str, zipfile.ZipInfo], name: str, limit: int
) -> bytes:
    info = members.get(name)
    if info is None:
        raise RefusedError(f"it has no member {name!r}, only {shown(list(members))}")
    if info.flag_bits & _ENCRYPTED or info.compress_type not in _METHODS:
        raise RefusedError(f"member {name!r} is encrypted, or packed in an unusual way")
    if info.file_size > limit:
        raise RefusedError(f"member {name!r} has {info.file_size} bytes, more than {limit}")
    with archive.open(info) as member:
        content = member.read(limit + 1)  # what the archive says of the size may be wrong
    if len(content) != info.file_size:
        raise RefusedError(f"member {name!r} has another size than the archive says")
    return content
