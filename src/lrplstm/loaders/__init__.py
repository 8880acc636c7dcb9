"""Loaders: one module or package for each format that models come in, and the table of them.

Each entry of the table says what a loader reads and takes. Its module is imported when the
loader is asked for, so that importing this package imports none.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from lrplstm.layers import POOLINGS
from lrplstm.loaders.registry import LOADERS, Loader, Option, first_member, register
from lrplstm.outputs import TASKS
from lrplstm.tokenizers import TOKENIZERS

if TYPE_CHECKING:
    from lrplstm.loaders.arras import from_arras
    from lrplstm.loaders.flax import from_flax
    from lrplstm.loaders.keras import from_keras
    from lrplstm.loaders.native import load, load_default
    from lrplstm.loaders.neuralhydrology import from_neuralhydrology
    from lrplstm.loaders.onnx import from_onnx
    from lrplstm.loaders.pytorch import from_torch
else:

    def __getattr__(name: str) -> Any:
        if name == "load_default":
            from lrplstm.loaders.native import load_default

            return load_default
        if name == "from_flax":  # it reads no files
            from lrplstm.loaders.flax import from_flax

            return from_flax
        if name in __all__:
            return LOADERS[name].load()
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

    def __dir__() -> list[str]:
        return sorted({*globals(), *__all__})


__all__ = [
    "from_arras",
    "from_flax",
    "from_keras",
    "from_neuralhydrology",
    "from_onnx",
    "from_torch",
    "load",
    "load_default",
]


# Options that several take ----------------------------------------------------------------------

_POOLING = Option("pooling", "what the head reads of the LSTM", choices=tuple(POOLINGS))
_TASK = Option(
    "task",
    "whether scores compete for the prediction, or each is a value (default: as IN says, else "
    "classification)",
    choices=tuple(TASKS),
)
_OUTPUT = Option("output", "the output that is explained", metavar="NAME")
_VOCABULARY = Option("vocabulary", "tokens of the ids, one a line", "tokens", "FILE")
_NAMES = (
    _TASK,
    _VOCABULARY,
    Option("class_names", "what the classes are called", "names", "NAME,NAME"),
    Option("unknown_token", "token that stands for all that are not known", metavar="TOKEN"),
    Option("tokenizer", "what makes tokens of a text", choices=tuple(TOKENIZERS)),
)


# What is seen of a file or folder ---------------------------------------------------------------


def _is_torch(path: Path, beginning: bytes) -> str | None:
    # The pickles that `torch.save` wrote before it wrote archives begin with a number of its own.
    is_pickle = beginning.startswith(b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19.")
    if is_pickle or (first_member(beginning) or "").endswith("/data.pkl"):
        return "a file of torch.save"
    is_safetensors = beginning[8:9] == b"{" and beginning[5:8] == b"\0\0\0"
    return "a safetensors file" if is_safetensors else None


def _is_onnx(path: Path, beginning: bytes) -> str | None:
    is_onnx = path.suffix.lower() == ".onnx" and beginning.startswith(b"\x08")
    return "an ONNX file" if is_onnx else None


def _is_keras(path: Path, beginning: bytes) -> str | None:
    if beginning.startswith(b"\x89HDF\r\n\x1a\n"):
        return "an HDF5 file"
    members = ("metadata.json", "config.json", "model.weights.h5")
    return "a .keras file" if first_member(beginning) in members else None


def _is_neuralhydrology(path: Path, beginning: bytes) -> str | None:
    is_run = (path / "config.yml").is_file() and any(path.glob("model_epoch*.pt"))
    return "a NeuralHydrology run" if is_run else None


def _is_2017(path: Path, beginning: bytes) -> str | None:
    is_2017 = (path / "model").is_file() and not (path / "config.json").exists()
    return "a folder of the 2017 reference code" if is_2017 else None


def _is_native(path: Path, beginning: bytes) -> str | None:
    is_native = (path / "config.json").is_file() and (path / "weights.safetensors").is_file()
    return "a folder that save wrote" if is_native and not (path / "model").exists() else None


# The table --------------------------------------------------------------------------------------

register(
    Loader(
        "lrplstm.loaders.native:load",
        "a folder that LSTMModel.save or `lrplstm convert` wrote",
        recognize=_is_native,
    )
)
register(
    Loader(
        "lrplstm.loaders.arras:from_arras",
        "a folder in the format of the 2017 reference code",
        options=(_TASK, _VOCABULARY),
        recognize=_is_2017,
    )
)
register(
    Loader(
        "lrplstm.loaders.neuralhydrology:from_neuralhydrology",
        "a folder of a NeuralHydrology run",
        recognize=_is_neuralhydrology,
    )
)
register(
    Loader(
        "lrplstm.loaders.keras:from_keras",
        "a Keras model or its weights",
        (".keras", ".h5", ".hdf5"),
        (
            Option("config", "JSON of a Keras model, for its weights alone", "file", "FILE"),
            _OUTPUT,
            Option("merge_mode", "how Keras merges two directions"),
            Option("mask_zero", "whether id 0 is padding (Keras)", "switch"),
            Option("recurrent_activation", "activation of the gates (Keras)"),
            Option("dense_activations", "of the Dense layers (Keras)", "names", "NAME,NAME"),
            _POOLING,
            *_NAMES,
        ),
        _is_keras,
    )
)
register(
    Loader(
        "lrplstm.loaders.onnx:from_onnx",
        "an ONNX graph",
        (".onnx",),
        (_OUTPUT, *_NAMES),
        _is_onnx,
    )
)
register(
    Loader(
        "lrplstm.loaders.pytorch:from_torch",
        "a PyTorch state dict",
        (".safetensors", ".pt", ".pth", ".bin", ".ckpt"),
        (
            Option(
                "lstm",
                "what the LSTM is called in IN; several that follow each other, first layer first",
                "names",
                "NAME,NAME",
            ),
            Option(
                "head",
                "what the head is called, or its layers in their order",
                "names",
                "NAME,NAME",
                none="there is none: the scores are the hidden state",
            ),
            Option(
                "embedding",
                "what the embedding is called",
                metavar="NAME",
                none="there is none: the LSTM reads numbers",
            ),
            Option(
                "activations",
                "of the head's layers in a PyTorch state dict: linear, relu or tanh",
                "names",
                "NAME,NAME",
            ),
            _POOLING,
            *_NAMES,
        ),
        _is_torch,
    )
)
