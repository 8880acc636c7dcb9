"""Models of PyTorch: the same scores and gradients, found or refused."""

from __future__ import annotations

from collections import OrderedDict

import numpy as np
import pytest
import torch
from pairwise import pairwise
from random_models import random_batch, relative_error
from safetensors.torch import save_file
from torch import nn
from torch.nn import functional
from torch.nn.utils import prune
from torch.optim.swa_utils import AveragedModel
from torch_networks import Encoder, Network

import lrplstm

# What is assumed of weights alone has its own tests, in test_torch_forward.py.
pytestmark = pytest.mark.filterwarnings("ignore:source. .*so this is assumed:UserWarning")

BACKENDS = ("reference", "kernel")
CASES = [
    {"D": 5, "H": 4, "layers": 1, "bidirectional": True, "bias": True, "batch_first": True},
    {"D": 3, "H": 7, "layers": 1, "bidirectional": False, "bias": False, "batch_first": False},
    {"D": 6, "H": 5, "layers": 2, "bidirectional": True, "bias": False, "batch_first": False},
    {"D": 2, "H": 3, "layers": 3, "bidirectional": False, "bias": True, "batch_first": True},
]
LENGTHS = (6, 1, 13)


def scores(network, x):
    return network(torch.as_tensor(x)).detach().numpy()


def assert_same_scores(model, network, inputs, bound=1e-12, **options):
    for x in inputs:
        assert relative_error(model.predict(x, **options), scores(network, x)) < bound


def batch_of(network, **options):
    model_dtype = network.encoder.rnn.weight_ih_l0.detach().numpy().dtype
    D = network.encoder.rnn.input_size
    return random_batch(3, D=D, lengths=LENGTHS, dtype=model_dtype, **options)


def ids_of(V=9):
    rng = np.random.default_rng(4)
    return [rng.integers(0, V, T) for T in LENGTHS] + [np.array([0, 3, 0])]


# Scores and gradients ---------------------------------------------------------------------------


@pairwise(
    case=CASES,
    pooling=["last", "mean", "max", "none"],
    dtype=[torch.float64, torch.float32],
    backend=BACKENDS,
)
def test_scores_and_gradients(case, pooling, dtype, backend):
    bound = 1e-12 if dtype == torch.float64 else 1e-5
    network = Network(**case, pooling=pooling, dtype=dtype)
    model = lrplstm.from_torch(network, pooling=pooling)
    assert str(model.dtype) == str(dtype).removeprefix("torch.")
    batch = batch_of(network)
    for target in range(3):
        options = {"level": "input", "backend": backend}
        sa = lrplstm.sensitivity(model, batch, target, **options)
        gi = lrplstm.gradient_x_input(model, batch, target, **options)
        for b, x in enumerate(batch):
            tensor = torch.tensor(x, requires_grad=True)
            expected = network(tensor)
            assert relative_error(sa[b].scores, expected.detach().numpy()) < bound
            (gradient,) = torch.autograd.grad(expected[..., target].sum(), tensor)
            gradient = gradient.numpy()
            assert relative_error(gi[b].input_relevance, gradient * x) < 4 * bound
            assert relative_error(sa[b].input_relevance, gradient**2) < 4 * bound


HEADS = {
    "no bias": lambda width, C: nn.Linear(width, C, bias=False),
    "one score": lambda width, C: nn.Linear(width, 1),
    "none": None,
    "of one layer": lambda width, C: nn.Sequential(nn.Dropout(), nn.Linear(width, C)),
    "relu": lambda width, C: nn.Sequential(
        nn.Linear(width, 6), nn.ReLU(inplace=True), nn.Dropout(), nn.Linear(6, C, bias=False)
    ),
    "deep": lambda width, C: nn.Sequential(
        nn.Identity(),
        nn.Sequential(nn.Linear(width, 6), nn.Tanh()),
        nn.Linear(6, 7),
        nn.Sequential(nn.AlphaDropout(0.1), nn.Linear(7, 2), nn.ReLU()),
        nn.Linear(2, C),
        nn.Tanh(),
    ),
    "named": lambda width, C: nn.Sequential(
        OrderedDict(z=nn.Linear(width, 6), b=nn.Tanh(), a=nn.Linear(6, C))
    ),
}


@pytest.mark.parametrize("head", HEADS.values(), ids=HEADS)
def test_heads(head):
    network = Network(head=head)
    model = lrplstm.from_torch(network)
    assert (model.origin.get("head") == "head") == (head is not None)
    assert "left_out" not in model.origin
    batch = batch_of(network)
    assert_same_scores(model, network, batch)
    found = lrplstm.gradient_x_input(model, batch[0], 0, backend="reference")
    tensor = torch.tensor(batch[0], requires_grad=True)
    (gradient,) = torch.autograd.grad(network(tensor)[0], tensor)
    assert relative_error(found.input_relevance, gradient.numpy() * batch[0]) < 1e-12


@pytest.mark.parametrize("last", [nn.Softmax(-1), nn.LogSoftmax(-1), nn.Sigmoid()], ids=str)
def test_scores_are_those_before_probabilities(last):
    network = Network(
        head=lambda width, C: nn.Sequential(
            nn.Linear(width, 6), nn.ReLU(), nn.Linear(6, C), last, nn.Identity()
        )
    )
    model = lrplstm.from_torch(network)
    network.head[3] = nn.Identity()
    assert_same_scores(model, network, batch_of(network))


class TwoLayers(Network):
    """A head whose activation is a function, which nothing shows."""

    def __init__(self, activation):
        super().__init__(head=None)
        self.fc1, self.fc2 = nn.Linear(8, 6), nn.Linear(6, 3)
        self.activation = activation
        self.double()

    def forward(self, x):
        return self.fc2(self.activation(self.fc1(self.hidden(x))))


@pytest.mark.parametrize(
    ("name", "activation"),
    [("relu", functional.relu), ("tanh", torch.tanh), ("linear", lambda x: x)],
)
def test_activations_that_are_said(name, activation):
    network = TwoLayers(activation)
    for source in (network, network.state_dict()):
        model = lrplstm.from_torch(source, head=["fc1", "fc2"], activations=[name])
        assert model.origin["head"] == "fc1, fc2"
        assert_same_scores(model, network, batch_of(network))
    assert (
        lrplstm.from_torch(network, head=["fc1", "fc2"], activations=[name, "tanh"])
        .head[1]
        .activation
        == "tanh"
    )


