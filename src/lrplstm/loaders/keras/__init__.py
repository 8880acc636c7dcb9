"""Models of Keras: objects, .keras files, and HDF5 files with or without a config."""

from __future__ import annotations

import os
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from lrplstm.base_model import Model
from lrplstm.checks import outer_level
from lrplstm.layers import INPUTS
from lrplstm.loaders.arrays import naming
from lrplstm.loaders.assumptions import warn_assumed
from lrplstm.loaders.registry import refuse_others
from lrplstm.texts import shown, with_visible_errors

if TYPE_CHECKING:
    from lrplstm.loaders.keras.reading import Network

__all__ = ["from_keras"]


@with_visible_errors
def from_keras(
    source: Any,
    *,
    config: str | os.PathLike[str] | Mapping[str, Any] | None = None,
    output: str | None = None,
    pooling: str | None = None,
    merge_mode: str | None = None,
    mask_zero: bool | None = None,
    recurrent_activation: str | None = None,
    dense_activations: Sequence[str] | None = None,
    vocabulary: Sequence[str | None] | Mapping[str, int] | None = None,
    class_names: Sequence[str] | None = None,
    unknown_token: str | None = None,
    tokenizer: str | None = None,
    task: str | None = None,
) -> Model:
    """Read a network of Keras: a model, or a file that one was saved to.

    Layers are read as the graph that they form; see ``docs/loaders/keras.md`` for those that are.
    Any other is an error that names it. Nothing in a file is run, and Keras is not needed to read
    one.

    Parameters
    ----------
    source : keras.Model, str or path
        A Sequential or Functional model; or a ``.keras`` file; or an HDF5 file with a whole model
        or with weights only, of Keras 1, 2 or 3.
    config : path, mapping or str, optional
        The config of a model of which the file has only the weights, as ``model.to_json()`` writes
        it: a JSON file, the JSON itself, or what it says.
    output : str, optional
        The name of the output that is explained, of a model with several: that of its layer.
    pooling : {"last", "mean", "max", "none"}, optional
        What is read of the last LSTM layer: "last" if its ``return_sequences`` is False, "mean" or
        "max" with a global pooling layer, "none" if there are scores for each step.
    merge_mode : {"concat", "sum", "ave", "mul"}, optional
        How Bidirectional layers merge their two directions.
    mask_zero : bool, optional
        Whether the Embedding takes id 0 for padding. The model then passes over such steps, and
        they get no relevance.
    recurrent_activation : str, optional
        Activation of the gates: "hard_sigmoid" in Keras before version 2.3 where nothing else was
        said.
    dense_activations : sequence of str, optional
        Activations of the Dense layers, which are behind the LSTM, first layer first. Scores are
        what is before a softmax or sigmoid of the last one.
    vocabulary : sequence of str, or dict of int by str, optional
        The token of each id.
    class_names : sequence of str, optional
        What the classes, or outputs, are called.
    unknown_token : str, optional
        The token for all that the vocabulary lacks.
    tokenizer : str, optional
        What makes tokens of text, "treebank" or "whitespace".
    task : {"classification", "regression"}, optional
        What the scores are for. Default: "regression" if the model was compiled with a loss
        that says so, such as mse, mae, huber or log_cosh, and does not end with a softmax.

    Returns
    -------
    Model
        In float64 if any weights are, else in float32; an `LSTMModel` where the network has that
        shape.

    Raises
    ------
    TypeError
        If an argument is of the wrong kind.
    ValueError
        If a file is missing or damaged, a layer cannot be explained, or what `pooling` to
        `dense_activations` say is not so, or is needed as the file does not say it.
    ImportError
        If a file is to be read and h5py is missing: ``pip install "lrplstm[keras]"``.

    Warns
    -----
    UserWarning
        If there are weights only, and an activation of the last Dense layer has to be assumed.

    Notes
    -----
    The arguments from `pooling` to `dense_activations` are for files with weights only and no
    `config`; elsewhere they are checked against the config. HDF5 is read in a second Python
    process, as damaged files can make the HDF5 library crash or run on without end.

    Examples
    --------
    A file with weights only, as ``model.save_weights`` of Keras 3 writes it:

    >>> import pathlib, tempfile
    >>> import h5py, numpy as np
    >>> import lrplstm
    >>> rng = np.random.default_rng(0)
    >>> arrays = {"lstm/cell/vars/0": (3, 8), "lstm/cell/vars/1": (2, 8), "lstm/cell/vars/2": (8,),
    ...           "dense/vars/0": (2, 5), "dense/vars/1": (5,)}
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder, "my.weights.h5")
    ...     with h5py.File(path, "w") as file:
    ...         for name, shape in arrays.items():
    ...             file[f"layers/{name}"] = rng.normal(0, 0.3, shape)
    ...     model = lrplstm.from_keras(path, pooling="last", dense_activations=["linear"])
    >>> dict(model.origin)
    {'input': 'lstm_input', 'lstm': 'lstm', 'head': 'dense', 'output': 'dense'}
    """
    # Imported here, so that only those who read a Keras model wait for it.
    from lrplstm.graph.assembling import to_model
    from lrplstm.graph.reading import read
    from lrplstm.loaders.keras.reading import open_source
    from lrplstm.loaders.keras.said import Said

    if output is not None and not isinstance(output, str):
        raise TypeError(f"output: expected a name, got {shown(output)}")
    refuse_others(source, "from_keras")
    said = Said(pooling, merge_mode, mask_zero, recurrent_activation, dense_activations)
    opened = open_source(source, config)
    with naming(opened.name, (ValueError,)):
        network = opened.read(said, output)
        said.check(network.translation.settings)
        _warn(opened.config is None and dense_activations is None, network)
        if vocabulary is None and network.translation.vocabulary is not None:
            vocabulary = network.translation.vocabulary
            unknown_token = unknown_token or ("[UNK]" if "[UNK]" in vocabulary else None)
        if task is None:
            two = class_names is not None and len(class_names) == 2
            task = opened.task
            if network.ends_with_softmax or (two and network.scores.width == 1):
                task = "classification"
        reading = read(network.graph)
        masks = network.translation.masks()
        if len(reading.inputs) == 1:  # which has no name of its own
            masks = dict(zip([INPUTS], masks.values(), strict=False))
        reading = replace(reading, masks=masks)
        return to_model(
            reading,
            vocabulary=vocabulary,
            class_names=class_names,
            unknown_token=unknown_token,
            tokenizer=tokenizer,
            task=task,
        )


def _warn(unsaid: bool, network: Network) -> None:
    """Warn of what is assumed, and of what Keras computes in another way."""
    if unsaid and (last := network.last_dense):
        warn_assumed(
            "weights alone do not show what is done with them",
            [f"no activation but softmax or sigmoid after {last!r:.60}, which is behind the LSTM"],
            {"dense_activations": ["linear"]},
            "the config (the JSON of model.to_json()) says it as config=",
        )
    length = network.translation.text_length
    if length is not None and not network.translation.heeds:
        warnings.warn(
            f"TextVectorization makes {length} ids of every text, with 0 behind those of a shorter "
            "one, and the layers after it read these: pass as many ids, or scores differ",
            UserWarning,
            stacklevel=outer_level(),
        )
    if network.translation.warned & set(network.translation.heeds):
        warnings.warn(
            "'max' pooling of a model with padding: scores are those of sequences without "
            "their padding; GlobalMaxPooling1D knows no masks, so leave padding out in Keras "
            "too, or scores can differ",
            UserWarning,
            stacklevel=outer_level(),
        )
