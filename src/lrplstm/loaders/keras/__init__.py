"""Models of Keras: objects, .keras files, and HDF5 files with or without a config."""

from __future__ import annotations

import os
import warnings
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from lrplstm.checks import outer_level
from lrplstm.loaders.arrays import naming
from lrplstm.loaders.assumptions import warn_assumed
from lrplstm.loaders.registry import refuse_others
from lrplstm.model import LSTMModel
from lrplstm.texts import with_visible_errors

if TYPE_CHECKING:
    from lrplstm.loaders.keras.chain import Chain

__all__ = ["from_keras"]


@with_visible_errors
def from_keras(
    source: Any,
    *,
    config: str | os.PathLike[str] | Mapping[str, Any] | None = None,
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
) -> LSTMModel:
    """Read an LSTM network of Keras: a model, or a file that one was saved to.

    The layers have to form a chain of ``Embedding`` or ``Masking`` (or neither), ``LSTM`` and
    ``Bidirectional`` layers, a global pooling (or none), and ``Dense`` layers; see
    ``docs/loaders/keras.md`` for all that is read. Anything else is an error that names the layer.
    Nothing in a file is run, and Keras is not needed to read one.

    Parameters
    ----------
    source : keras.Model, str or path
        A Sequential or Functional model; or a ``.keras`` file; or an HDF5 file with a whole model
        or with weights only, of Keras 1, 2 or 3.
    config : path, mapping or str, optional
        The config of a model of which the file has only the weights, as ``model.to_json()`` writes
        it: a JSON file, the JSON itself, or what it says.
    pooling : {"last", "mean", "max", "none"}, optional
        What is read of the last LSTM layer: "last" if its ``return_sequences`` is False, "mean" or
        "max" with a global pooling layer, "none" if there are scores for each step.
    merge_mode : {"concat", "sum", "ave"}, optional
        How Bidirectional layers merge their two directions.
    mask_zero : bool, optional
        Whether the Embedding takes id 0 for padding. The model then passes over such steps, and
        they get no relevance.
    recurrent_activation : str, optional
        Activation of the gates. Only "sigmoid" can be explained; "hard_sigmoid", which Keras had
        before version 2.3 where nothing else was said, is another function.
    dense_activations : sequence of str, optional
        Activations of the Dense layers, which are behind the LSTM, first layer first: "linear",
        "relu" or "tanh", of the last one also "softmax" or "sigmoid". Scores are what is before
        these two.
    vocabulary, class_names, unknown_token, tokenizer
        As for `LSTMModel`.
    task : {"classification", "regression"}, optional
        As for `LSTMModel`. Default: "regression" if the model was compiled with a loss that says
        so, such as mse, mae, huber or log_cosh, and does not end with a softmax.

    Returns
    -------
    LSTMModel
        In float64 if any weights are, else in float32.

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
    >>> model
    LSTMModel(input_size=3, hidden_size=2, num_layers=1, bidirectional=False, num_classes=5, \
pooling='last', dtype=float64, made from lstm 'lstm', head 'dense')
    """
    # Imported here, so that only those who read a Keras model wait for it.
    from lrplstm.loaders.keras.reading import Source
    from lrplstm.loaders.keras.said import Said

    refuse_others(source, "from_keras")
    said = Said(pooling, merge_mode, mask_zero, recurrent_activation, dense_activations)
    opened = Source(source, config)
    with naming(opened.name, (ValueError,)):
        chain = opened.read(said)
        _warn(opened.config is None and dense_activations is None, chain)
        if task is None:
            two = class_names is not None and len(class_names) == 2
            task = opened.task
            if chain.softmax or (two and chain.num_scores == 1):
                task = "classification"
        return LSTMModel(
            chain.layers,
            head=chain.head,
            pooling=str(chain.pooling),
            embedding=chain.embedding,
            vocabulary=vocabulary,
            class_names=class_names,
            unknown_token=unknown_token,
            tokenizer=tokenizer,
            mask_id=chain.mask_id,
            mask_value=chain.mask_value,
            task=task,
            origin=chain.origin(),
        )


def _warn(unsaid: bool, chain: Chain) -> None:
    """Warn of what is assumed, and of what Keras computes in another way."""
    if unsaid and "head" in chain.names:
        last = chain.names["head"][-1]
        warn_assumed(
            "weights alone do not show what is done with them",
            [f"no activation but softmax or sigmoid after {last!r:.60}, which is behind the LSTM"],
            {"dense_activations": ["linear"]},
            "the config (the JSON of model.to_json()) says it as config=",
        )
    if chain.masked and chain.pooling == "max":
        warnings.warn(
            "'max' pooling of a model with padding: scores are those of sequences without "
            "their padding; GlobalMaxPooling1D knows no masks, so leave padding out in Keras "
            "too, or scores can differ",
            UserWarning,
            stacklevel=outer_level(),
        )
