"""The interface of the 2017 code: golden values, NumPy, PyTorch, and a script as users wrote it."""

from __future__ import annotations

import copy
import inspect
import pickle
import re
import shutil

import numpy as np
import pytest
import torch
from loader_fixtures import golden_arrays, needs_treebank, refused, treebank_file
from random_models import relative_error
from test_golden import GOLDEN, NAMES

import lrplstm
from lrplstm import compat
from lrplstm.compat import LSTM_bidi, html_heatmap, lrp_linear

SIDES = ("Left", "Right")
e, d, C, V = 5, 4, 3, 9
W = [3, 0, 8, 3, 5, 1, 7]


def random_arrays(seed=0, dtype=np.float64):
    rng = np.random.default_rng(seed)
    shapes = {"Wxh": (4 * d, e), "bxh": 4 * d, "Whh": (4 * d, d), "bhh": 4 * d, "Why": (C, d)}
    return {
        f"{part}_{side}": rng.normal(0, 0.4, shape).astype(dtype)
        for side in SIDES
        for part, shape in shapes.items()
    }


def write(folder, arrays, E):
    (folder / "model").write_bytes(pickle.dumps(arrays, 2))
    (folder / "vocab").write_bytes(pickle.dumps([f"word{n}" for n in range(len(E))], 2))
    np.save(folder / "embeddings.npy", E)
    return folder


@pytest.fixture
def folder(tmp_path):
    E = np.random.default_rng(1).normal(size=(V, e))
    return write(tmp_path, random_arrays(), E)


@pytest.fixture
def net(folder):
    return LSTM_bidi(folder)


def assert_close(found, expected, bound=1e-13):
    assert relative_error(found, expected) < bound


# Golden values, made with the 2017 code ---------------------------------------------------------


@pytest.fixture(params=NAMES)
def golden(request, tmp_path):
    """A network whose words are the rows of the golden x, and all golden arrays."""
    with np.load(GOLDEN / f"{request.param}.npz") as file:
        arrays = dict(file)
    return LSTM_bidi(write(tmp_path, golden_arrays(request.param), arrays["x"])), arrays


def test_golden_scores_and_states(golden):
    net, arrays = golden
    T = len(arrays["x"])
    net.set_input(list(range(T)))
    scores = net.forward()
    assert_close(scores, arrays["scores"])
    np.testing.assert_array_equal(scores, net.s)
    assert scores is not net.s
    assert_close(net.h_Left[:T], arrays["h_left"])
    assert_close(net.h_Right[:T], arrays["h_right"])


def test_golden_lrp(golden):
    net, arrays = golden
    pattern = re.compile(r"(lrp_v1\.0\+_t(\d+)_eps([\d.e-]+)_bias([\d.]+))_left")
    found = [match for match in map(pattern.fullmatch, arrays) if match]
    assert len(found) >= 4
    w = list(range(len(arrays["x"])))
    for match in found:
        key, target, eps, bias_factor = match.groups()
        Rx, Rx_rev, R_rest = net.lrp(w, int(target), float(eps), float(bias_factor))
        left, right, rest = (arrays[f"{key}_{part}"] for part in ("left", "right", "rest"))
        assert_close(Rx, left, 1e-12)
        assert_close(Rx_rev, right, 1e-12)
        largest = max(np.abs(left).max(), np.abs(right).max())
        assert R_rest.sum() == pytest.approx(float(rest), rel=1e-12, abs=1e-12 * largest)


def test_golden_gradients(golden):
    net, arrays = golden
    targets = [c for c in range(len(arrays["scores"])) if f"grad_t{c}_left" in arrays]
    assert len(targets) >= 2
    w = list(range(len(arrays["x"])))
    for target in targets:
        Gx, Gx_rev = net.backward(w, target)
        assert_close(Gx, arrays[f"grad_t{target}_left"], 1e-12)
        assert_close(Gx_rev, arrays[f"grad_t{target}_right"], 1e-12)
        np.testing.assert_array_equal(net.dx, Gx)
        np.testing.assert_array_equal(net.dx_rev, Gx_rev[::-1])
        assert_close(net.s, arrays["scores"])


# Forward ----------------------------------------------------------------------------------------


