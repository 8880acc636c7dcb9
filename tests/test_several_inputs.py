"""Networks of several inputs, by name: series, static features, words, and two LSTMs joined."""

from __future__ import annotations

import copy
import json
import pickle
import re
import warnings

import numpy as np
import pytest
import torch
from random_models import QUICK, random_weights, relative_error
from torch import nn

import lrplstm
from lrplstm import Input
from lrplstm.cli import main
from lrplstm.layers import (
    LSTM,
    Add,
    Concatenate,
    ConcatenateSteps,
    DenseLayer,
    FinalState,
    Flatten,
    Pool,
    Repeat,
    Reverse,
    Standardize,
    Step,
)

METHODS = list(lrplstm.METHODS)
BACKENDS = ["kernel", "reference"]
LENGTHS = (3, 1, 6, 2)
WORDS = ["<unk>", "a", "b", "c"]


def weights(seed, input_size, hidden_size=4):
    return random_weights(np.random.default_rng(seed), input_size, hidden_size)


def dense(seed, input_size, output_size, **named):
    rng = np.random.default_rng(seed)
    weight, bias = rng.normal(0, 0.5, (output_size, input_size)), rng.normal(0, 0.5, output_size)
    return DenseLayer(weight, bias, **named)


def draw(seed, *shape):
    return np.random.default_rng(seed).normal(size=shape)


def beside_a_series():
    """Static features at each step of a series and beside its state, with words of their own."""
    layers = [
        Standardize(np.array([0.5, -1.0]), np.array([2.0, 0.5]), name="scaled", reads=["static"]),
        Repeat(name="at each", reads=["scaled", "series"]),
        Concatenate(name="both", reads=["series", "kind", "at each"]),
        LSTM(weights(1, 3 + 2 + 2), weights(2, 3 + 2 + 2), name="h"),
        Pool("mean", name="mean"),
        LSTM(weights(3, 2), name="text", reads=["words"]),
        FinalState("cell", name="c"),
        Concatenate(name="all", reads=["mean", "c", "basin", "static"]),
        dense(4, 8 + 4 + 3 + 2, 3),
    ]
    inputs = {
        "static": Input(2, steps=False),
        "series": 3,
        "kind": Input(2, steps="series"),
        "words": Input(embedding=draw(5, 4, 2), vocabulary=WORDS),
        "basin": Input(embedding=draw(6, 7, 3), steps=False),
    }
    batch = {
        "static": draw(7, 4, 2),
        "series": [draw(8 + n, n, 3) for n in LENGTHS],
        "kind": [draw(18 + n, n, 2) for n in LENGTHS],
        "words": [["b", "c"], ["a"], ["c", "new", "b", "b"], ["a", "b", "c"]],
        "basin": [6, 0, 3, 3],
    }
    return lrplstm.Model(layers, inputs=inputs), batch


def two_branches():
    """The same weights over two series, and a layer over the steps of both."""
    shared = weights(31, 3)
    layers = [
        LSTM(shared, name="left", reads=["a"]),
        LSTM(shared, name="right", reads=["b"]),
        ConcatenateSteps(name="all steps", reads=["left", "right"]),
        LSTM(weights(32, 4), weights(33, 4), name="above"),
        Pool("max", name="most"),
        Pool("mean", name="mean", reads=["right"]),
        Step(0, name="first", reads=["right"]),
        Pool("last", name="last", reads=["left"]),
        Add(name="sum", reads=["first", "last", "mean"]),
        Concatenate(reads=["most", "sum"]),
        dense(34, 12, 3),
    ]
    batch = {
        "a": [draw(40 + n, n, 3) for n in LENGTHS],
        "b": [draw(50 + n, n, 3) for n in (2, 5, 3, 4)],
    }
    return lrplstm.Model(layers, inputs={"a": 3, "b": 3}), batch


NETWORKS = [beside_a_series, two_branches]


def one_of(batch, b):
    return {name: values[b] for name, values in batch.items()}


def floats_of(model, batch):
    """Names of the inputs that are floats."""
    return [name for name in batch if model.inputs[name].embedding is None]


