"""NeuralHydrology: runs of CudaLSTM, CustomLSTM, GRU and EA-LSTM.

Kratzert et al. 2022, "NeuralHydrology: A Python library for Deep Learning research in hydrology"
(doi 10.21105/joss.04050).
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np

from lrplstm.base_model import Model
from lrplstm.cells import GRUWeights
from lrplstm.layers import (
    INPUTS,
    Concatenate,
    DenseLayer,
    Layer,
    Pool,
    Repeat,
    Standardize,
    recurrent,
)
from lrplstm.loaders.neuralhydrology.run import EmbeddingNet, Run, Scaling, read_run
from lrplstm.loaders.registry import refuse_others
from lrplstm.loaders.tensors import TensorReader
from lrplstm.loaders.torch_files import read_state_dict
from lrplstm.named_inputs import Input
from lrplstm.texts import with_visible_errors
from lrplstm.weights import Array, CellWeights, LSTMWeights

__all__ = ["from_neuralhydrology"]

_MIXTURE = ("mu", "b", "tau", "pi")
"""Parameters of an asymmetric Laplacian, and the weight of each in the mixture."""


@with_visible_errors
def from_neuralhydrology(run_folder: str | os.PathLike[str], *, epoch: int | None = None) -> Model:
    """Read the network of a NeuralHydrology run.

    It reads raw numbers, in the units of the data: they are standardized before the first layer, as
    the run's scaler says, so that the relevance of a number is that of the standardized one. Its
    scores are in the units of the targets.

    Parameters
    ----------
    run_folder : str or path
        The folder that the run made. Read are ``config.yml``, the weights ``model_epochNNN.pt`` and
        ``train_data/train_data_scaler.yml``; with ``use_basin_id_encoding`` also
        ``train_data/id_to_int.yml``. Nothing in them is run.
    epoch : int, optional
        After which the weights were saved. Default: the last.

    Returns
    -------
    Model
        Of the model classes CudaLSTM, EmbCudaLSTM, CustomLSTM, GRU and EALSTM, with fully connected
        embeddings and the heads "regression" and "cmal". It reads "dynamic", the numbers of each
        step, in the order of `dynamic_inputs`; and "static", if the run has any: the attributes in
        the order of the alphabet, as NeuralHydrology has them, then what evolves, then for each
        basin 1 if it is that one and else 0. Both have their `feature_names`, by which tables are
        read. Without any static inputs it reads the series alone. `class_names` are the targets; of
        a mixture of asymmetric Laplacians its parameters, "q mu 1" to "q pi 3" for example, where
        mu is in the unit of the target, and b, tau and pi are what softplus, sigmoid and softmax
        are taken of.
        It gives a score for the last step, or if the run was trained to predict more steps
        (`predict_last_n`) for every step.

    Raises
    ------
    ImportError
        If ruamel.yaml is not installed: ``pip install 'lrplstm[neuralhydrology]'``.
    ValueError
        If a file is missing or damaged, or the network is another; the error names the key of the
        config that says so.

    Notes
    -----
    The input gate of an EA-LSTM is all that reads the static inputs, and a gate gets no relevance
    under the product rule "all": there they have none. The other product rules, `gradient_x_input`,
    `integrated_gradients` and `occlusion` show what they do.

    Examples
    --------
    >>> import lrplstm
    >>> model = lrplstm.from_neuralhydrology("runs/camels_2911_090000")  # doctest: +SKIP
    >>> a = lrplstm.lrp(model, {"dynamic": forcings, "static": attributes})  # doctest: +SKIP
    """
    refuse_others(run_folder, "from_neuralhydrology")
    folder = Path(run_folder)
    run = read_run(folder, epoch)
    weights = _Weights(run.weights)
    of_series = "dynamic" if run.static else INPUTS
    layers: list[Layer] = [_standardize(run.of_dynamic, "standardized", of_series, weights.dtype)]
    layers += _embedding(weights, run.embeds_dynamic, "dynamic", len(run.dynamic))
    series, width = _last(layers), _width(layers, len(run.dynamic))
    static_width = 0
    if run.static:
        static: list[Layer] = [
            _standardize(run.of_static, "static standardized", "static", weights.dtype)
        ]
        static += _embedding(weights, run.embeds_static, "static", len(run.static))
        static_width = _width(static, len(run.static))
        layers += [
            *static,
            Repeat(name="static at every step", reads=(_last(static), series)),
            Concatenate(name="inputs of the cell", reads=(series, "static at every step")),
        ]
    cell = recurrent(_cell(weights, run, width, static_width))
    layers.append(cell.called(run.cell, None))
    if not run.every_step:
        layers.append(Pool("last", name="last"))
    layers += _head(weights, run)
    weights.check_all_read()
    inputs: dict[str, Input | int] | None = None
    if run.static:
        inputs = {
            "dynamic": Input(len(run.dynamic), feature_names=run.dynamic),
            "static": Input(len(run.static), steps=False, feature_names=run.static),
        }
    return Model(
        layers,
        inputs=inputs,
        feature_names=None if run.static else run.dynamic,
        class_names=_output_names(run),
        task="regression",
        origin={"run": folder.name, "weights": run.weights.name},
    )


class _Weights:
    """The tensors of a run's weights, each to be read once."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._tensors = {
            # EmbCudaLSTM has a CudaLSTM inside, of which it has some parts twice.
            name: tensor
            for name, tensor in read_state_dict(path).items()
            if not name.startswith("cudalstm.")
        }
        self._reader = TensorReader()
        self._left = set(self._tensors)
        self.read_dtype()

    def read_dtype(self) -> None:
        """Take the dtype of all from the head, which every network has."""
        name = next((name for name in self._tensors if name.startswith("head.")), None)
        if name is None:
            raise ValueError(f"{self.path}: expected the weights of a head, found none")
        self._reader.read(name, self._tensors[name], self._tensors[name].shape)

    @property
    def dtype(self) -> np.dtype[Any]:
        """float32 or float64."""
        return self._reader.dtype

    def read(self, name: str, shape: tuple[int | str, ...]) -> Array:
        """Return the numbers of a tensor, which has to be there and of this shape."""
        if name not in self._tensors:
            raise ValueError(f"{self.path}: expected {name}, as config.yml says, found none")
        self._left.discard(name)
        return self._reader.read(name, self._tensors[name], shape)

    def check_all_read(self) -> None:
        """Refuse weights of which the config says nothing."""
        if self._left:
            raise ValueError(
                f"{self.path}: expected the weights that config.yml describes, found others too: "
                f"{', '.join(sorted(self._left))}"
            )