def plain_lstm(arrays, side, x, h=None, c=None):
    """Every quantity of one encoder, step by step."""
    Wxh, bxh, Whh, bhh = (arrays[f"{part}_{side}"] for part in ("Wxh", "bxh", "Whh", "bhh"))
    h, c = [np.zeros(d) if h is None else h], [np.zeros(d) if c is None else c]
    found = {name: [] for name in ("gates_xh", "gates_hh", "gates_pre", "gates")}
    for x_t in x:
        xh, hh = Wxh @ x_t, Whh @ h[-1]
        pre = xh + hh + bxh + bhh
        i, g, f, o = pre.reshape(4, d)
        i, g, f, o = 1 / (1 + np.exp(-i)), np.tanh(g), 1 / (1 + np.exp(-f)), 1 / (1 + np.exp(-o))
        c.append(i * g + f * c[-1])
        h.append(o * np.tanh(c[-1]))
        for name, value in zip(found, (xh, hh, pre, np.concatenate([i, g, f, o])), strict=True):
            found[name].append(value)
    found |= {"h": h[1:] + h[:1], "c": c[1:] + c[:1]}
    found = {name: np.array(rows) for name, rows in found.items()}
    return found | {"y": arrays[f"Why_{side}"] @ h[-1]}


def assert_states(net, arrays, x, x_rev, **initial):
    s = 0
    for side, inputs in zip(SIDES, (x, x_rev), strict=True):
        states = {part: initial.get(f"{part}_{side}") for part in ("h", "c")}
        expected = plain_lstm(arrays, side, inputs, **states)
        for name, value in expected.items():
            found = getattr(net, f"{name}_{side}")
            np.testing.assert_allclose(found, value, rtol=1e-12, atol=1e-14, strict=True)
        s = s + expected["y"]
    assert_close(net.s, s)


@pytest.mark.parametrize("w", [W, [2], [1, 1]])
@pytest.mark.parametrize("way", ["forward", "lrp", "backward"])
def test_every_attribute(net, w, way):
    if way == "forward":
        net.set_input(w)
        net.forward()
    else:
        getattr(net, way)(w, 1)
    assert net.w is w
    np.testing.assert_array_equal(net.x, net.E[w])
    np.testing.assert_array_equal(net.x_rev, net.E[w[::-1]])
    assert_states(net, random_arrays(), net.E[w], net.E[w[::-1]])


def test_weights_are_there_by_their_names(net, folder):
    for name, array in random_arrays().items():
        np.testing.assert_array_equal(getattr(net, name), array, strict=True)
    assert net.voc == [f"word{n}" for n in range(V)]
    assert net.voc.index("word7") == 7
    np.testing.assert_array_equal(net.E, np.load(folder / "embeddings.npy"))


def test_states_of_a_new_input_are_zero(net):
    net.lrp([4, 4], 0)
    net.set_input(W)
    for side in SIDES:
        for part in ("h", "c"):
            array = getattr(net, f"{part}_{side}")
            assert array.shape == (len(W) + 1, d)
            assert not array.any()
        with pytest.raises(AttributeError, match=f"gates_{side}: expected forward, backward or"):
            getattr(net, f"gates_{side}")


def test_what_is_changed_before_forward_counts(net):
    rng = np.random.default_rng(2)
    x, x_rev = rng.normal(size=(2, len(W), e))
    initial = {f"{part}_{side}": rng.normal(size=d) for side in SIDES for part in ("h", "c")}
    net.set_input(W)
    net.x[:] = x
    net.x_rev = x_rev.tolist()
    for name, state in initial.items():
        getattr(net, name)[-1] = state
    net.forward()
    assert_states(net, random_arrays(), x, x_rev, **initial)
    net.forward()  # from the same initial states
    assert_states(net, random_arrays(), x, x_rev, **initial)
    net.set_input(W)
    net.c_Right[-1] = initial["c_Right"]
    net.forward()
    assert_states(net, random_arrays(), net.x, net.x_rev, c_Right=initial["c_Right"])


def test_states_that_are_held_are_filled(net):
    net.set_input(W)
    held = {name: getattr(net, name) for name in ("h_Left", "c_Left", "h_Right", "c_Right")}
    net.forward()
    for name, array in held.items():
        assert array is getattr(net, name)
    assert_states(net, random_arrays(), net.x, net.x_rev)


@pytest.mark.parametrize("way", ["forward", "lrp", "backward"])
def test_what_is_changed_after_forward_does_not_count(net, way):
    if way == "forward":
        net.set_input(W)
        net.forward()
    else:
        getattr(net, way)(W, 1)
    x, x_rev = net.x.copy(), net.x_rev.copy()
    net.x[:] = net.x_rev[:] = 7
    net.bxh_Left = np.ones(4 * d)
    assert_states(net, random_arrays(), x, x_rev)


