"""ONNX files, as PyTorch, tf2onnx and others write them."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from lrplstm.base_model import Model
from lrplstm.graph.assembling import to_model
from lrplstm.graph.reading import read
from lrplstm.loaders.arrays import naming
from lrplstm.loaders.onnx_files import File, open_file, refusing
from lrplstm.loaders.refusals import RefusedError
from lrplstm.loaders.registry import refuse_others
from lrplstm.texts import shown, with_visible_errors

if TYPE_CHECKING:
    import onnx

__all__ = ["from_onnx"]


@with_visible_errors
def from_onnx(
    source: str | os.PathLike[str] | onnx.ModelProto,
    *,
    output: str | None = None,
    vocabulary: Sequence[str | None] | Mapping[str, int] | None = None,
    class_names: Sequence[str] | None = None,
    unknown_token: str | None = None,
    tokenizer: str | None = None,
    task: str = "classification",
) -> Model:
    """Read a network from an ONNX graph.

    The graph is followed from its inputs to its output, and what it does to shapes is followed
    with it, so that the layers, the order of their units, the poolings and the head are seen and
    not guessed. It may consist of recurrent layers, dense ones, convolutions, poolings,
    normalizations, attention, activations, and of sums, products and parts of what these give; see
    docs/loaders/onnx.md for all of it. A final Softmax, LogSoftmax or Sigmoid is left out: scores
    are before it. Whatever else it contains is refused, with the name of the node. Nodes that the
    output does not depend on are passed over.

    Parameters
    ----------
    source : str, path or onnx.ModelProto
        An .onnx file, of opset 7 or later. Tensors that it keeps in other files are read if these
        lie in its own folder.
    output : str, optional
        Name of the output that gives the scores. Default: the only one.
    vocabulary : sequence of str, or dict of int by str, optional
        The token of each id.
    class_names : sequence of str, optional
        What the classes, or outputs, are called.
    unknown_token : str, optional
        The token for all that the vocabulary lacks.
    tokenizer : str, optional
        What makes tokens of text, "treebank" or "whitespace".
    task : {"classification", "regression"}
        What the scores are for.

    Returns
    -------
    LSTMModel or Model
        The first where the network has its shape. float64 if the weights of recurrent layers are,
        else float32. `origin` has the names of the nodes.

    Raises
    ------
    ImportError
        If the package onnx is missing: ``pip install "lrplstm[onnx]"``.
    TypeError
        If an argument is of the wrong kind.
    ValueError
        If there is no such file or output, the file is damaged, or the graph is no such network.

    Notes
    -----
    ONNX has the gates in the order i, o, f, c. A graph of fixed length is read as one for
    sequences of any length. See docs/loaders/onnx.md.

    Examples
    --------
    >>> import numpy as np
    >>> import onnx
    >>> from onnx import TensorProto, helper, numpy_helper
    >>> import lrplstm
    >>> rng = np.random.default_rng(0)
    >>> shapes = {"W": (1, 8, 3), "R": (1, 8, 2), "B": (1, 16)}
    >>> weights = [numpy_helper.from_array(rng.normal(0, 0.3, shape).astype("float32"), name)
    ...            for name, shape in shapes.items()]
    >>> node = helper.make_node("LSTM", ["X", "W", "R", "B"], ["Y"], "lstm", hidden_size=2)
    >>> given, scores = (helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
    ...                  for name, shape in [("X", ["T", 1, 3]), ("Y", ["T", 1, 1, 2])])
    >>> graph = helper.make_graph([node], "graph", [given], [scores], weights)
    >>> model = lrplstm.from_onnx(helper.make_model(graph))
    >>> model.pooling, model.origin["lstm"]
    ('none', 'lstm')
    >>> model.predict(rng.normal(size=(5, 3))).shape
    (5, 2)
    """
    if output is not None and not isinstance(output, str):
        raise TypeError(f"output: expected a name, got {shown(output)}")
    refuse_others(source, "from_onnx")
    file = open_file(source)
    with refusing(file.name):
        if output is None and len(file.outputs) == 1:
            (output,) = file.outputs
        if output is None or output not in file.outputs:
            names = ", ".join(map(shown, file.outputs[:5])) or "none at all"
            raise RefusedError(f"output: expected one of {names}, got {shown(output)}")
        with _saying_what_is_missing(file):
            reading = read(file.graph(output), room=file.room)
    with naming(file.name, (ValueError,)):
        return to_model(
            reading,
            vocabulary=vocabulary,
            class_names=class_names,
            unknown_token=unknown_token,
            tokenizer=tokenizer,
            task=task,
        )


_WRITTEN_OUT = (
    "it has no recurrent node: a layer that is written out as single operations, as a loop over "
    "steps or Keras' own export is, is read only where each step is the formula of a cell; export "
    "a module with nn.LSTM, nn.GRU or nn.RNN, or read the .keras file with from_keras"
)


@contextmanager
def _saying_what_is_missing(file: File) -> Iterator[None]:
    """Where there is no recurrent node at all, let errors say so, too."""
    try:
        yield
    except RefusedError as error:
        if file.operators & {"LSTM", "GRU", "RNN", "Loop"}:
            raise
        raise RefusedError(f"{error}; {_WRITTEN_OUT}") from None
