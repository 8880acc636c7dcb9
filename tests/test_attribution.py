"""What comes back: fields, shapes, dtypes, ownership, and how it shows itself."""

from __future__ import annotations

import json

import numpy as np
import pytest
from random_models import random_batch, random_model

import lrplstm

VOCABULARY = ["<unk>", "a", "fine", "film"]
MODEL = random_model(vocabulary=VOCABULARY, class_names=["bad", "fair", "good"])
TOKENS = [["a", "fine", "odd", "film"], ["film"], ["fine", "film"]]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("method", lrplstm.METHODS)
def test_fields_of_one_sequence(dtype, method):
    model = MODEL.astype(dtype)
    a = lrplstm.explain(model, TOKENS[0], method, 2, level="input")
    assert a.tokens == TOKENS[0]
    assert a.unknown.tolist() == [False, False, True, False]
    assert a.scores.shape == (3,)
    assert (a.scores == model.predict(TOKENS[0])).all()
    assert isinstance(a.predicted, int)
    assert a.predicted == a.scores.argmax()
    assert a.target == 2
    assert a.token_relevance.shape == (4,)
    assert a.input_relevance.shape == (4, 5)
    assert isinstance(a.initial_relevance, float)
    assert isinstance(a.delta, float)
    assert a.method == method
    assert len(a) == 4
    for array in (a.scores, a.token_relevance, a.input_relevance):
        assert array.dtype == dtype


@pytest.mark.parametrize("method", lrplstm.METHODS)
def test_fields_of_a_batch_for_every_class(method):
    found = lrplstm.explain(MODEL, TOKENS, method, "all", level="input")
    assert found.offsets.tolist() == [0, 4, 5, 7]
    assert found.scores.shape == (3, 3)
    assert found.predicted.shape == (3,)
    assert found.target == "all"
    assert found.token_relevance.shape == (3, 7)
    assert found.input_relevance.shape == (3, 7, 5)
    assert found.initial_relevance.shape == found.delta.shape == (3, 3)
    a = found[-1]
    assert a.target == "all"
    assert a.token_relevance.shape == (3, 2)
    assert a.input_relevance.shape == (3, 2, 5)
    assert a.initial_relevance.shape == a.delta.shape == (3,)
    assert (a.token_relevance == found.token_relevance[:, 5:]).all()
    assert (a.delta == found.delta[:, 2]).all()


def test_attributions_are_a_sequence():
    found = lrplstm.lrp(MODEL, TOKENS)
    assert len(found) == 3
    assert [a.tokens for a in found] == TOKENS
    assert [a.tokens for a in found[1:]] == TOKENS[1:]
    assert found[-3].tokens == TOKENS[0]
    with pytest.raises(IndexError, match=r"^expected one of \d+ sequences, got -?\d+$"):
        found[3]
    with pytest.raises(TypeError):
        found["0"]
    bulk = np.concatenate([a.token_relevance for a in found])
    assert (bulk == found.token_relevance).all()
    assert [a.delta for a in found] == found.delta.tolist()


@pytest.mark.parametrize("method", lrplstm.METHODS)
@pytest.mark.parametrize("target", [None, 1, "all", [0.5, -1.0, 2.0]], ids=repr)
def test_method_target_and_params_make_it_again(method, target):
    options = {"bias_factor": 0.3, "epsilon": 0.01} if method == "lrp" else {}
    a = lrplstm.explain(MODEL, TOKENS[0], method, target, **options)
    again = lrplstm.explain(MODEL, TOKENS[0], a.method, a.target, **a.params)
    assert (again.token_relevance == a.token_relevance).all()
    assert again.params == a.params


def test_hidden_relevance_is_part_of_params():
    hidden = random_batch(5, D=8, lengths=(4, 1, 2))
    batch = lrplstm.lrp(MODEL, TOKENS, hidden_relevance=hidden)
    again = lrplstm.explain(MODEL, TOKENS, batch.method, batch.target, **batch.params)
    assert (again.token_relevance == batch.token_relevance).all()
    for a, tokens in zip(lrplstm.lrp(MODEL, TOKENS, hidden_relevance=hidden), TOKENS, strict=True):
        again = lrplstm.explain(MODEL, tokens, a.method, a.target, **a.params)
        np.testing.assert_allclose(again.token_relevance, a.token_relevance, rtol=1e-12)


@pytest.mark.parametrize("inputs", [TOKENS[0], TOKENS])
def test_results_are_the_callers_own(inputs):
    """Writing to any array of a result changes neither the model nor another result."""
    first = lrplstm.lrp(MODEL, inputs, [0.5, 0.0, 1.0], level="input")
    names = ("scores", "token_relevance", "input_relevance", "unknown", "target")
    expected = {name: getattr(first, name).copy() for name in names}
    second = lrplstm.lrp(MODEL, inputs, [0.5, 0.0, 1.0], level="input")
    one = second if isinstance(second, lrplstm.Attribution) else second[0]
    for result in (second, one):
        for name in names:
            array = getattr(result, name)
            assert array.flags.writeable
            array[...] = 7
    third = lrplstm.lrp(MODEL, inputs, [0.5, 0.0, 1.0], level="input")
    for result in (first, third):
        for name in names:
            assert (getattr(result, name) == expected[name]).all()


