"""What errors and warnings say of arguments is in their fields, too."""

import copy
import pickle
import warnings

import numpy as np
import pytest
from safetensors.numpy import save_file

import lrplstm
from lrplstm.errors import (
    ArgumentError,
    ArgumentTypeError,
    AssumptionWarning,
    Element,
    MissingArgumentError,
    Spelling,
    UnknownTokenError,
)


class Options(Spelling):
    """Arguments as a command line has them."""

    def argument(self, name):
        return f"line {name.position}" if isinstance(name, Element) else f"--{name}"

    def option(self, name, value=None):
        return f"--{name}" if value is None else f"--{name} {value}"


def raised(*arguments, **options):
    with pytest.raises((TypeError, ValueError)) as error:
        lrplstm.lrp(lrplstm.load_default(), *arguments, **options)
    return error.value


def test_an_error_has_the_argument_and_the_sequence_in_fields():
    error = raised(["a", "fine"], epsilon=-1)
    assert type(error) is ArgumentError
    assert error.name == "epsilon"
    assert str(error) == "epsilon: expected a number of at least 0, got -1.0"
    error = raised([["a"], ["fine", None]])
    assert isinstance(error, ArgumentTypeError)
    assert isinstance(error, TypeError)
    assert (error.name, error.name.argument, error.name.position) == ("inputs[1]", "inputs", 1)


def test_a_token_that_is_lacking():
    error = raised([["a"], ["fine", "qwzx"]], unknown="error")
    assert type(error) is UnknownTokenError
    assert (error.token, error.position, error.name.position) == ("qwzx", 1, 1)
    assert str(error).startswith("inputs[1]: token 'qwzx' at position 1 is not in the vocabulary")
    assert "choose with unknown= what to do" in str(error)
    assert error.spelled(Options()).startswith("line 1: token 'qwzx' at position 1 is not")
    assert "choose with --unknown what to do" in error.spelled(Options())


def weights(folder, rng, lstms):
    """Write the state dict of LSTMs of four inputs and three units."""
    arrays = {}
    for name in lstms:
        shapes = {"weight_ih_l0": (12, 4), "weight_hh_l0": (12, 3), "bias_ih_l0": 12}
        shapes |= {"bias_hh_l0": 12}
        for key, shape in shapes.items():
            arrays[f"{name}.{key}"] = rng.normal(size=shape).astype(np.float32)
    save_file(arrays, folder / "model.safetensors")
    return folder / "model.safetensors"


def test_what_is_assumed_and_what_is_missing(tmp_path):
    rng = np.random.default_rng(3)
    with pytest.warns(AssumptionWarning) as seen:
        lrplstm.from_torch(weights(tmp_path, rng, ["rnn"]))
    warning = seen[0].message
    assert warning.given == {"pooling": "last"}
    assert "if it is so, pass pooling='last'; " in str(warning)
    assert "if it is so, pass --pooling last; " in warning.spelled(Options())
    with pytest.raises(
        MissingArgumentError, match=r"model\.safetensors: source: expected"
    ) as error:
        lrplstm.from_torch(weights(tmp_path, rng, ["first", "second"]))
    assert error.value.arguments == ["lstm"]


def test_copies_are_the_same():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for error in (
            ArgumentTypeError(Element("inputs", 3), "expected something"),
            UnknownTokenError(Element("inputs", 3), "qwzx", 5),
            MissingArgumentError("source: expected one", ["lstm"]),
            AssumptionWarning("weights alone", ["no head"], {"head": ["a"]}, "say it"),
        ):
            for other in (pickle.loads(pickle.dumps(error)), copy.copy(error)):
                assert type(other) is type(error)
                assert str(other) == str(error)
                assert vars(other) == vars(error)
            if hasattr(error, "name") and isinstance(error.name, Element):
                assert other.name.position == 3
