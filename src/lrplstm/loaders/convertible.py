"""Formats that no loader reads, and the one line that makes a file which a loader does read."""

from __future__ import annotations

import os
import shlex
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

__all__ = ["conversion"]


@dataclass(frozen=True)
class _Format:
    """A format, by what is seen of it, and the line that converts a file at this path."""

    kind: str
    recognize: Callable[[Path, bytes], bool]
    line: str

    def advice(self, path: Path) -> str:
        name = os.fspath(path)
        line = self.line.format(shell=shlex.quote(name), python=repr(name))
        return f"{self.kind}, which has to be converted: {line}"


def conversion(path: Path, beginning: bytes) -> str | None:
    """Return what a file or folder is and how to convert it, if it is of a format that is known.

    Parameters
    ----------
    path : Path
        Of a file or folder that is there.
    beginning : bytes
        The first bytes of the file; none of a folder.
    """
    if path.name == "saved_model.pb":  # a SavedModel is the folder that it lies in
        path, beginning = path.parent, b""
    return next((f.advice(path) for f in _FORMATS if f.recognize(path, beginning)), None)


def _is_saved_by_keras(path: Path, beginning: bytes) -> bool:
    return _is_saved_model(path, beginning) and (path / "keras_metadata.pb").is_file()


def _is_saved_model(path: Path, beginning: bytes) -> bool:
    return (path / "saved_model.pb").is_file()


def _is_tflite(path: Path, beginning: bytes) -> bool:
    return beginning[4:8] == b"TFL3"


def _is_coreml(path: Path, beginning: bytes) -> bool:
    return path.suffix.lower() == ".mlmodel" and beginning.startswith(b"\x08")


def _is_coreml_package(path: Path, beginning: bytes) -> bool:
    return (path / "Data" / "com.apple.CoreML").is_dir()


_FORMATS = (
    _Format(
        "a SavedModel folder of Keras",
        _is_saved_by_keras,
        "with tf_keras or TensorFlow up to 2.15, "
        "tf_keras.models.load_model({python}).save('model.keras'), for from_keras",
    ),
    _Format(
        "a SavedModel folder",
        _is_saved_model,
        "python -m tf2onnx.convert --saved-model {shell} --output model.onnx, for from_onnx",
    ),
    _Format(
        "a TFLite file",
        _is_tflite,
        "python -m tf2onnx.convert --tflite {shell} --output model.onnx, for from_onnx",
    ),
    _Format(
        "a Core ML model",
        _is_coreml,
        "onnxmltools.utils.save_model(onnxmltools.convert_coreml("
        "coremltools.utils.load_spec({python})), 'model.onnx'), for from_onnx",
    ),
    _Format(
        "a Core ML package",
        _is_coreml_package,
        "nothing converts one back, so save the model that it was made of, such as "
        "torch.save(network.state_dict(), 'model.pt') for from_torch, or "
        "network.save('model.keras') for from_keras",
    ),
)