def test_activations_that_are_modules():
    network = TwoLayers(nn.Tanh())
    model = lrplstm.from_torch(network, head=["fc1", "activation", "fc2"])
    assert_same_scores(model, network, batch_of(network))
    agreed = lrplstm.from_torch(
        network, head=["fc1", "activation", "fc2"], activations=["tanh", "linear"]
    )
    assert_same_scores(agreed, network, batch_of(network))


def test_a_sequence_of_a_state_dict_by_its_number():
    """Of twelve steps: "head.10" comes after "head.2", whatever the order of names."""
    network = Network(
        head=lambda width, C: nn.Sequential(
            nn.Linear(width, 6), nn.ReLU(), nn.Linear(6, 6), *[nn.Dropout() for _ in range(7)],
            nn.Tanh(), nn.Linear(6, 6), nn.Linear(6, C),
        )
    )  # fmt: skip
    state = dict(sorted(network.state_dict().items()))
    activations = ["relu", "tanh", "linear"]
    model = lrplstm.from_torch(state, head="head", activations=activations)
    assert_same_scores(model, network, batch_of(network))
    names = [f"head.{n}" for n in (0, 2, 11, 12)]
    model = lrplstm.from_torch(state, head=names, activations=activations)
    assert_same_scores(model, network, batch_of(network))


def test_lstms_that_follow_each_other():
    torch.manual_seed(0)
    first, second = nn.LSTM(5, 4, 2, bidirectional=True).double(), nn.LSTM(8, 3).double()
    network = nn.ModuleDict({"second": second, "first": first, "fc": nn.Linear(3, 2).double()})
    model = lrplstm.from_torch(network, lstm=("first", "second"))
    assert model.num_layers == 3
    assert dict(model.origin) == {"lstm": "first, second", "head": "fc"}
    x = torch.tensor(random_batch(D=5)[0])
    expected = network["fc"](second(first(x)[0])[1][0][0])
    assert relative_error(model.predict(x), expected.detach().numpy()) < 1e-12
    with pytest.raises(ValueError, match=r"^first\.weight_ih_l0: expected shape \(16, 3\), got"):
        lrplstm.from_torch(network, lstm=("second", "first"))


@pytest.mark.parametrize(
    ("modules", "order"),
    [
        ({"c": nn.LSTM(4, 3), "a": nn.LSTM(5, 4, bidirectional=True), "b": nn.LSTM(8, 4)}, "abc"),
        ({"lstm2": nn.LSTM(4, 4), "lstm1": nn.LSTM(4, 4), "lstm10": nn.LSTM(4, 4)}, "1 2 10"),
        ({"lstm_1": nn.LSTM(3, 4), "fc": nn.Linear(4, 2), "lstm_2": nn.LSTM(4, 4)}, "_1 _2"),
        ({"x": nn.LSTMCell(3, 4), "y": nn.LSTMCell(4, 5), "fc": nn.Linear(5, 2)}, "xy"),
    ],
)
def test_lstms_in_an_order_that_is_seen(modules, order):
    with pytest.warns(UserWarning, match="follow each other in this order.* pass lstm="):
        model = lrplstm.from_torch(nn.ModuleDict(modules).state_dict())
    names = order if " " not in order else [f"lstm{number}" for number in order.split()]
    assert model.origin["lstm"] == ", ".join(names)
    first = modules[names[0]]
    assert model.input_size == first.input_size
    weight = getattr(first, "weight_hh_l0", None)
    layer = model.layers[0][0] if isinstance(model.layers[0], tuple) else model.layers[0]
    np.testing.assert_array_equal(
        layer.weight_hh, (first.weight_hh if weight is None else weight).detach()
    )


@pytest.mark.parametrize(
    ("layer", "kind"),
    [
        (nn.GRU(3, 4, 2, bidirectional=True), "gru"),
        (nn.GRU(3, 4, bias=False), "gru"),
        (nn.RNN(3, 4, 2), "rnn"),
        (nn.LSTM(3, 4, 2, bidirectional=True, proj_size=2), "lstm"),
    ],
)
@pytest.mark.filterwarnings("ignore:LSTM with projections:UserWarning")
@pytest.mark.parametrize("pooling", ["last", "mean"])
def test_other_cells_alone(layer, kind, pooling):
    x = torch.randn(6, 1, 3)
    output, final = layer(x)
    final = final[0] if kind == "lstm" else final
    read = (
        output.mean(0) if pooling == "mean" else final[-2:] if layer.bidirectional else final[-1:]
    )
    read = read.transpose(0, 1).reshape(1, -1) if pooling == "last" else read
    fc = nn.Linear(read.shape[1], 2)
    state = nn.ModuleDict({"layer": layer, "fc": fc}).state_dict()
    model = lrplstm.from_torch(state, pooling=pooling, activations=["linear"], lstm="layer")
    assert dict(model.origin) == {kind: "layer", "head": "fc"}
    assert relative_error(model.predict(x[:, 0].numpy()), fc(read)[0].detach().numpy()) < 1e-5
    with pytest.warns(UserWarning, match="weights alone do not show what forward does"):
        lrplstm.from_torch(state)


def test_the_activation_of_a_plain_layer():
    """That of a module is known, that of weights alone is said to be assumed."""
    rnn = nn.RNN(3, 4, nonlinearity="relu")
    x = torch.randn(6, 1, 3)
    model = lrplstm.from_torch(rnn, pooling="none")
    assert relative_error(model.predict(x[:, 0].numpy()), rnn(x)[0][:, 0].detach().numpy()) < 1e-5
    with pytest.warns(UserWarning, match="the activation of '' is tanh, as it is by default"):
        lrplstm.from_torch(rnn.state_dict())