def test_deleted_words_are_zero_vectors(net):
    words = net.E[W]
    words[[1, 6]] = 0
    for delete_pos in ([1, 6], np.array([6, 1]), (1, -1), [6, 1, 1]):
        net.set_input(W, delete_pos)
        np.testing.assert_array_equal(net.x, words)
        np.testing.assert_array_equal(net.x_rev, words[::-1])
        net.forward()
        assert_states(net, random_arrays(), words, words[::-1])
    net.set_input(W, [])
    np.testing.assert_array_equal(net.x, net.E[W])
    net.lrp(W, 0)
    np.testing.assert_array_equal(net.x, net.E[W])


# Back -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("w", [W, [2], [1, 1]])
def test_relevance_is_conserved(net, w):
    for target in range(C):
        Rx, Rx_rev, R_rest = net.lrp(w, target, 0.01, 1.0)
        assert Rx.sum() + Rx_rev.sum() + R_rest == pytest.approx(net.s[target], rel=1e-12)
        assert np.abs(R_rest) > 0


@pytest.mark.parametrize("w", [W, [2], np.array([1, 1])])
@pytest.mark.parametrize("options", [{}, {"eps": 0.1}, {"eps": 1e-5, "bias_factor": 0.5}])
def test_both_directions_add_up_to_the_package_s_relevance(net, folder, w, options):
    model = lrplstm.from_arras(folder)
    same = {"eps": "epsilon"}
    for target in range(C):
        expected = lrplstm.lrp(
            model, w, target, level="input", **{same.get(k, k): v for k, v in options.items()}
        )
        Rx, Rx_rev, R_rest = net.lrp(w, target, **options)
        assert_close(Rx + Rx_rev, expected.input_relevance)
        assert R_rest == pytest.approx(expected.initial_relevance, rel=1e-12, abs=1e-15)


@pytest.mark.parametrize("w", [W, [2], [1, 1]])
def test_gradients_are_pytorch_s(net, w):
    arrays = {name: torch.from_numpy(array) for name, array in random_arrays().items()}

    def encoder(side):
        def order(part):  # i, g, f, o as i, f, g, o
            i, g, f, o = arrays[f"{part}_{side}"].chunk(4)
            return torch.cat([i, f, g, o])

        lstm = torch.nn.LSTM(e, d, dtype=torch.float64)
        lstm.load_state_dict(
            {
                "weight_ih_l0": order("Wxh"),
                "weight_hh_l0": order("Whh"),
                "bias_ih_l0": order("bxh"),
                "bias_hh_l0": order("bhh"),
            }
        )
        return lstm

    for target in range(C):
        Gx, Gx_rev = net.backward(w, target)
        for side, found, ids in (("Left", Gx, w), ("Right", Gx_rev[::-1], w[::-1])):
            x = torch.from_numpy(net.E[ids]).requires_grad_()
            h = encoder(side)(x)[0][-1]
            score = arrays[f"Why_{side}"][target] @ h
            score.backward()
            assert_close(found, x.grad.numpy(), 1e-12)


def test_results_are_the_caller_s(net):
    Rx, Rx_rev, _ = net.lrp(W, 1)
    again = [Rx.copy(), Rx_rev.copy()]
    Rx[:] = Rx_rev[:] = 0
    for found, expected in zip(net.lrp(W, 1), again, strict=False):
        np.testing.assert_array_equal(found, expected)
    Gx, Gx_rev = net.backward(W, 1)
    Gx[:] = Gx_rev[:] = 0
    assert net.dx.all()
    assert net.dx_rev.all()
    scores = net.s.copy()
    net.set_input(W)
    net.forward()[:] = 0
    np.testing.assert_array_equal(net.s, scores)


def test_signatures():
    parameters = {
        LSTM_bidi: "(model_path='./model/')",
        LSTM_bidi.set_input: "(self, w, delete_pos=None)",
        LSTM_bidi.forward: "(self)",
        LSTM_bidi.backward: "(self, w, sensitivity_class)",
        LSTM_bidi.lrp: "(self, w, LRP_class, eps=0.001, bias_factor=0.0)",
        lrp_linear: "(hin, w, b, hout, Rout, bias_nb_units, eps, bias_factor=0.0, debug=False)",
        html_heatmap: "(words, scores, cmap_name='bwr')",
    }
    for function, expected in parameters.items():
        found = [
            p.replace(annotation=inspect.Parameter.empty)
            for p in inspect.signature(function).parameters.values()
        ]
        assert str(inspect.Signature(found)) == expected


# Changes of the network -------------------------------------------------------------------------


def test_weights_cannot_be_changed_in_place(net):
    net.lrp(W, 0)
    for changed in (net, copy.deepcopy(net), pickle.loads(pickle.dumps(net))):
        for name in random_arrays():
            with pytest.raises(ValueError, match="read-only"):
                getattr(changed, name)[...] = 0