def _standardize(scaling: Scaling, name: str, reads: str, dtype: np.dtype[Any]) -> Standardize:
    center, scale = (array.astype(dtype) for array in scaling)
    return Standardize(center, scale, name=name, reads=(reads,))


def _embedding(weights: _Weights, net: EmbeddingNet | None, which: str, width: int) -> list[Layer]:
    """Return the linear layers of an embedding; between two stand an activation and a dropout."""
    layers: list[Layer] = []
    for n, size in enumerate(net.sizes if net else ()):
        of_net = f"embedding_net.{which}s_embedding" + ("s.0" if which == "dynamic" else "")
        name = f"{of_net}.net.{3 * n}"
        activation = net.activation if net and n < len(net.sizes) - 1 else "linear"
        weight = weights.read(f"{name}.weight", (size, width))
        bias = weights.read(f"{name}.bias", (size,))
        layers.append(DenseLayer(weight, bias, activation, name=f"{which} embedding {n + 1}"))
        width = size
    return layers


def _last(layers: list[Layer]) -> str:
    return str(layers[-1].name)


def _width(layers: list[Layer], width: int) -> int:
    last = layers[-1]
    return last.output_size if isinstance(last, DenseLayer) else width


def _cell(weights: _Weights, run: Run, width: int, static_width: int) -> CellWeights:
    H, D = run.hidden_size, width + static_width
    if run.cell == "gru":
        return GRUWeights(
            weights.read("gru.weight_ih_l0", (3 * H, D)),
            weights.read("gru.weight_hh_l0", (3 * H, H)),
            weights.read("gru.bias_ih_l0", (3 * H,)),
            weights.read("gru.bias_hh_l0", (3 * H,)),
        )
    if run.cell == "ealstm":
        return _entity_aware(weights, H, width, static_width)
    names = {
        "lstm": ("lstm.weight_ih_l0", "lstm.weight_hh_l0", "lstm.bias_ih_l0", "lstm.bias_hh_l0"),
        "custom_lstm": ("cell.w_ih", "cell.w_hh", "cell.b_ih", "cell.b_hh"),
    }[run.cell]
    shapes = ((4 * H, D), (4 * H, H), (4 * H,), (4 * H,))
    w_ih, w_hh, b_ih, b_hh = (
        weights.read(name, shape) for name, shape in zip(names, shapes, strict=True)
    )
    return LSTMWeights(w_ih, w_hh, b_ih + b_hh)