def test_a_cell_alone():
    cell, fc = nn.LSTMCell(3, 4), nn.Linear(4, 2)
    state = nn.ModuleDict({"cell": cell, "fc": fc}).state_dict()
    with pytest.warns(UserWarning, match="the cell 'cell' runs over the steps in their order"):
        model = lrplstm.from_torch(state)
    x, states = torch.randn(5, 1, 3), None
    for step in x:
        states = cell(step, states)
    assert relative_error(model.predict(x[:, 0].numpy()), fc(states[0])[0].detach().numpy()) < 1e-5


# Sources ----------------------------------------------------------------------------------------


def checkpoint(network):
    optimizer = torch.optim.Adam(network.parameters())
    sum(p.sum() for p in network.parameters()).backward()
    optimizer.step()
    network.zero_grad()
    return {
        "epoch": 7,
        "loss": 0.25,
        "history": [1.5, None, True, {"nothing": ()}],
        "shape": torch.Size([1, 2]),
        "device": torch.device("cpu"),
        "model_state_dict": network.state_dict(),
        "optimizer": optimizer.state_dict(),
    }


def saved(name, content=nn.Module.state_dict, **options):
    def save(network, folder):
        torch.save(content(network), folder / name, **options)
        return folder / name

    return save


def safetensors(network, folder):
    save_file(network.state_dict(), folder / "model.safetensors")
    return str(folder / "model.safetensors")


def arrays(network):
    return {name: tensor.numpy() for name, tensor in network.state_dict().items()}


SOURCES = {
    "module": lambda network, folder: network,
    "module in training": lambda network, folder: network.train(),
    "wrapped module": lambda network, folder: nn.DataParallel(network),
    "state dict": lambda network, folder: network.state_dict(),
    "parameters": lambda network, folder: dict(network.named_parameters()),
    "arrays": lambda network, folder: arrays(network),
    "checkpoint": lambda network, folder: checkpoint(network),
    ".safetensors": safetensors,
    ".pt": saved("model.pt"),
    ".pth of before 1.6": saved("model.pth", _use_new_zipfile_serialization=False),
    ".bin of parameters": saved("model.bin", lambda n: dict(n.named_parameters())),
    ".ckpt of a checkpoint": saved("model.ckpt", checkpoint),
    "old checkpoint": saved("model.pt", checkpoint, _use_new_zipfile_serialization=False),
    "protocol 4": saved("model.pt", pickle_protocol=4),
}


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("make", SOURCES.values(), ids=SOURCES)
def test_sources(make, dtype, tmp_path):
    network = Network(V=9, layers=2, dtype=dtype)
    source = make(network, tmp_path)
    model = lrplstm.from_torch(source)
    prefix = "module." if isinstance(source, nn.DataParallel) else ""
    assert dict(model.origin) == {
        "lstm": f"{prefix}encoder.rnn",
        "head": f"{prefix}head",
        "embedding": f"{prefix}embed",
    }
    assert f"made from lstm '{prefix}encoder.rnn', head" in repr(model)
    bound = 1e-12 if dtype == torch.float64 else 1e-5
    assert_same_scores(model, network.eval(), ids_of(), bound)


def test_padding_is_read_as_pytorch_reads_it():
    network = Network(V=9)
    model = lrplstm.from_torch(network)
    assert model.mask_id is None
    np.testing.assert_array_equal(model.embedding, network.embed.weight.detach().numpy())


def test_what_the_other_arguments_are_for():
    words = [f"w{n}" for n in range(8)] + ["?"]
    model = lrplstm.from_torch(
        Network(V=9),
        vocabulary=words,
        class_names=["a", "b", "c"],
        unknown_token="?",
        tokenizer="treebank",
        task="regression",
    )
    assert model.task == "regression"
    assert model.class_names == ("a", "b", "c")
    assert model.tokenizer == "treebank"
    np.testing.assert_array_equal(model.predict(["w3", "never"]), model.predict([3, 8]))


def test_a_module_is_not_changed():
    network = Network(V=9).train()
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    model = lrplstm.from_torch(network)
    assert network.training
    assert network.encoder.rnn.training
    assert network.encoder.rnn.weight_ih_l0.requires_grad
    with torch.no_grad():
        for name, tensor in network.state_dict().items():
            assert torch.equal(tensor, before[name])
            tensor.zero_()
    # Nor is the model tied to it.
    np.testing.assert_array_equal(model.embedding, before["embed.weight"].numpy())
    np.testing.assert_array_equal(model.head_weight, before["head.weight"].numpy())


# Tensors ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("dtype", "make"),
    [
        pytest.param(dtype, make, id=f"{dtype}-{name}")
        for dtype in (torch.float16, torch.bfloat16)
        for name, make in SOURCES.items()
        if (dtype, name) != (torch.bfloat16, "arrays")  # NumPy has none
    ],
)
def test_halves_become_float32(make, dtype, tmp_path):
    network = Network(V=9, dtype=dtype)
    model = lrplstm.from_torch(make(network, tmp_path))
    assert model.dtype == np.float32
    network = network.eval().float()
    np.testing.assert_array_equal(model.embedding, network.embed.weight.detach().numpy())
    assert_same_scores(model, network, ids_of(), 1e-5)


@pytest.mark.parametrize("save", [lambda state, path: state, torch.save], ids=["memory", "file"])
def test_any_layout(save, tmp_path):
    network = Network(V=9)
    state = network.state_dict()
    state["head.weight"] = state["head.weight"].T.contiguous().T
    state["embed.weight"] = torch.stack([state["embed.weight"]] * 2, dim=-1)[..., 1]
    # All in one storage, as cuDNN has them.
    names = [name for name in state if "rnn" in name]
    flat = torch.cat([torch.zeros(3).double()] + [state[name].flatten() for name in names])
    begin = 3
    for name in names:
        shape = state[name].shape
        state[name] = flat[begin : begin + shape.numel()].view(shape)
        begin += shape.numel()
    assert not state["head.weight"].is_contiguous()
    assert not state["embed.weight"].is_contiguous()
    source = save(state, tmp_path / "model.pt") or tmp_path / "model.pt"
    assert_same_scores(lrplstm.from_torch(source), network, ids_of())


def test_weights_that_are_tied(tmp_path):
    """A language model: what reads the words also scores them."""
    network = Network(V=9, D=8, C=9)
    network.head.weight = network.embed.weight
    torch.save(network.state_dict(), tmp_path / "model.pt")
    for source in (network, network.state_dict(), tmp_path / "model.pt"):
        assert_same_scores(lrplstm.from_torch(source), network, ids_of())