@pytest.mark.parametrize("name", random_arrays())
def test_new_weights_take_effect(net, name):
    arrays, before = random_arrays(), net.lrp(W, 1)[0]
    new = random_arrays(seed=5)[name]
    setattr(net, name, new)
    arrays[name] = new.copy()
    new[:] = 0  # it was copied
    np.testing.assert_array_equal(getattr(net, name), arrays[name])
    Rx, Rx_rev, _ = net.lrp(W, 1)
    expected = lrplstm.lrp(lrplstm.from_arras(arrays), net.E[W], 1)
    assert_close(Rx + Rx_rev, expected.input_relevance)
    assert_states(net, arrays, net.x, net.x_rev)
    if name.endswith("Left"):
        assert not np.allclose(Rx, before)


def test_new_word_vectors_take_effect(net):
    net.lrp([3], 0)
    net.E[3] = np.arange(e)
    net.lrp([3], 0)
    np.testing.assert_array_equal(net.x, [np.arange(e)])
    net.E = np.ones((2, e), "f4")
    net.lrp([1], 0)
    np.testing.assert_array_equal(net.x, np.ones((1, e)), strict=True)
    with refused("w: expected word ids .* from 0 to 1, got 3 at position 0"):
        net.lrp([3], 0)
    net.E[1, 2] = np.nan
    with refused("E: expected finite numbers, got NaN or infinity"):
        net.lrp([1], 0)
    net.E = np.ones((2, e + 1))
    with refused(r"E: expected shape \(V, 5\), got \(2, 6\)"):
        net.lrp([1], 0)


def test_weights_of_another_size_can_be_set_one_by_one(net):
    arrays = golden_arrays("wide")
    for name, array in arrays.items():
        setattr(net, name, array)
    net.E = np.random.default_rng(4).normal(size=(V, 17))
    Rx, Rx_rev, _ = net.lrp(W, 3)
    expected = lrplstm.lrp(lrplstm.from_arras(arrays), net.E[W], 3)
    assert_close(Rx + Rx_rev, expected.input_relevance)


def test_a_constructor_of_one_s_own():
    class Net(LSTM_bidi):
        def __init__(self, arrays, E):
            self.E = E
            for name, array in arrays.items():
                setattr(self, name, array)

    E = np.random.default_rng(3).normal(size=(V, e))
    net = Net(random_arrays(), E)
    net.set_input(W)
    net.forward()
    assert_states(net, random_arrays(), E[W], E[W[::-1]])
    arrays = random_arrays()
    del arrays["bhh_Left"]
    with pytest.raises(AttributeError, match="bhh_Left: expected an array of weights, none was"):
        Net(arrays, E).lrp(W, 0)


def test_copies_explain_the_same(net):
    net.E[3] = 1
    expected = net.lrp(W, 2)
    for same in (copy.copy(net), copy.deepcopy(net), pickle.loads(pickle.dumps(net))):
        np.testing.assert_array_equal(same.s, net.s)
        for found, wanted in zip(same.lrp(W, 2), expected, strict=True):
            np.testing.assert_array_equal(found, wanted)


def test_float32_files_are_computed_in_float64(tmp_path):
    arrays = random_arrays(dtype="f4")
    E = np.random.default_rng(1).normal(size=(V, e))
    net = LSTM_bidi(write(tmp_path, arrays, E))
    Rx = net.lrp(W, 1)[0]
    assert Rx.dtype == net.s.dtype == np.float64
    assert_states(net, {name: a.astype("f8") for name, a in arrays.items()}, E[W], E[W[::-1]])


# What is refused --------------------------------------------------------------------------------


def test_paths(folder, tmp_path_factory, monkeypatch):
    expected = LSTM_bidi(folder).lrp(W, 0)[0]
    for path in (str(folder), f"{folder}/"):
        np.testing.assert_array_equal(LSTM_bidi(path).lrp(W, 0)[0], expected)
    home = tmp_path_factory.mktemp("home")
    shutil.copytree(folder, home / "model")
    monkeypatch.chdir(home)
    np.testing.assert_array_equal(LSTM_bidi().lrp(W, 0)[0], expected)
    monkeypatch.chdir(folder)
    with refused("model: expected a model folder, found a file"):
        LSTM_bidi()
    with refused("model_path: expected the path of a folder, got NoneType", TypeError):
        LSTM_bidi(None)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("model", b"cos\nsystem\n(Vfalse\ntR."),
        ("vocab", b"cos\nsystem\n(Vfalse\ntR."),
        ("vocab", pickle.dumps(["a"])),
        ("vocab", pickle.dumps(["a"] * V)),
        ("model", pickle.dumps(random_arrays() | {"Whh_Left": np.ones((3, 3))})),
        ("model", pickle.dumps({k: v for k, v in random_arrays().items() if k != "Why_Right"})),
        ("embeddings.npy", b"\x93NUMPY"),
    ],
)
def test_damaged_files_are_refused_as_from_arras_does(folder, name, content):
    (folder / name).write_bytes(content)
    with pytest.raises(ValueError, match=str(folder)) as expected:
        lrplstm.from_arras(folder)
    with refused(re.escape(str(expected.value))):
        LSTM_bidi(folder)