@pytest.mark.parametrize("network", NETWORKS)
def test_gradients_by_differences_and_relevance_by_its_sum(network):
    model, batch = network()
    one, target = one_of(batch, 2), np.array([0.5, -1.0, 2.0])
    expected = {}
    for name in floats_of(model, batch):
        expected[name] = np.empty_like(one[name])
        for place in np.ndindex(one[name].shape):
            moved = []
            for step in (1e-6, -1e-6):
                other = one[name].copy()
                other[place] += step
                moved.append(model.predict(one | {name: other}) @ target)
            expected[name][place] = (moved[0] - moved[1]) / 2e-6
    for backend in BACKENDS:
        found = lrplstm.gradient_x_input(model, one, target, backend=backend)
        for name, gradient in expected.items():
            assert relative_error(found.relevance_of[name], gradient * one[name]) < 1e-7
        squares = lrplstm.sensitivity(model, one, target, backend=backend).relevance_of
        for name, gradient in expected.items():
            assert relative_error(squares[name], gradient**2) < 1e-7
        whole = lrplstm.lrp(model, batch, "all", bias_factor=1.0, epsilon=0.05, backend=backend)
        np.testing.assert_allclose(whole.delta, 0, atol=1e-9)
        a = whole[2]
        arrived = sum(R.reshape(3, -1).sum(axis=1) for R in a.relevance_of.values())
        np.testing.assert_allclose(arrived + a.initial_relevance, a.scores, atol=1e-9)
        path = lrplstm.integrated_gradients(model, one, 1, steps=200, backend=backend)
        assert abs(path.delta) < 1e-3


def test_scores_are_those_of_pytorch():
    model, batch = two_branches()
    shared, *above = (model.layers[n].directions for n in (0, 3))
    modules = []
    for both in (shared, above[0]):
        sides = len(both)
        module = nn.LSTM(both[0].input_size, 4, batch_first=True, bidirectional=sides == 2).double()
        states = []
        for d, one in enumerate(both):
            suffix = "_l0" + ("_reverse" if d else "")
            with torch.no_grad():
                for name in ("weight_ih", "weight_hh"):
                    getattr(module, name + suffix).copy_(torch.tensor(getattr(one, name)))
                getattr(module, "bias_ih" + suffix).copy_(torch.tensor(one.bias))
                getattr(module, "bias_hh" + suffix).zero_()
            states.append((one.initial_hidden, one.initial_cell))
        h, c = (torch.tensor(np.stack(state))[:, None] for state in zip(*states, strict=True))
        modules.append((module, (h, c)))
    for b, found in enumerate(model.predict(batch)):
        left, right = (
            modules[0][0](torch.tensor(batch[name][b])[None], modules[0][1])[0][0]
            for name in ("a", "b")
        )
        both = modules[1][0](torch.cat([left, right])[None], modules[1][1])[0][0]
        joined = torch.cat([both.max(0).values, right[0] + left[-1] + right.mean(0)])
        expected = model.layers[-1].weight @ joined.detach().numpy() + model.layers[-1].bias
        np.testing.assert_allclose(found, expected, rtol=1e-12)


@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("level", ["token", "input"])
def test_backends_and_batches_agree(network, method, level):
    model, batch = network()
    options = {"target": 1, "level": level} | QUICK.get(method, {})
    found, expected = (
        lrplstm.explain(model, batch, method, backend=backend, **options) for backend in BACKENDS
    )
    for b in range(4):
        alone = lrplstm.explain(model, one_of(batch, b), method, num_threads=1, **options)
        assert list(found[b].relevance_of) == [alone.input_name, *alone.other_relevance]
        for name, values in found[b].relevance_of.items():
            np.testing.assert_array_equal(alone.relevance_of[name], values)
            np.testing.assert_allclose(expected[b].relevance_of[name], values, atol=1e-9)
        again = lrplstm.explain(model, one_of(batch, b), method, alone.target, **alone.params)
        np.testing.assert_array_equal(again.token_relevance, alone.token_relevance)
    record = json.loads(json.dumps(found[0].to_dict(), allow_nan=False))
    assert set(record["relevance_of"]) == set(batch)
    assert found.to_dicts()[0] == found[0].to_dict()