def changed(name, change):
    state = Network(V=9).state_dict()
    state[name] = change(state[name])
    return state


def filled(value):
    return lambda tensor: torch.full_like(tensor, value)


NAME = "encoder.rnn.weight_hh_l0_reverse"


@pytest.mark.filterwarnings("ignore:Sparse CSR:UserWarning", "ignore:.*quant:UserWarning")
@pytest.mark.parametrize(
    ("change", "error", "match"),
    [
        (
            torch.Tensor.float,
            ValueError,
            r"expected the dtype of encoder\.rnn\.\w+, float64, got float32",
        ),
        (
            torch.Tensor.half,
            ValueError,
            r"expected the dtype of encoder\.rnn\.\w+, float64, got float16",
        ),
        (torch.Tensor.int, TypeError, "expected float16, bfloat16, .*, got dtype int32"),
        (torch.Tensor.cfloat, TypeError, "got dtype complex64"),
        (torch.Tensor.to_sparse, ValueError, r"got a sparse tensor \(sparse_coo\)"),
        (torch.Tensor.to_sparse_csr, ValueError, r"got a sparse tensor \(sparse_csr\)"),
        (
            lambda t: t.to("meta"),
            ValueError,
            "expected a dense tensor with numbers, got a meta tensor",
        ),
        (
            lambda t: torch.quantize_per_tensor(t.float(), 0.1, 0, torch.qint8),
            ValueError,
            r"got a quantized tensor \(qint8\)",
        ),
        (filled(float("nan")), ValueError, "expected finite numbers, got NaN or infinity"),
        (filled(float("inf")), ValueError, "expected finite numbers, got NaN or infinity"),
        (lambda t: t[:-1], ValueError, r"expected shape \(16, 4\), got \(15, 4\)"),
        (lambda t: t[:, :-1], ValueError, r"expected shape \(16, 4\), got \(16, 3\)"),
        (lambda t: t[0], ValueError, r"expected shape \(16, 4\), got \(4,\)"),
        (lambda t: t[:0, :0], ValueError, r"expected shape \(16, 4\), got \(0, 0\)"),
    ],
)
def test_tensors_that_do_not_fit(change, error, match):
    with pytest.raises(error, match=match) as caught:
        lrplstm.from_torch(changed(NAME, change))
    assert str(caught.value).startswith(f"{NAME}: ")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "change", "match"),
    [
        # The first one says how wide the states are, and how wide the inputs.
        ("weight_hh_l0", lambda t: t[:-1], r"\(16, 4\), got \(15, 4\)"),
        ("weight_hh_l0", lambda t: t[0], r"\(4 \* hidden_size, hidden_size\), got \(4,\)"),
        ("weight_hh_l0", lambda t: t[:0, :0], r"\(4 \* .*, hidden_size\), got \(0, 0\)"),
        ("weight_ih_l0", lambda t: t[:-1], r"\(16, input_size\), got \(15, 5\)"),
        ("weight_ih_l0", lambda t: t[:, :0], r"\(16, input_size\), got \(16, 0\)"),
        ("weight_ih_l0_reverse", lambda t: t[:, 1:], r"\(16, 5\), got \(16, 4\)"),
        ("bias_hh_l0_reverse", lambda t: t[1:], r"\(16,\), got \(15,\)"),
    ],
)
def test_shapes_that_do_not_fit(name, change, match):
    full = f"encoder.rnn.{name}"
    with pytest.raises(ValueError, match=rf"^{full}: expected shape {match}"):
        lrplstm.from_torch(changed(full, change))


def test_biases_too_large_together():
    state = {name: tensor.float() for name, tensor in changed(NAME, torch.clone).items()}
    for side in ("ih", "hh"):
        state[f"encoder.rnn.bias_{side}_l0"] = torch.full((16,), 3e38)
    with pytest.raises(ValueError, match=r"^encoder\.rnn\.bias_hh_l0: expected a finite sum"):
        lrplstm.from_torch(state)


def test_modules_without_numbers_yet():
    network = Network(head=lambda width, C: nn.LazyLinear(C))
    with pytest.raises(ValueError, match=r"^head\.weight: .*shape when the module first runs"):
        lrplstm.from_torch(network, head="head")
    with torch.device("meta"):
        network = Network()
    with pytest.raises(ValueError, match=r"^encoder\.rnn\.weight_hh_l0: .*got a meta tensor"):
        lrplstm.from_torch(network)


# Which part is which ----------------------------------------------------------------------------


class Parts(nn.Module):
    """Any modules and parameters by their names; of which only these matter here."""

    def __init__(self, **parts):
        super().__init__()
        torch.manual_seed(0)
        for name, part in parts.items():
            setattr(self, name, part() if isinstance(part, type) else part)


def lstm(D=5, H=4, **options):
    return nn.LSTM(D, H, **options)


def parts(**others):
    """An LSTM that reads 5 numbers and gives 4, and other parts."""
    return Parts(lstm=lstm(), **others)


def state(**others):
    return parts(**others).state_dict()


FC = nn.Linear(4, 3)
FC_NO_BIAS = nn.Linear(4, 3, bias=False)
EMBED = nn.Embedding(9, 5)
EMBED_4 = nn.Embedding(9, 4)
SQUARE_LSTM = nn.LSTM(4, 4)
FORECAST = nn.Linear(4, 5)
THREE = torch.ones(3)