def test_word_vectors_that_are_missing(folder):
    (folder / "embeddings.npy").unlink()
    with refused(r"embeddings\.npy: expected a file, found none; pass .* embedding= of from_arras"):
        LSTM_bidi(folder)


@pytest.mark.parametrize("way", ["set_input", "lrp", "backward"])
@pytest.mark.parametrize(
    ("w", "kind", "match"),
    [
        ([], ValueError, "w: expected at least one word id, got none"),
        ([0, V], ValueError, "w: expected word ids .* from 0 to 8, got 9 at position 1"),
        ([0, 1, -1], ValueError, "w: expected word ids .* from 0 to 8, got -1 at position 2"),
        ([2**63], ValueError, "w: expected word ids .* from 0 to 8, got 9223372036854775808"),
        (["word1"], TypeError, r"w: .*net\.voc\.index\(word\)\), got <U5 of shape \(1,\)"),
        ("word1", TypeError, "w: expected a list of word ids .*, got 'word1'"),
        (3, TypeError, "w: expected a list of word ids .*, got 3"),
        (None, TypeError, "w: expected a list of word ids .*, got None"),
        ([1.0], TypeError, r"w: expected a list of word ids .*, got float64 of shape \(1,\)"),
        ([True], TypeError, r"w: expected a list of word ids .*, got bool of shape \(1,\)"),
        ([[1, 2]], TypeError, r"w: expected a list of word ids .*, got int64 of shape \(1, 2\)"),
        ([2**64], TypeError, r"w: expected a list of word ids .*, got object of shape \(1,\)"),
        ([[1], [1, 2]], ValueError, "w: expected rows of one length, got rows of several"),
    ],
)
def test_words_that_are_none(net, way, w, kind, match):
    arguments = () if way == "set_input" else (0,)
    with refused(match, kind):
        getattr(net, way)(w, *arguments)


@pytest.mark.parametrize(
    ("delete_pos", "kind", "match"),
    [
        ([7], ValueError, "delete_pos: expected positions from -7 to 6, got 7 at position 0"),
        ([0, -8], ValueError, "delete_pos: expected positions from -7 to 6, got -8 at position 1"),
        (1, TypeError, "delete_pos: expected a list of positions, got 1"),
        ([0.5], TypeError, "delete_pos: expected a list of positions, got float64 of shape"),
        ([True] * 7, TypeError, "delete_pos: expected a list of positions, got bool of shape"),
        ("1", TypeError, "delete_pos: expected a list of positions, got '1'"),
    ],
)
def test_positions_that_are_none(net, delete_pos, kind, match):
    with refused(match, kind):
        net.set_input(W, delete_pos)


@pytest.mark.parametrize("way", ["lrp", "backward"])
@pytest.mark.parametrize(
    ("target", "kind", "match"),
    [
        (C, ValueError, "class: expected a class from 0 to 2, got 3"),
        (-1, ValueError, "class: expected a class from 0 to 2, got -1"),
        (10**30, ValueError, "class: expected a class from 0 to 2, got 1000"),
        (1.0, TypeError, "class: expected a class, an int, got 1.0"),
        (True, TypeError, "class: expected a class, an int, got True"),
        (None, TypeError, "class: expected a class, an int, got None"),
        ([1], TypeError, r"class: expected a class, an int, got \[1\]"),
    ],
)
def test_classes_that_are_none(net, way, target, kind, match):
    with refused(match, kind):
        getattr(net, way)(W, target)


RULES = [
    ({"eps": -0.1}, ValueError, "eps: expected a number of at least 0, got -0.1"),
    ({"eps": np.nan}, ValueError, "eps: expected a finite number, got nan"),
    ({"eps": "1"}, TypeError, "eps: expected a number, got '1'"),
    ({"eps": None}, TypeError, "eps: expected a number, got None"),
    ({"bias_factor": np.inf}, ValueError, "bias_factor: expected a finite number, got inf"),
    ({"bias_factor": True}, TypeError, "bias_factor: expected a number, got True"),
]