def test_occlusion_and_paths_have_baselines_by_name():
    model, batch = beside_a_series()
    one = one_of(batch, 2)
    baseline = {"static": [1.0, 2.0], "words": "a", "series": draw(60, 6, 3)}
    for level, by_input in [("token", False), ("input", True)]:
        found = lrplstm.occlusion(model, one, 2, baseline=baseline, level=level)
        whole = model.predict(one)[2]
        static = whole - model.predict(one | {"static": np.array([1.0, 2.0])})[2]
        np.testing.assert_allclose(found.relevance_of["static"].sum(), static, atol=1e-12)
        words = list(one["words"])
        words[3] = "a"
        lost = whole - model.predict(one | {"words": words})[2]
        np.testing.assert_allclose(found.relevance_of["words"][3].sum(), lost, atol=1e-12)
        series = one["series"].copy()
        series[4] = baseline["series"][4]
        lost = whole - model.predict(one | {"series": series})[2]
        np.testing.assert_allclose(found.token_relevance[4], lost, atol=1e-12)
        assert (found.input_relevance is not None) == by_input
    path = lrplstm.integrated_gradients(model, one, 2, baseline=baseline, quadrature="gauss")
    moved = {"static": np.array([1.0, 2.0]), "series": baseline["series"], "words": ["a"] * 4}
    nothing = {"kind": np.zeros((6, 2)), "basin": 0}
    table = np.array(model.inputs["basin"].embedding)
    table[0] = 0
    zeros = model.replaced(
        inputs=dict(model.inputs) | {"basin": Input(embedding=table, steps=False)}
    )
    started = model.predict(one)[2] - zeros.predict(moved | nothing)[2]
    total = sum(values.sum() for values in path.relevance_of.values())
    np.testing.assert_allclose(total + path.delta, started, atol=1e-9)
    assert abs(path.delta) < 1e-6
    with pytest.raises(ValueError, match=r"baseline: expected .*, got 'statics'"):
        lrplstm.occlusion(model, one, baseline={"statics": 1})
    with pytest.raises(TypeError, match="baseline: expected a dict by name of inputs, got list"):
        lrplstm.occlusion(model, one, baseline=[0.0])
    with pytest.raises(ValueError, match=r"baseline\['words'\]: expected a token"):
        lrplstm.occlusion(model, one, baseline={"words": "z"})