@pytest.mark.parametrize(
    ("source", "options", "origin"),
    [
        (lstm(), {}, {"lstm": ""}),
        (lstm().state_dict(), {}, {"lstm": ""}),
        (parts(fc=FC, embed=EMBED), {}, {"lstm": "lstm", "head": "fc", "embedding": "embed"}),
        (state(fc=FC, embed=EMBED), {}, {"lstm": "lstm", "head": "fc", "embedding": "embed"}),
        (state(fc=FC_NO_BIAS), {}, {"lstm": "lstm", "head": "fc"}),
        # Of two without bias only the widths tell which is which.
        (state(a=FC_NO_BIAS, b=EMBED), {}, {"lstm": "lstm", "head": "a", "embedding": "b"}),
        # Of the same widths only the bias does.
        (
            Parts(lstm=SQUARE_LSTM, a=EMBED_4, b=FC).state_dict(),
            {},
            {"lstm": "lstm", "head": "b", "embedding": "a"},
        ),
        (
            Parts(lstm=SQUARE_LSTM, a=EMBED_4, b=FC_NO_BIAS).state_dict(),
            {"head": "b"},
            {"lstm": "lstm", "head": "b", "embedding": "a"},
        ),
        (
            Parts(lstm=SQUARE_LSTM, a=EMBED_4, b=FC_NO_BIAS).state_dict(),
            {"embedding": "a"},
            {"lstm": "lstm", "head": "b", "embedding": "a"},
        ),
        (
            Parts(lstm=SQUARE_LSTM, a=FC_NO_BIAS).state_dict(),
            {"embedding": False},
            {"lstm": "lstm", "head": "a"},
        ),
        (
            Parts(lstm=SQUARE_LSTM, a=FC_NO_BIAS).state_dict(),
            {"embedding": "a"},
            {"lstm": "lstm", "embedding": "a"},
        ),
        # Modules tell it themselves.
        (
            Parts(lstm=SQUARE_LSTM, a=EMBED_4, b=FC_NO_BIAS),
            {},
            {"lstm": "lstm", "head": "b", "embedding": "a"},
        ),
        # What changes nothing, or only trains, needs no place.
        (
            parts(fc=FC, a=nn.Dropout, b=nn.Softmax(-1), c=nn.CrossEntropyLoss, d=nn.Flatten),
            {},
            {"lstm": "lstm", "head": "fc"},
        ),
        (
            parts(
                fc=FC,
                a=nn.CrossEntropyLoss(torch.ones(3)),
                b=nn.BCEWithLogitsLoss(THREE, pos_weight=THREE),
            ),
            {},
            {"lstm": "lstm", "head": "fc"},
        ),
        (
            state(
                fc=FC,
                criterion=nn.CrossEntropyLoss(THREE),
                loss=nn.BCEWithLogitsLoss(pos_weight=THREE),
            ),
            {},
            {"lstm": "lstm", "head": "fc"},
        ),
        (AveragedModel(parts(fc=FC)), {}, {"lstm": "module.lstm", "head": "module.fc"}),
        (
            AveragedModel(parts(fc=FC)).state_dict(),
            {},
            {"lstm": "module.lstm", "head": "module.fc"},
        ),
        # A forecast of what the LSTM will read is its head where it comes after it.
        (parts(fc=FORECAST), {}, {"lstm": "lstm", "head": "fc"}),
        (Parts(a=FORECAST, lstm=lstm()), {"head": "a"}, {"lstm": "lstm", "head": "a"}),
        (Parts(a=FC, lstm=lstm()), {}, {"lstm": "lstm", "head": "a"}),
        (Parts(a=FORECAST, lstm=lstm()), {"head": False}, {"lstm": "lstm", "left_out": "a"}),
        (
            Parts(a=FORECAST, lstm=lstm(), fc=FC),
            {"head": "fc"},
            {"lstm": "lstm", "head": "fc", "left_out": "a"},
        ),
        (nn.Sequential(OrderedDict(rnn=lstm(), fc=FC)), {}, {"lstm": "rnn", "head": "fc"}),
        # What is named may leave others out.
        (
            parts(fc=FC, key=FC, norm=nn.LayerNorm(4), relu=nn.ReLU),
            {"head": "fc"},
            # The same module twice is one.
            {"lstm": "lstm", "head": "fc", "left_out": "norm, relu"},
        ),
        (parts(fc=FC), {"head": False}, {"lstm": "lstm", "left_out": "fc"}),
        # Nothing says that it is an embedding.
        (
            state(fc=FC, a=nn.Linear(7, 2, bias=False)),
            {"head": "fc"},
            {"lstm": "lstm", "head": "fc", "left_out": "a"},
        ),
        (
            parts(fc=FC, e=EMBED),
            {"embedding": False},
            {"lstm": "lstm", "head": "fc", "left_out": "e"},
        ),
        (
            parts(fc=FC, e=EMBED_4),
            {"embedding": False},
            {"lstm": "lstm", "head": "fc", "left_out": "e"},
        ),
        (
            parts(fc=FC, a=EMBED, b=nn.Embedding(7, 5)),
            {"head": "fc", "embedding": "b"},
            {"lstm": "lstm", "head": "fc", "embedding": "b", "left_out": "a"},
        ),
        (
            Parts(a=lstm(), b=lstm(), fc=FC, h0=nn.Parameter(torch.zeros(4))),
            {"lstm": "a", "head": "fc"},
            {"lstm": "a", "head": "fc", "left_out": "h0, b"},
        ),
    ],
)
def test_parts_that_are_found_or_named(source, options, origin):
    model = lrplstm.from_torch(source, **options)
    assert dict(model.origin) == origin
    if "head" in origin:
        expected = source if isinstance(source, dict) else source.state_dict()
        np.testing.assert_array_equal(model.head_weight, expected[f"{origin['head']}.weight"])
    if "embedding" in origin:
        assert model.embedding.shape[1] == model.input_size


class Changed(nn.Linear):
    def forward(self, x):
        return super().forward(x) ** 2


class ChangedLSTM(nn.LSTM):
    def forward(self, x):
        return super().forward(-x)


class ChangedDropout(nn.Dropout):
    def forward(self, x):
        return 2 * x


class Inherited(nn.Linear):
    """Another name alone is no other layer."""


def patched():
    layer = nn.Linear(4, 3)
    layer.forward = lambda x: x
    return layer


def weight_norm(module, name="weight"):
    return nn.utils.parametrizations.weight_norm(module, name)


def old_spectral_norm():
    return nn.utils.spectral_norm(nn.Linear(4, 3))


def pruned():
    return prune.l1_unstructured(nn.Linear(4, 3), "weight", amount=2)


def head_of(*steps):
    return parts(fc=nn.Sequential(*steps))