@pytest.mark.parametrize(("options", "kind", "match"), RULES)
def test_rules_that_are_none(net, options, kind, match):
    with refused(match, kind):
        net.lrp(W, 0, **options)
    arguments = (np.ones(2), np.ones((2, 3)), np.ones(3), np.ones(3), np.ones(3), 2)
    with refused(match, kind):
        lrp_linear(*arguments, **{"eps": 0.1} | options)


def test_an_error_leaves_the_last_results(net):
    net.lrp(W, 1)
    x = net.x
    for arguments in (([], 0), (W, 9), (W, 0, -1.0), ([V], 0)):
        with pytest.raises(ValueError, match="expected"):
            net.lrp(*arguments)
    assert net.x is x
    assert_states(net, random_arrays(), net.E[W], net.E[W[::-1]])


@pytest.mark.parametrize(
    ("name", "value", "kind", "match"),
    [
        ("Wxh_Left", np.ones(3), ValueError, r"Wxh_Left: expected shape \(4d, e\), got \(3,\)"),
        ("Why_Right", np.ones((0, 4)), ValueError, r"Why_Right: expected shape \(C, d\), got \(0"),
        ("bhh_Left", [np.nan] * 16, ValueError, "bhh_Left: expected finite numbers, got NaN"),
        ("bhh_Left", ["a"], TypeError, "bhh_Left: expected numbers, got dtype <U1"),
        ("bhh_Left", np.ones(3), ValueError, r"bhh_Left: expected shape \(16,\), got \(3,\)"),
        ("Whh_Right", np.ones((12, 3)), ValueError, r"Wxh_Right: expected shape \(12, input_size"),
        ("Why_Left", np.ones((2, d)), ValueError, "Why_Right: expected 2 rows as Why_Left has, go"),
    ],
)
def test_weights_that_do_not_fit(net, name, value, kind, match):
    with refused(match, kind):
        setattr(net, name, value)
        net.lrp(W, 0)


def test_inputs_that_do_not_fit(net):
    with refused("forward: expected set_input before it", RuntimeError):
        net.forward()
    for name in ("h_Left", "gates_Right"):
        with pytest.raises(AttributeError, match=f"{name}: expected .* before it is read"):
            getattr(net, name)
    with pytest.raises(AttributeError, match="c_Right: expected set_input before it is set"):
        net.c_Right = np.zeros((8, d))
    assert not hasattr(net, "s")
    for name, value, match in (
        ("x", np.ones((6, e)), r"x: expected shape \(7, 5\), got \(6, 5\)"),
        ("x_rev", np.full((7, e), np.inf), "x_rev: expected finite numbers"),
        ("h_Right", np.zeros((7, d)), r"h_Right: expected shape \(8, 4\), got \(7, 4\)"),
        ("c_Left", np.full((8, d), np.nan), "c_Left: expected finite numbers"),
    ):
        net.set_input(W)
        setattr(net, name, value)
        with refused(match):
            net.forward()


# One linear layer -------------------------------------------------------------------------------


def brute_force(hin, w, b, hout, Rout, bias_nb_units, eps, bias_factor):
    Rin = []
    for i in range(len(hin)):
        total = 0.0
        for j in range(len(hout)):
            sign = 1.0 if hout[j] >= 0 else -1.0
            message = hin[i] * w[i][j] + bias_factor * (b[j] + eps * sign) / bias_nb_units
            total += message / (hout[j] + eps * sign) * Rout[j]
        Rin.append(total)
    return Rin


@pytest.mark.parametrize("bias_factor", [0.0, 1.0, -0.3])
def test_lrp_linear_is_its_formula(bias_factor):
    rng = np.random.default_rng(6)
    hin, w, b, Rout = (rng.normal(size=shape) for shape in (4, (4, 3), 3, 3))
    hout = hin @ w + b + rng.normal(size=3)  # something else enters
    hout[1] = 0.0  # whose sign is +1
    arguments = (hin, w, b, hout, Rout, 7, 0.01, bias_factor)
    assert_close(lrp_linear(*arguments), brute_force(*arguments))
    lists = [a.tolist() if isinstance(a, np.ndarray) else a for a in arguments]
    np.testing.assert_array_equal(lrp_linear(*lists), lrp_linear(*arguments))