def test_such_models_are_saved_loaded_copied_and_shown(tmp_path, capsys):
    model, batch = beside_a_series()
    model.save(tmp_path)
    assert (tmp_path / "vocab.3.txt").read_text().split() == WORDS
    for again in (lrplstm.load(tmp_path), copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        assert list(again.inputs) == list(model.inputs)
        assert [one.steps for one in again.inputs.values()] == [False, True, "series", True, False]
        np.testing.assert_array_equal(again.predict(batch), model.predict(batch))
    narrow = model.astype("float32")
    assert narrow.predict(batch).dtype == np.float32
    assert relative_error(narrow.predict(batch), model.predict(batch)) < 1e-5
    assert main(["info", "--model", str(tmp_path)]) == 0
    shown = capsys.readouterr().out
    for name, text in [
        ("static", "2 numbers, one row"),
        ("series", "3 numbers, any number of steps"),
        ("kind", "2 numbers, the steps of series"),
        ("words", "4 ids, any number of steps"),
        ("basin", "7 ids, one row"),
    ]:
        assert any(line.split() == ["input", name, *text.split()] for line in shown.splitlines())
    two, _ = two_branches()
    two.save(tmp_path)
    assert not list(tmp_path.glob("vocab*"))
    assert '"format_version": 4' in (tmp_path / "config.json").read_text()


def test_sums_are_of_all_inputs_and_of_each():
    model, batch = two_branches()
    a = lrplstm.lrp(model, one_of(batch, 2), 1)
    *_, total, each = str(a).splitlines()
    left, right = (a.relevance_of[name].sum() for name in ("a", "b"))
    assert re.fullmatch(r"score \S+ = inputs (\S+) [+-] initial states .*", total)
    assert float(total.split()[4]) == pytest.approx(left + right, abs=0.01)
    assert each == f"inputs: a {left:+.3g}, b {right:+.3g}"


def test_padding_of_an_input_is_left_out_of_those_that_have_its_steps():
    layers = [
        Concatenate(name="both", reads=["ids", "numbers"]),
        LSTM(weights(1, 4), name="h"),
        Pool("last"),
    ]
    table = draw(2, 5, 2)
    inputs = {"ids": Input(embedding=table, mask_id=0), "numbers": Input(2, steps="ids")}
    model = lrplstm.Model(layers, inputs=inputs)
    numbers = draw(3, 5, 2)
    padded = {"ids": [0, 3, 1, 4, 0], "numbers": numbers}
    plain = {"ids": [3, 1, 4], "numbers": numbers[1:4]}
    np.testing.assert_array_equal(model.predict(padded), model.predict(plain))
    found, expected = (lrplstm.lrp(model, given, 1) for given in (padded, plain))
    np.testing.assert_array_equal(found.token_relevance[1:4], expected.token_relevance)
    of_numbers = found.relevance_of["numbers"]
    np.testing.assert_array_equal(of_numbers[[0, 4]], 0)
    np.testing.assert_array_equal(of_numbers[1:4], expected.relevance_of["numbers"])


def test_all_methods_agree_on_a_linear_network():
    """What each number of each input adds to the score is then its weight times itself."""
    layers = [
        dense(71, 2, 3, name="of row", reads=["row"]),
        Repeat(name="at each", reads=["of row", "series"]),
        Concatenate(name="both", reads=["series", "at each"]),
        Reverse(name="reversed"),
        Add(reads=["both", "reversed"]),
        Pool("mean", name="mean"),
        dense(72, 5, 2),
    ]
    model = lrplstm.Model(layers, inputs={"series": 2, "row": Input(2, steps=False)})
    x = {"series": draw(73, 5, 2), "row": draw(74, 2)}
    weight = model.layers[-1].weight[1]
    expected = {
        "series": x["series"] * weight[:2] * 2 / 5,
        "row": x["row"] * (weight[2:] @ model.layers[0].weight) * 2,
    }
    for method in METHODS:
        if method in ("random", "sensitivity"):
            continue
        options = {"epsilon": 0.0} if method == "lrp" else {}
        found = lrplstm.explain(model, x, method, 1, **options)
        for name, parts in expected.items():
            np.testing.assert_allclose(found.relevance_of[name], parts, err_msg=method)


def test_bad_inputs_are_named():
    model, batch = beside_a_series()
    one = one_of(batch, 2)
    without = {name: value for name, value in one.items() if name != "static"}
    cases = [
        ([1.0], TypeError, "inputs: expected a dict by name, of 'static', .*, got list"),
        (without, ValueError, "inputs: expected .*, got no 'static'"),
        (one | {"statics": 1}, ValueError, "got 'statics'; did you mean 'static'"),
        (
            one | {"static": draw(1, 2, 2)},
            ValueError,
            r"inputs\['static'\]: expected one row a seq",
        ),
        (one | {"static": draw(1, 3)}, ValueError, r"inputs\['static'\]: expected shape \(T, 2\)"),
        (one | {"static": [1.0, np.nan]}, ValueError, "expected a finite number, got nan"),
        (
            one | {"kind": draw(1, 5, 2)},
            ValueError,
            r"\['kind'\]: expected 6 steps as of 'series'",
        ),
        (one | {"basin": 7}, ValueError, r"inputs\['basin'\]: id 7"),
        (one | {"series": [[1.0, 2.0]]}, ValueError, r"inputs\['series'\]: expected shape"),
        (batch | {"basin": [1]}, ValueError, r"'basin'\]: expected a batch of 4 .*, got .* of 1"),
        (one | {"words": [["a"]]}, ValueError, r"\['words'\]: expected one sequence as of"),
        (batch | {"kind": batch["kind"][::-1]}, ValueError, r"\['kind'\]\[0\]: expected 3 steps"),
    ]
    for inputs, kind, text in cases:
        with pytest.raises(kind, match=text):
            model.predict(inputs)
    with pytest.raises(ValueError, match=r"inputs\['words'\]\[2\]: token 'new' at position 1"):
        model.predict(batch, unknown="error")
    with pytest.raises(ValueError, match="unknown: expected one of"):
        model.predict(batch, unknown="drop")


def test_inputs_that_cannot_be_declared_are_named():
    lstm, static = LSTM(weights(1, 3), reads=["a"]), Input(2, steps=False)
    cases = [
        ([lstm], {}, "inputs: expected a mapping of Input by name"),
        ([lstm], {"a": "x"}, r"inputs\['a'\]: expected an Input or its size, got 'x'"),
        ([lstm], {"b": 3}, r"layers\[0\]: reads: expected 'b' or the name of a layer"),
        ([lstm], {"a": 3, "b": 3}, "inputs: 'b' is read by no layer"),
        ([lstm], {"a": 4}, r"layers\[0\]: expected input_size 4, got 3"),
        ([lstm], {"a": static}, "inputs: expected at least one with steps, got none"),
        ([lstm], {"a": Input(3, steps="c")}, r"\['a'\]: steps: expected the name of an"),
        ([LSTM(weights(1, 3))], {"a": 3, "b": 3}, r"layers\[0\]: reads: expected names of inputs"),
        ([lstm, Add(reads=["lstm", "b"])], {"a": 3, "b": 4}, "expected to read the same steps"),
        ([lstm], {"a": Input(embedding=np.ones((2, 3), "f4"))}, r"\['a'\]: embedding: .*float64"),
    ]
    for layers, inputs, text in cases:
        with pytest.raises((TypeError, ValueError), match=text):
            lrplstm.Model(layers, inputs=inputs)
    with pytest.raises(ValueError, match="mask_value: expected None where inputs are declared"):
        lrplstm.Model([lstm], inputs={"a": 3}, mask_value=0.0)
    for make, text in [
        (lambda: Input(0), "size: expected at least 1"),
        (lambda: Input(3, steps=0), "steps: expected at least 1"),
        (lambda: Input(3, vocabulary=["a"]), "vocabulary: expected None"),
        (lambda: Input(3, embedding=np.ones((2, 4))), "embedding: expected shape"),
    ]:
        with pytest.raises(ValueError, match=text):
            make()
    model = lrplstm.Model([lstm, Pool("last")], inputs={"a": Input(3, steps=4)})
    with pytest.raises(ValueError, match=r"inputs\['a'\]\[1\]: expected 4 steps, got 3"):
        model.predict({"a": [draw(1, 4, 3), draw(1, 3, 3)]})


@pytest.mark.parametrize(
    ("changed", "text"),
    [
        ({"inputs": {}}, "inputs: expected a list"),
        ({"name": 3}, r"inputs\[0\]: name"),
        ({"steps": "b"}, r"inputs\['a'\]: steps"),
        ({"steps": []}, r"inputs\[0\]: steps: expected an int"),
        ({"size": 2}, "expected input_size 2, got 3"),
        ({"vocabulary_size": 1}, "vocab.0.txt: expected 1 tokens"),
        ({"mask_id": 0}, r"inputs\[0\]: mask_id"),
    ],
)
def test_files_that_say_something_else_of_an_input(changed, text, tmp_path):
    two_branches()[0].save(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    if "inputs" in changed:
        config |= changed
    else:
        config["inputs"][0] |= changed
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(ValueError, match=text):
        lrplstm.load(tmp_path)


def decoder():
    """Four steps of scores, whatever was read, from the states of an encoder."""
    layers = [
        LSTM(weights(71, 3), name="encoder", reads=["a"]),
        FinalState("cell", name="c"),
        Pool("last", name="h", reads=["encoder"]),
        Repeat(4, name="each", reads=["h"]),
        LSTM(weights(72, 4), name="decoder", reads=["each", "h", "c"]),
        dense(73, 4, 3),
    ]
    batch = {"a": [draw(80 + n, n, 3) for n in LENGTHS]}
    return lrplstm.Model(layers, inputs={"a": 3}), batch


def scores_of_the_second():
    """Scores at each step of the second input, which reads what the first came to."""
    layers = [
        LSTM(weights(74, 3), weights(75, 3), name="first", reads=["a"]),
        Pool("mean", name="mean"),
        Repeat(name="each", reads=["mean", "b"]),
        Concatenate(name="both", reads=["b", "each"]),
        LSTM(weights(76, 10), name="second"),
        dense(77, 4, 3),
    ]
    batch = {
        "a": [draw(90 + n, n, 3) for n in LENGTHS],
        "b": [draw(95 + n, n, 2) for n in (4, 4, 4, 4)],
    }
    return lrplstm.Model(layers, inputs={"a": 3, "b": 2}), batch


@pytest.mark.parametrize("network", [decoder, scores_of_the_second])
@pytest.mark.parametrize("method", METHODS)
def test_scores_of_steps_that_are_not_the_inputs(network, method):
    """The score of a step is that number of the same scores in one row, with what explains it."""
    model, batch = network()
    flat = model.replaced(layers=[*model.layers, Flatten(4)])
    in_a_row = flat.predict(batch)
    for b, scores in enumerate(model.predict(batch)):
        np.testing.assert_array_equal(scores.ravel(), in_a_row[b])
    options = {"level": "token"} | QUICK.get(method, {})
    found = lrplstm.explain(model, batch, method, [(1, 2)] * 4, **options)
    expected = lrplstm.explain(flat, batch, method, 5, **options)
    for b in range(4):
        alone = lrplstm.explain(model, one_of(batch, b), method, (1, 2), **options)
        assert alone.scores.shape == (4, 3)
        assert alone.target == (1, 2)
        np.testing.assert_array_equal(alone.token_relevance, found[b].token_relevance)
        for name, values in found[b].relevance_of.items():
            np.testing.assert_allclose(values, expected[b].relevance_of[name], atol=1e-12)
        np.testing.assert_allclose(found[b].delta, expected[b].delta, atol=1e-9)
    predicted = lrplstm.explain(model, one_of(batch, 2), method, **options).predicted
    np.testing.assert_array_equal(predicted, in_a_row[2].reshape(4, 3).argmax(axis=1))
    last = lrplstm.explain(model, batch, method, [(-1, None)] * 4, **options)
    assert [a.target[1] for a in last] == [a.scores[-1].argmax() for a in last]


def test_relevance_of_states_at_other_steps_is_refused():
    model, batch = decoder()
    with pytest.raises(ValueError, match="hidden_relevance: expected None where the top layer"):
        lrplstm.lrp(model, one_of(batch, 0), hidden_relevance=np.ones((4, 4)))


class FourInputs(nn.Module):
    """A series with a category at each step, another series, and static features."""

    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(7, 2)
        self.first = nn.LSTM(3 + 2, 4, batch_first=True, bidirectional=True)
        self.second = nn.GRU(2, 3, batch_first=True)
        self.fc = nn.Linear(8 + 3 + 2, 3)

    def forward(self, series, kind, other, static):
        h, _ = self.first(torch.cat([series, self.embedding(kind)], -1))
        output, _ = self.second(other)
        return self.fc(torch.cat([h.mean(1), output[:, -1], static], -1))


def test_a_graph_of_several_inputs_is_read_by_their_names(tmp_path):
    """Which of them have the same steps is seen where they are joined."""
    torch.manual_seed(0)
    module, names = FourInputs().eval(), ["series", "kind", "other", "static"]
    given = (
        torch.randn(5, 6, 3), torch.randint(0, 7, (5, 6)), torch.randn(5, 4, 2), torch.randn(5, 2)
    )  # fmt: skip
    path = tmp_path / "four.onnx"
    axes = {name: {0: "B", 1: f"T of {name}"} for name in names[:3]} | {"static": {0: "B"}}
    axes["kind"] = axes["series"]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(module, given, path, input_names=names, dynamic_axes=axes, dynamo=False)
    model = lrplstm.from_onnx(path, vocabulary=list("abcdefg"), class_names=["x", "y", "z"])
    assert [one.steps for one in model.inputs.values()] == [True, "series", True, False]
    assert model.inputs["kind"].vocabulary == tuple("abcdefg")
    batch = {name: array.numpy() for name, array in zip(names, given, strict=True)}
    assert relative_error(model.predict(batch), module(*given).detach().numpy()) < 1e-6
    whole = lrplstm.lrp(model, batch, "y", bias_factor=1.0)
    np.testing.assert_allclose(whole.delta, 0, atol=1e-5)
    with pytest.raises(TypeError, match="tokenizer: expected a name"):
        lrplstm.from_onnx(path, tokenizer=3)


# Measures ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["zero", "remove"])
def test_deletion_curves_of_the_first_input_with_steps(how):
    """Steps go from it, and from what has its steps; the other inputs stay as they are."""
    model, batch = beside_a_series()
    labels = [2, 0, 1, 1]
    curves = lrplstm.evaluation.deletion_curve(
        model, batch, labels, methods="lrp", deletions=2, min_length=3, how=how, measure="score"
    )
    assert curves.sequences.tolist() == [0, 2]
    for n, b in enumerate(curves.sequences):
        one = one_of(batch, b)
        right = model.predict(one).argmax() == labels[b]
        relevance = lrplstm.lrp(model, one, labels[b], level="token").token_relevance
        order = np.argsort(-relevance if right else relevance, kind="stable")
        for k in range(3):
            changed = dict(one)
            if how == "zero":
                changed["series"] = one["series"].copy()
                changed["series"][order[:k]] = 0
            else:
                for name in ("series", "kind"):
                    changed[name] = np.delete(one[name], order[:k], axis=0)
            assert curves.values[0, k, n] == pytest.approx(model.predict(changed)[labels[b]])


def test_words_that_are_deleted_beside_other_inputs():
    """Of tokens the vector of zeros is read, which no id has; scalers are not applied twice."""
    layers = [
        LSTM(weights(61, 2), name="text", reads=["words"]),
        Pool("last", name="last"),
        Concatenate(name="all", reads=["last", "row"]),
        dense(62, 6, 2),
    ]
    words = Input(embedding=draw(63, 4, 2), vocabulary=WORDS, mask_id=1)
    row = Input(2, steps=False, scaler=([1.0, -2.0], [0.5, 3.0]))
    model = lrplstm.Model(layers, inputs={"words": words, "row": row})
    batch = {"words": [["b", "a", "c", "b"], ["c", "new", "b"]], "row": draw(64, 2, 2)}
    curves = lrplstm.evaluation.deletion_curve(
        model, batch, [0, 1], methods="occlusion", deletions=1, min_length=3, measure="score"
    )
    table = np.vstack([words.embedding, np.zeros(2)])
    other = model.replaced(inputs={"words": Input(embedding=table), "row": row})
    for b, ids in enumerate([[2, 3, 2], [3, 0, 2]]):
        given = {"words": ids, "row": batch["row"][b]}
        assert curves.values[0, 0, b] == pytest.approx(other.predict(given)[b])
        scores = [
            other.predict(given | {"words": [*ids[:t], 4, *ids[t + 1 :]]})[b] for t in range(3)
        ]
        right = other.predict(given).argmax() == b
        expected = min(scores) if right else max(scores)
        assert curves.values[0, 1, b] == pytest.approx(expected)


@pytest.mark.parametrize("network", NETWORKS)
def test_other_measures(network):
    model, batch = network()
    kept = lrplstm.evaluation.conservation(model, batch, target=1)
    a = lrplstm.lrp(model, batch, 1)
    np.testing.assert_allclose(kept.started, model.predict(batch)[:, 1], rtol=1e-9)
    np.testing.assert_allclose(kept.delta, a.delta, atol=1e-12)
    assert abs(kept.rest).max() < 1e-9
    agreed = lrplstm.evaluation.agreement(model, batch, target=1, methods=["lrp", "occlusion"])
    assert agreed.signed.shape[:2] == (2, 2)
    found = lrplstm.evaluation.randomization_test(model, batch, target=1, methods="lrp")
    assert found.signed.shape[1] == len(found.parts)
    with pytest.raises(ValueError, match="embedding: expected False where there are several in"):
        lrplstm.evaluation.randomization_test(model, batch, embedding=True)
    with pytest.raises(ValueError, match="model: expected one input, whose words are counted"):
        lrplstm.evaluation.representative_words(model, batch)