EXPECTED = "besides the LSTM, one linear head of width 4, at most one embedding of width 5 and"
REMOVED = "parametrizations have to be removed first"
IN_HEAD = "head: expected Linear layers, ReLU or Tanh after each, Dropout, .*, got "


@pytest.mark.parametrize(
    ("source", "options", "match"),
    [
        # No LSTM, or several
        (nn.Linear(3, 4), {}, "source: expected a network with a recurrent layer"),
        (Parts(W=nn.Parameter(THREE)).state_dict(), {}, r"found '' \(W\); of weights alone only"),
        (
            {"model_state_dict": Parts(W=nn.Parameter(THREE), fc=FC).state_dict()},
            {},
            r"found '' \(W\), 'fc' \(linear, width 4\); of weights",
        ),
        ({}, {}, "expected an LSTM, GRU or RNN, found none$"),
        ({"epoch": 3}, {}, "expected an LSTM, GRU or RNN, found none$"),
        (
            Parts(a=lstm(), b=lstm()),
            {},
            r"found 'a' \(LSTM\), 'b' \(LSTM\); name one with .* lstm=\['a', 'b'\]$",
        ),
        (
            Parts(a=lstm(), b=nn.Linear(3, 4)),
            {"lstm": "b"},
            r"lstm: .*: 'a' \(LSTM\); got 'b' \(Linear, width 3\)",
        ),
        (
            parts(),
            {"lstm": "rnn"},
            r"lstm: expected the name of a recurrent layer: 'lstm' \(LSTM\); got 'rnn'",
        ),
        (
            {"a": state(), "b": {"c": state()}},
            {},
            r"got source\['a'\], source\['b'\]\['c'\]; pass one",
        ),
        # LSTMs of another kind
        (
            parts(fc=FC, a=ChangedLSTM(3, 4)),
            {"lstm": "a"},
            r"'a' \(ChangedLSTM\): .* it has a forward of its own",
        ),
        (
            weight_norm(lstm(), "weight_hh_l0").state_dict(),
            {},
            f"got no 'weight_hh_l0'; .*{REMOVED}",
        ),
        (
            lstm().state_dict() | {"weight_ih_l2": torch.zeros(16, 4)},
            {},
            r"'' \(LSTM\): expected the tensors .*, got 'weight_ih_l2' too",
        ),
        # Something that would be left out
        (
            parts(fc=FC, norm=nn.LayerNorm(4)),
            {},
            rf"{EXPECTED} .*, 'norm' \(LayerNorm\); name what",
        ),
        (state(fc=FC, norm=nn.LayerNorm(4)), {}, rf"{EXPECTED} .*, 'norm' \(weight, bias\); name"),
        (parts(fc=FC, relu=nn.ReLU), {}, rf"{EXPECTED} .*, 'relu' \(ReLU\)"),
        (parts(fc=FC, a=ChangedDropout), {}, rf"{EXPECTED} .*, 'a' \(ChangedDropout\)"),
        (parts(fc=FC, a=nn.Linear(7, 5)), {}, rf"{EXPECTED} .* 'fc' .*, 'a' \(Linear, width 7\)"),
        (state(fc=FC, a=nn.Linear(7, 5)), {}, rf"{EXPECTED} .*, 'a' \(linear, width 7\)"),
        (
            parts(a=FC, b=nn.Linear(4, 1)),
            {},
            rf"{EXPECTED} .* found 'a' .*, 'b' \(Linear, width 4\)",
        ),
        (parts(fc=nn.Linear(8, 3)), {}, rf"{EXPECTED} .* found 'fc' \(Linear, width 8\)"),
        (parts(fc=FC, e=EMBED_4), {}, rf"{EXPECTED} .*'e' \(Embedding, width 4\)"),
        (parts(fc=FC, e=nn.EmbeddingBag(9, 5)), {}, rf"{EXPECTED} .*'e' \(EmbeddingBag\)"),
        (parts(fc=FC, h0=nn.Parameter(torch.zeros(4))), {}, rf"{EXPECTED} .*'' \(Parts with h0\)"),
        (state(fc=FC, h0=nn.Parameter(torch.zeros(4))), {}, rf"{EXPECTED} .*'' \(h0\)"),
        (
            parts(fc=FC, a=nn.MultiheadAttention(4, 2)),
            {},
            rf"{EXPECTED} .*'a' \(MultiheadAttention",
        ),
        (Parts(a=lstm(), b=lstm(), fc=FC), {"lstm": "a"}, rf"{EXPECTED} .*'b' \(LSTM\)"),
        # Either could be
        (
            nn.ModuleDict({"inp": nn.Linear(6, 6), "rnn": nn.LSTM(6, 6)}),
            {},
            r"head: .* found 'inp' \(Linear, width 6\), .* gives 6 numbers.*='inp'.* head=False",
        ),
        (Parts(a=FORECAST, lstm=lstm()).state_dict(), {}, r"head: .* found 'a' \(linear, width 4"),
        (
            Parts(a=nn.Sequential(nn.Linear(4, 7), nn.ReLU(), nn.Linear(7, 5)), lstm=lstm()),
            {},
            r"head: .* found 'a\.0' .* gives 5 numbers.* head='a'",
        ),
        # What is tied and stored once
        (
            {k: v for k, v in state(fc=FC).items() if k != "fc.weight"},
            {},
            rf"{EXPECTED} .*'fc' lacks 'fc\.weight': of weights that are tied",
        ),
        (
            {k: v for k, v in state(fc=FC).items() if k != "fc.weight"},
            {"head": "fc"},
            rf"{IN_HEAD}'fc' \(bias\), which lacks 'fc\.weight': of weights that are tied",
        ),
        (
            parts(fc=FC, loss=nn.AdaptiveLogSoftmaxWithLoss(4, 9, [3])),
            {},
            rf"{EXPECTED} .*'loss.head'",
        ),
        (state(fc=FC, loss=nn.LayerNorm(3)), {}, rf"{EXPECTED} .*'loss' \(weight, bias\)"),
        (
            Parts(lstm=SQUARE_LSTM, a=EMBED_4, b=FC_NO_BIAS).state_dict(),
            {},
            r"'a' \(linear or embedding, width 4\), 'b' \(linear or embedding, .*; name what",
        ),
        (
            parts(fc=FC, a=EMBED, b=EMBED),
            {"head": "gone"},
            "head: expected names such as 'fc'.*'gone'",
        ),
        (
            parts(fc=FC, a=EMBED, b=nn.Embedding(7, 5)),
            {"head": "fc"},
            r"embedding: expected one of width 5, .* found 'a' .*, 'b' .*; name one with",
        ),
        (parts(fc=FC, e=EMBED_4), {"head": "fc"}, r"one of width 5, .* found 'e' .* or False for"),
        # Names of what does not fit
        (parts(fc=FC, e=EMBED), {"embedding": "fc"}, r"name of one: 'e' .*; got 'fc'"),
        (parts(fc=FC, e=EMBED), {"embedding": ""}, r"name of one: 'e' .*; got ''"),
        (
            parts(fc=FC, e=EMBED_4),
            {"embedding": "e"},
            r"e\.weight: .*\(vocabulary size, 5\), got \(9, 4\)",
        ),
        (
            parts(fc=nn.Linear(8, 3)),
            {"head": "fc"},
            "head: expected a linear layer of width 4, got 'fc'",
        ),
        (parts(fc=FC), {"head": "lstm"}, rf"{IN_HEAD}'lstm' \(LSTM\)"),
        (parts(fc=FC), {"head": ""}, rf"{IN_HEAD}'' \(Parts\)"),
        (parts(fc=nn.ModuleList([FC])), {"head": "fc"}, rf"{IN_HEAD}'fc' \(ModuleList\)"),
        (
            state(fc=Parts(a=FC, b=FC)),
            {"head": "fc"},
            "head: expected the names of linear layers in",
        ),
        (parts(e=nn.Embedding(9, 5, max_norm=1.0)), {}, "'e' .* but it has max_norm"),
        # Heads that cannot be explained
        (head_of(FC, nn.BatchNorm1d(3)), {}, rf"{IN_HEAD}'fc\.1' \(BatchNorm1d\)"),
        (head_of(FC, nn.GELU()), {}, rf"{IN_HEAD}'fc\.1' \(GELU\)"),
        (head_of(FC, nn.LeakyReLU()), {}, rf"{IN_HEAD}'fc\.1' \(LeakyReLU\)"),
        (head_of(FC, nn.Sigmoid(), nn.Linear(3, 2)), {}, rf"{IN_HEAD}'fc\.1' \(Sigmoid\)"),
        (head_of(nn.ReLU(), nn.Tanh(), FC), {}, rf"{IN_HEAD}'fc\.1' \(Tanh\)"),
        (head_of(FC, nn.Tanh(), nn.ReLU()), {}, rf"{IN_HEAD}'fc\.2' \(ReLU\)"),
        (head_of(FC, Parts(a=nn.Linear(3, 3))), {}, rf"{IN_HEAD}'fc\.1' \(Parts\)"),
        (head_of(FC, nn.Linear(4, 2)), {}, r"of width 3, got 'fc\.1' \(Linear, width 4\)"),
        (head_of(nn.Dropout()), {"head": "fc"}, "head: expected a linear layer, got 'fc'"),
        (
            state(fc=nn.BatchNorm1d(4)),
            {"head": "fc"},
            rf"{IN_HEAD}'fc' \(weight, bias, running_mean",
        ),
        (parts(fc=Changed(4, 3)), {}, r"'fc' \(Changed, width 4\), which has a forward of its own"),
        (parts(fc=patched()), {}, r"'fc' \(Linear, width 4\), which has a forward of its own"),
        (parts(fc=weight_norm(nn.Linear(4, 3))), {}, f"'fc' .* got no 'weight'; .*{REMOVED}"),
        (parts(fc=old_spectral_norm()), {}, f"'fc' .* got no 'weight'; .*{REMOVED}"),
        (parts(fc=pruned()), {}, f"'fc' .* got no 'weight'; .*{REMOVED}"),
        (state(fc=pruned()), {}, rf"{EXPECTED} .*'fc' \(.*weight_orig.*\)"),
        # Activations
        (parts(a=FC, b=FC), {"head": ["a", "b"]}, "names such as 'a' .*; got 'b'"),
        (
            parts(a=FC, b=nn.Linear(3, 2)),
            {"head": ["a", "b"]},
            "activations: expected one for each of the 2 .*: what follows 'a' .* is not seen",
        ),
        (
            state(fc=nn.Sequential(FC, nn.ReLU(), nn.Linear(3, 2))),
            {"head": "fc"},
            "what follows 'fc.0'",
        ),
        (
            parts(a=FC, b=nn.Linear(3, 2)),
            {"head": ["a", "b"], "activations": ["relu", "relu", "relu"]},
            "activations: expected 1 or 2, for 2 layers of the head, got 3",
        ),
        (
            head_of(FC, nn.ReLU(), nn.Linear(3, 2)),
            {"head": "fc", "activations": ["tanh"]},
            r"activations: expected 'relu' after 'fc\.0' .*, got 'tanh'",
        ),
        (
            head_of(FC, nn.Linear(3, 2)),
            {"head": "fc", "activations": ["tanh"]},
            r"activations: expected 'linear' after 'fc\.0' .*, got 'tanh'",
        ),
        (parts(), {"activations": ["relu"]}, "activations: expected None where there is no head"),
        (
            parts(fc=FC),
            {"head": "fc", "activations": ["rely"]},
            "activations: expected one of .* 'rely'",
        ),
        (parts(fc=FC), {"head": []}, "head: expected at least one name, got none"),
        (parts(fc=FC), {"pooling": "first"}, "pooling: expected one of .*, got 'first'"),
        (
            parts(fc=FC),
            {"vocabulary": ["a"]},
            "vocabulary: expected None where there is no embedding",
        ),
        (
            parts(fc=FC),
            {"embedding": np.zeros((9, 4))},
            r"embedding: .*\(vocabulary size, 5\), got",
        ),
        (
            parts(fc=FC),
            {"embedding": torch.zeros(9, 5, device="meta")},
            "embedding: .*a meta tensor",
        ),
    ],
)
def test_refused(source, options, match):
    with pytest.raises(ValueError, match=match) as caught:
        lrplstm.from_torch(source, **options)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 500