def test_lrp_linear_says_what_is_lost(capsys):
    rng = np.random.default_rng(7)
    hin, w, b, Rout = (rng.normal(size=shape) for shape in (4, (4, 3), 3, 3))
    for bias_factor, bound in ((1.0, 1e-14), (0.0, np.inf)):
        Rin = lrp_linear(hin, w, b, hin @ w + b, Rout, 4, 0.01, bias_factor, debug=True)
        printed = re.fullmatch(r"local diff:  (\S+)\n", capsys.readouterr().out)
        assert float(printed[1]) == pytest.approx(Rout.sum() - Rin.sum(), rel=1e-12)
        assert abs(float(printed[1])) < bound
    assert abs(float(printed[1])) > 0.01
    lrp_linear(hin, w, b, hin @ w + b, Rout, 4, 0.01, 1.0)
    assert capsys.readouterr().out == ""


def test_lrp_linear_without_a_stabilizer():
    w = np.array([[1.0, 1.0], [2.0, -1.0]])
    Rin = lrp_linear([1.0, 1.0], w, np.zeros(2), [3.0, 0.0], [6.0, 5.0], 2, 0.0, 1.0)
    np.testing.assert_array_equal(Rin, [2.0, 4.0])  # a zero hands nothing on


@pytest.mark.parametrize(
    ("name", "value", "kind", "match"),
    [
        ("hin", np.ones((2, 1)), ValueError, r"hin: expected shape \(D,\), got \(2, 1\)"),
        ("hin", [np.nan, 1], ValueError, "hin: expected finite numbers"),
        ("hin", [], ValueError, r"hin: expected shape \(D,\), got \(0,\)"),
        ("w", np.ones((3, 2)), ValueError, r"w: expected shape \(2, 3\), got \(3, 2\)"),
        ("w", None, TypeError, "w: expected numbers, got dtype object"),
        ("b", 0.0, ValueError, r"b: expected shape \(3,\), got \(\)"),
        ("hout", [1, np.inf, 1], ValueError, "hout: expected finite numbers"),
        ("Rout", np.ones(2), ValueError, r"Rout: expected shape \(3,\), got \(2,\)"),
        ("bias_nb_units", 0, ValueError, "bias_nb_units: expected a positive number, got 0"),
        ("bias_nb_units", np.nan, ValueError, "bias_nb_units: expected a positive number, got nan"),
        ("bias_nb_units", "2", TypeError, "bias_nb_units: expected a number of units, got '2'"),
    ],
)
def test_layers_that_do_not_fit(name, value, kind, match):
    arguments = {
        "hin": np.ones(2),
        "w": np.ones((2, 3)),
        "b": np.ones(3),
        "hout": np.ones(3),
        "Rout": np.ones(3),
        "bias_nb_units": 2,
        "eps": 0.1,
    }
    with refused(match, kind):
        lrp_linear(**arguments | {name: value})


# Heat maps --------------------------------------------------------------------------------------


def colors(html):
    return re.findall(r"background-color:(#[0-9a-f]{6})", html)


def test_html_heatmap():
    html = html_heatmap(["not", "n't", "."], [2.0, -2.0, 0.0])
    assert html == (
        '<span style="background-color:#ff0000">not</span> '
        '<span style="background-color:#0000ff">n\'t</span> '
        '<span style="background-color:#fffefe">.</span> \n'
    )


def test_colours_are_those_of_the_published_notebook():
    """Scores there are printed to two digits: these colours do not hang on the third."""
    scores = [5.01, 0.35, 0.73, 0.92, 1.66, 0.13, 0.66, 0.32]
    found = colors(html_heatmap(["word"] * 8, scores))
    expected = "#ff0000 #ffeeee #ffdada #ffd0d0 #ffaaaa #fff8f8 #ffdede #ffeeee".split()
    assert found == expected
    scores = [2.00, -1.58, -1.54, -0.04, -0.06, -0.12]
    found = colors(html_heatmap(["word"] * 6, scores))
    assert found == "#ff0000 #3434ff #3a3aff #fafaff #f8f8ff #f0f0ff".split()


def test_zeros_have_the_middle_colour():
    middle = colors(html_heatmap(["a"], [0.0]))
    assert colors(html_heatmap(["a", "b"], np.zeros(2))) == middle * 2
    assert colors(html_heatmap(["a", "b", "c"], [-1, 0, 3]))[1:2] == middle
    assert compat.rescale_score_by_abs(0, 0, 0) == 0.5


@pytest.mark.parametrize("scale", [1.0, 1e-310, 1e308])
def test_the_scale_does_not_matter(scale):
    found = [compat.rescale_score_by_abs(s * scale, 2 / 4 * scale, -scale) for s in (0.5, -1, 0)]
    assert found == pytest.approx([0.75, 0.0, 0.5], rel=1e-9)