def _entity_aware(weights: _Weights, H: int, width: int, static_width: int) -> LSTMWeights:
    """Return the cell whose input gate reads the static inputs, and the rest all others."""
    if not static_width:
        raise ValueError("config.yml: static_attributes: an EA-LSTM needs some, found none")
    dtype = weights.dtype
    weight_ih, weight_hh, bias = (
        np.zeros(shape, dtype) for shape in ((4, H, width + static_width), (4, H, H), (4, H))
    )
    weight_ih[0, :, width:] = weights.read("input_gate.weight", (H, static_width))
    bias[0] = weights.read("input_gate.bias", (H,))
    # Of f, o and g, in this order, transposed; ours are i, f, g, o.
    rows = [1, 3, 2]
    of_x = weights.read("dynamic_gates.weight_ih", (width, 3 * H))
    of_h = weights.read("dynamic_gates.weight_hh", (H, 3 * H))
    weight_ih[rows, :, :width] = of_x.T.reshape(3, H, width)
    weight_hh[rows] = of_h.T.reshape(3, H, H)
    bias[rows] = weights.read("dynamic_gates.bias", (3 * H,)).reshape(3, H)
    return LSTMWeights(
        weight_ih.reshape(4 * H, -1),
        weight_hh.reshape(4 * H, H),
        bias.reshape(4 * H),
        static_inputs=static_width,
    )


def _head(weights: _Weights, run: Run) -> list[Layer]:
    """Return the head, whose scores are in the units of the targets."""
    H, n = run.hidden_size, len(run.targets)
    dtype = weights.dtype
    center, scale = (array.astype(dtype) for array in run.of_targets)
    if run.head == "cmal":
        hidden = weights.read("head.fc1.bias", ("hidden size",))
        first = weights.read("head.fc1.weight", (len(hidden), H))
        count = len(_MIXTURE) * n * run.components
        weight = weights.read("head.fc2.weight", (count, len(hidden))).copy()
        bias = weights.read("head.fc2.bias", (count,)).copy()
        # Of each parameter all targets, of each of those all components.
        mu = slice(0, n * run.components)
        scales, centers = (np.repeat(array, run.components) for array in (scale, center))
        weight[mu] *= scales[:, np.newaxis]
        bias[mu] = bias[mu] * scales + centers
        return [
            DenseLayer(first, hidden, "relu", name="fc1"),
            DenseLayer(weight, bias, name="fc2"),
        ]
    weight = weights.read("head.net.0.weight", (n, H))
    bias = weights.read("head.net.0.bias", (n,))
    if run.activation == "linear":
        return [DenseLayer(weight * scale[:, np.newaxis], bias * scale + center, name="head")]
    return [
        DenseLayer(weight, bias, run.activation, name="head"),
        DenseLayer(np.diag(scale), center, name="in units"),
    ]


def _output_names(run: Run) -> list[str]:
    if run.head == "regression":
        return list(run.targets)
    return [
        f"{target} {parameter} {n + 1}"
        for parameter in _MIXTURE
        for target in run.targets
        for n in range(run.components)
    ]