@pytest.mark.parametrize(
    ("source", "options", "match"),
    [
        (
            None,
            {},
            "source: expected a module of PyTorch, a state dict or the path of one, got None",
        ),
        ([FC], {}, "source: .*, got list"),
        (nn.LSTM, {}, "source: .*, got type"),
        (b"model.pt", {}, "source: .*, got bytes"),
        (parts(), {"lstm": 0}, "lstm: expected a name or a sequence of names, got 0"),
        (parts(fc=FC), {"head": FC}, "head: expected a name or a sequence of names, got Linear"),
        (parts(fc=FC), {"head": True}, "head: expected a name or a sequence of names, got True"),
        (parts(e=EMBED), {"embedding": True}, "embedding: expected a name, an array .*, got bool"),
        (
            parts(e=EMBED),
            {"embedding": EMBED},
            "embedding: expected a name, an array .*, got Embedding",
        ),
        (parts(fc=FC), {"head": "fc", "activations": [nn.ReLU]}, "activations: expected a name or"),
        (parts(fc=FC), {"pooling": 0}, "pooling: .*, got int"),
        (parts(fc=FC), {"check": "no"}, "check: expected True or False, got 'no'"),
    ],
)
def test_arguments_of_the_wrong_kind(source, options, match):
    with pytest.raises(TypeError, match=match) as caught:
        lrplstm.from_torch(source, **options)
    assert "\n" not in str(caught.value)