def test_other_colormaps():
    assert colors(html_heatmap(["a", "b"], [1, -1], "gray")) == ["#ffffff", "#000000"]
    with refused("cmap_name: expected the name of a colormap of matplotlib, got 'bw'"):
        html_heatmap(["a"], [1], "bw")
    with refused("cmap_name: expected str, got NoneType", TypeError):
        html_heatmap(["a"], [1], None)


def test_words_are_escaped():
    html = html_heatmap(["<script>alert(1)</script>", "a&b", "\x1b[31m\u202e"], [1, 2, 3])
    assert "<script" not in html
    assert "&lt;script&gt;alert(1)&lt;/script&gt;</span>" in html
    assert ">a&amp;b</span>" in html
    assert r">\x1b[31m\u202e</span>" in html


@pytest.mark.parametrize(
    ("words", "scores", "kind", "match"),
    [
        ("word", [1], TypeError, "words: expected a sequence of str, got str"),
        (["a", 1], [1, 2], TypeError, r"words\[1\]: expected str, got int"),
        ([], [], ValueError, "words: expected at least one word, got none"),
        (["a"], [1, 2], ValueError, r"scores: expected shape \(1,\), got \(2,\)"),
        (["a"], 1, ValueError, r"scores: expected shape \(1,\), got \(\)"),
        (["a"], [np.nan], ValueError, "scores: expected finite numbers, got NaN or infinity"),
        (["a"], ["1"], TypeError, "scores: expected numbers, got dtype <U1"),
    ],
)
def test_heat_maps_of_nothing(words, scores, kind, match):
    with refused(match, kind):
        html_heatmap(words, scores)


# Whole scripts ----------------------------------------------------------------------------------

SCRIPT = """
from lrplstm.compat import *

net = LSTM_bidi()
words = "word3 word0 word8 word3".split()
w_indices = [net.voc.index(w) for w in words]

Rx, Rx_rev, R_rest = net.lrp(w_indices, 2, 0.001, 0.0)
R_words = np.sum(Rx + Rx_rev, axis=1)
scores = net.s.copy()
print("{:8.2f}".format(R_words[0]), words[0])
html = html_heatmap(words, R_words)

Rx, Rx_rev, R_rest = net.lrp(w_indices, 2, 0.001, 1.0)
R_tot = Rx.sum() + Rx_rev.sum() + R_rest.sum()
passed = np.allclose(R_tot, net.s[2])

Gx, Gx_rev = net.backward(w_indices, 2)
G_words = (np.linalg.norm(Gx + Gx_rev, ord=2, axis=1)) ** 2
GI_words = ((Gx + Gx_rev) * net.x).sum(axis=1)

drops = []
for pos in range(len(words)):
    net.set_input(w_indices, delete_pos=[pos])
    drops.append(scores[2] - net.forward()[2])
"""


def test_a_script_of_2017(folder, tmp_path_factory, monkeypatch):
    home = tmp_path_factory.mktemp("home")
    shutil.copytree(folder, home / "model")
    monkeypatch.chdir(home)
    names = {}
    exec(compile(SCRIPT, "script.py", "exec"), names)

    model, words = lrplstm.from_arras(folder), names["words"]
    assert_close(names["R_words"], lrplstm.lrp(model, words, 2).token_relevance)
    assert names["passed"]
    assert len(colors(names["html"])) == 4
    assert_close(names["scores"], model.predict(words))
    assert_close(names["G_words"], lrplstm.sensitivity(model, words, 2).token_relevance)
    assert_close(names["GI_words"], lrplstm.gradient_x_input(model, words, 2).token_relevance)
    x = np.repeat(model.embedding[[3, 0, 8, 3]][np.newaxis], 4, axis=0)
    x[np.arange(4), np.arange(4)] = 0
    assert_close(names["drops"], model.predict(words)[2] - model.predict(x)[:, 2])


@needs_treebank
def test_the_2017_weights(tmp_path):
    for name in ("model", "vocab"):
        shutil.copy(treebank_file("arras_model") / name, tmp_path)
    np.save(tmp_path / "embeddings.npy", np.random.default_rng(0).normal(0, 0.3, (19538, 60)))
    net, model = LSTM_bidi(tmp_path), lrplstm.from_arras(tmp_path)
    words = ["the", "rock", "is", "destined"]
    for target in range(5):
        Rx, Rx_rev, R_rest = net.lrp([net.voc.index(word) for word in words], target)
        expected = lrplstm.lrp(model, words, target, level="input")
        assert_close(Rx + Rx_rev, expected.input_relevance, 1e-12)
        assert R_rest == pytest.approx(expected.initial_relevance, rel=1e-12)