def test_an_item_is_not_a_view_of_the_batch():
    found = lrplstm.lrp(MODEL, TOKENS, level="input")
    before = found.token_relevance.copy(), found.input_relevance.copy(), found.scores.copy()
    item = found[0]
    item.token_relevance[:] = item.input_relevance[:] = item.scores[:] = 0
    item.tokens[0] = "changed"
    after = found.token_relevance, found.input_relevance, found.scores
    for old, new in zip(before, after, strict=True):
        assert (old == new).all()
    assert found[0].tokens == TOKENS[0]


# How it shows itself ----------------------------------------------------------------------------


def test_html_has_words_classes_and_marks(recwarn):
    a = lrplstm.lrp(MODEL, TOKENS[0], 0)
    html = a.to_html()
    assert html in a._repr_html_()
    assert all(word in html for word in TOKENS[0])
    assert "bad" in html
    assert "vocabulary" in html


def test_text_forms():
    a = lrplstm.lrp(MODEL, TOKENS[0], 0)
    assert repr(a) == f"Attribution(method='lrp', target=0, predicted={a.predicted}, 4 steps)"
    assert all(word in str(a) for word in TOKENS[0])
    assert "\n" in str(lrplstm.lrp(MODEL, TOKENS))
    assert repr(lrplstm.lrp(MODEL, TOKENS)) == "Attributions(method='lrp', 3 sequences, 7 steps)"


def test_str_is_coloured_in_a_terminal_unless_the_user_wants_no_colours(monkeypatch):
    a = lrplstm.lrp(MODEL, TOKENS[0], 0)
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    assert "\x1b" not in str(a), "no terminal"
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    assert "\x1b[" in str(a)
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b" not in str(a)


def test_captions_name_what_was_explained():
    explain = lambda target: lrplstm.lrp(MODEL, TOKENS[0], target).caption  # noqa: E731
    predicted = lrplstm.lrp(MODEL, TOKENS[0]).predicted
    other = (predicted + 1) % 3
    assert explain(predicted).startswith(f"lrp: {MODEL.class_names[predicted]} (predicted); scores")
    assert f"predicted: {MODEL.class_names[predicted]}" in explain(other)
    assert all(f"{name} " in explain(2) for name in MODEL.class_names)
    assert "every class" in explain("all")
    assert "weighted by 0.5, 0.1, 0.2" in explain([0.5, 0.1, 0.2])
    hidden = np.ones((4, 8))
    assert "hidden" in lrplstm.lrp(MODEL, TOKENS[0], hidden_relevance=hidden).caption
    assert "lrp: 2" in lrplstm.lrp(random_model(), random_batch()[0], 2).caption
    wide = lrplstm.lrp(random_model(C=11), random_batch()[0], 2)
    assert wide.caption.endswith(f"its score: {wide.scores.max():.3g}")


def test_steps_without_tokens_are_numbered():
    a = lrplstm.lrp(random_model(), random_batch()[0], "all")
    assert a.words == ["t=0", "t=1", "t=2"]
    assert a.row_labels == ["0", "1", "2"]
    assert "t=2" in a.to_html()


def test_plot():
    import matplotlib as mpl

    mpl.use("agg")
    from matplotlib.figure import Figure

    ax = Figure().add_subplot()
    a = lrplstm.lrp(MODEL, TOKENS[0])
    assert a.plot(ax=ax) is ax
    assert ax.get_title(loc="left").replace("\n", " ") == a.title
    boxes = ax.artists[0].get_children()[0].get_facecolors()[:4, :3]  # of the words, in order
    redder = boxes[:, 0] - boxes[:, 2]
    assert (np.sign(redder) == np.sign(a.token_relevance)).all()


@pytest.mark.parametrize("target", [None, "all", [0.5, 1.0, 2.0]], ids=repr)
def test_to_dict_is_json(target):
    a = lrplstm.lrp(MODEL, TOKENS[0], target, level="input")
    loaded = json.loads(json.dumps(a.to_dict()))
    assert loaded["tokens"] == TOKENS[0]
    assert loaded["unknown"] == [False, False, True, False]
    assert np.array(loaded["input_relevance"]).tolist() == a.input_relevance.tolist()
    assert loaded["delta"] == (a.delta.tolist() if target == "all" else a.delta)
    assert loaded["class_names"] == ["bad", "fair", "good"]


def test_sensitivity_speaks_neither_for_nor_against():
    assert "speaks for" in lrplstm.lrp(MODEL, TOKENS[0]).to_html()
    html = lrplstm.sensitivity(MODEL, TOKENS[0]).to_html()
    assert "speaks" not in html
    assert "sensitive" in html


def test_a_series_is_printed_with_its_largest_variables_and_steps():
    model = random_model(9, D=8, dtype=np.float32)
    (x,) = random_batch(lengths=(12,), D=8)
    a = lrplstm.lrp(model, x, "all")
    blocks = str(a).split("all 8 variables")
    assert len(blocks) == 4
    for k, block in enumerate(blocks[:3]):
        R = a.input_relevance[k]
        shown = [line.split()[1] for line in block.splitlines() if line.startswith("variable")]
        assert shown == [str(d) for d in np.sort(np.abs(R).sum(axis=0).argsort()[-6:])]
        first = next(line for line in block.splitlines() if line.startswith("variable"))
        assert float(first.split()[-1]) == pytest.approx(R[:, int(shown[0])].sum(), rel=1e-2)
    assert str(a).splitlines()[-3:] == a.balance.lines()[1:]
    named = a.to_terminal(variables=list("abcdefgh"), steps=[f"d{t}" for t in range(12)])
    assert "\nh " in named
    assert " d11 " in named
    assert max(map(len, a.to_terminal(width=40).splitlines())) <= 50