def test_one_parameter_in_two_places():
    network = Network()
    network.encoder.rnn.bias_hh_l0 = network.encoder.rnn.bias_ih_l0
    assert_same_scores(lrplstm.from_torch(network), network, batch_of(network))


def test_only_a_few_of_what_was_left_out_are_named():
    others = {f"part{n:02}": nn.LayerNorm(3) for n in range(20)}
    model = lrplstm.from_torch(parts(fc=FC, **others), head="fc")
    names = ", ".join(list(others)[:12])
    assert model.origin["left_out"] == f"{names}, and 8 more"


def test_parametrizations_that_were_removed():
    network = Network()
    weight_norm(network.head)
    weight_norm(network.encoder.rnn, "weight_hh_l0")
    prune.l1_unstructured(network.encoder.rnn, "weight_ih_l0", amount=0.5)
    with pytest.raises(ValueError, match=REMOVED):
        lrplstm.from_torch(network, head="head", pooling="last")
    assert_same_scores(lrplstm.from_torch(network), network, batch_of(network), 1e-5)
    prune.remove(network.encoder.rnn, "weight_ih_l0")
    nn.utils.parametrize.remove_parametrizations(network.encoder.rnn, "weight_hh_l0")
    nn.utils.parametrize.remove_parametrizations(network.head, "weight")
    model = lrplstm.from_torch(network)
    assert (model.layers[0][0].weight_ih == 0).sum() == 40
    assert_same_scores(model, network, batch_of(network))


def test_layers_that_only_have_another_name():
    model = lrplstm.from_torch(parts(fc=Inherited(4, 3)))
    assert model.origin["head"] == "fc"


class Scripted(nn.Module):
    def __init__(self):
        super().__init__()
        self.lstm, self.fc = nn.LSTM(5, 4, batch_first=True), nn.Linear(4, 3)

    def forward(self, x):
        output, _ = self.lstm(x)
        return self.fc(torch.relu(output.mean(1)))


@pytest.mark.filterwarnings("ignore")  # PyTorch has a few about what is quantized or traced
def test_programs_and_quantized_modules():
    network = parts(fc=FC)
    quantized = torch.ao.quantization.quantize_dynamic(network, {nn.LSTM}, dtype=torch.qint8)
    with pytest.raises(ValueError, match=r"found 'lstm' \(torch\.ao\..*\.LSTM\)"):
        lrplstm.from_torch(quantized)
    network, x = Scripted().eval(), torch.randn(2, 6, 5)
    for scripted in (torch.jit.trace(network, x), torch.jit.script(network)):
        model = lrplstm.from_torch(scripted)
        assert model.pooling == "mean"
        predicted = np.array([model.predict(row.numpy()) for row in x])
        assert relative_error(predicted, scripted(x).detach().numpy()) < 1e-5
        for options in ({"head": "fc"}, {"check": False}, {"pooling": "last"}):
            with pytest.raises(TypeError, match=r"no TorchScript module .* its state_dict\(\)$"):
                lrplstm.from_torch(scripted, **options)


@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.float16, np.int64])
def test_an_embedding_from_elsewhere(dtype):
    """Word vectors that were not trained are often no part of the module."""
    network = Network(dtype=torch.float32)
    table = np.random.default_rng(0).integers(-2, 3, (9, 5)).astype(dtype)
    for embedding in (table, torch.from_numpy(table), table.tolist()):
        model = lrplstm.from_torch(network, embedding=embedding)
        assert model.dtype == model.embedding.dtype == np.float32
        assert "embedding" not in model.origin
        ids = [1, 8, 0]
        expected = scores(network, table[ids].astype(np.float32))
        assert relative_error(model.predict(ids), expected) < 1e-5
    # It goes before one of the module's own.
    model = lrplstm.from_torch(Network(V=9), head="head", embedding=table[:4])
    np.testing.assert_array_equal(model.embedding, table[:4])


def test_a_bidirectional_output_is_not_the_final_state():
    """The pitfall that the documentation tells of."""
    network = Network()
    x = torch.as_tensor(batch_of(network)[0])
    output, (final, _) = network.encoder.rnn(x.unsqueeze(1))
    model = lrplstm.from_torch(network, head=False)
    assert relative_error(model.predict(x), torch.cat(list(final), -1)[0].detach().numpy()) < 1e-12
    assert relative_error(model.predict(x), output[-1, 0].detach().numpy()) > 0.01


def test_an_lstm_in_a_class_of_its_own():
    encoder = Encoder(5, 4).double()
    x = torch.as_tensor(random_batch(D=5)[0])
    model = lrplstm.from_torch(encoder)
    expected = encoder.rnn(x)[1][0][0].detach().numpy()
    assert relative_error(model.predict(x), expected) < 1e-12
