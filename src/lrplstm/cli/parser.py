"""The command line's words: commands, options and their help."""

from __future__ import annotations

import argparse
from typing import Any, NoReturn

import lrplstm
from lrplstm import _backend
from lrplstm.cli.commands import convert, explain, info, predict
from lrplstm.cli.inputs import STDOUT
from lrplstm.methods import ALIASES, METHODS
from lrplstm.network import POOLINGS
from lrplstm.tokenizers import TOKENIZERS

__all__ = ["make_parser"]

_MODEL_HELP = (
    "the model: a folder that LSTMModel.save or `lrplstm convert` wrote, or one in the format of "
    "the 2017 reference code; a .keras, .h5, .hdf5 or .onnx file; or a PyTorch state dict, "
    ".safetensors, .pt, .pth, .bin or .ckpt (default: the model shipped)"
)


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        """Say what is wrong in one line, without the usage before it."""
        self.exit(2, f"{self.prog}: error: {message} (see {self.prog} --help)\n")


def _path(text: str) -> str:
    if not text:
        raise argparse.ArgumentTypeError("expected a path, got nothing")
    return text


def _positive(text: str) -> int:
    if not (text.isascii() and text.isdigit()) or int(text) < 1:
        raise argparse.ArgumentTypeError(f"expected a number from 1, got {text!r:.60}")
    return int(text)


def make_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line; `run` of what it parses does the command."""
    parser = _Parser(
        prog="lrplstm",
        description="Explain what an LSTM decided, word by word.",
    )
    parser.add_argument("--version", action="version", version=f"lrplstm {lrplstm.__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    shared = _Parser(add_help=False)
    shared.add_argument("text", nargs="?", metavar="TEXT", help="one text")
    shared.add_argument(
        "--file",
        type=_path,
        metavar="FILE",
        help="many texts, one a line; or, if the first line is one, lines of "
        "LABEL<tab>word | word | word; - for standard input",
    )
    shared.add_argument(
        "--series",
        type=_path,
        metavar="FILE",
        help="numbers instead of a text: a .npy file of shape (steps, variables) or (series, "
        "steps, variables), or a .csv file with a line a step, the first of which may name the "
        "variables",
    )
    shared.add_argument("--model", type=_path, metavar="MODEL", help=_MODEL_HELP)
    shared.add_argument(
        "--tokenized",
        action="store_true",
        help="take the text's words, separated by spaces, as they are",
    )
    shared.add_argument(
        "--ids", action="store_true", help="take the text as token ids, separated by spaces"
    )
    shared.add_argument(
        "--unknown",
        choices=["error", "unk", "zero"],
        help="words that the model does not know: an error, its unknown token, or a zero vector "
        "(default: unk if the model has an unknown token, else error)",
    )
    shared.add_argument(
        "--json",
        type=_path,
        nargs="?",
        const=STDOUT,
        metavar="FILE",
        help="write JSON, one object a line for each text, to FILE or to standard output",
    )
    shared.add_argument("--backend", choices=list(_backend.BACKENDS), default="auto")
    shared.add_argument(
        "--threads", type=_positive, metavar="N", help="threads to use (default: all processors)"
    )

    explaining = commands.add_parser(
        "explain",
        parents=[shared],
        help="colour words by how much they speak for a class",
        description="Colour words by how much they speak for (red) or against (blue) a class; with "
        "--method sa by how much the class' score changes with them.",
    )
    explaining.add_argument(
        "--method",
        choices=[*METHODS, *ALIASES],
        default="lrp",
        help="lrp: layer-wise relevance propagation; sa: sensitivity analysis; gi: gradient x "
        "input (default: lrp)",
    )
    explaining.add_argument(
        "--target",
        metavar="CLASS",
        help="class to explain, by number from 0 or by name; all; or weights of the scores as in "
        "--target=-1,0,0,0,1; of a model with scores at every step also STEP:CLASS (default: the "
        "predicted class)",
    )
    explaining.add_argument("--epsilon", type=float, help="stabilizer of lrp (default: 0.001)")
    explaining.add_argument(
        "--bias-factor", type=float, help="part of biases that lrp hands on (default: 0)"
    )
    explaining.add_argument(
        "--epsilon-factor",
        type=float,
        help="the same for the stabilizer (default: as --bias-factor)",
    )
    explaining.add_argument("--html", type=_path, metavar="FILE", help="write a page")
    explaining.add_argument("--png", type=_path, metavar="FILE", help="write a picture")
    explaining.add_argument(
        "--color",
        choices=["auto", "always", "never"],
        default="auto",
        help="colours in the terminal (default: auto)",
    )
    explaining.set_defaults(run=explain)

    predicting = commands.add_parser(
        "predict", parents=[shared], help="show the class and scores of texts"
    )
    predicting.set_defaults(run=predict)

    informing = commands.add_parser("info", help="show version, backend and model")
    which = informing.add_mutually_exclusive_group()
    which.add_argument("path", type=_path, nargs="?", metavar="MODEL", help=_MODEL_HELP)
    which.add_argument("--model", type=_path, metavar="MODEL", help="the same")
    informing.set_defaults(run=info)
    _add_convert(commands)
    return parser


def _add_convert(commands: Any) -> None:
    converting = commands.add_parser(
        "convert",
        help="write a model of another format as a folder of this package's own",
        description="Write a model of another format as a folder of this package's own: "
        "config.json, weights.safetensors and vocab.txt. What a file cannot say itself is said "
        "with options.",
    )
    converting.add_argument("source", type=_path, metavar="IN", help=_MODEL_HELP.partition(" (")[0])
    converting.add_argument(
        "folder", type=_path, metavar="OUT", help="the folder, made where it does not exist"
    )
    converting.add_argument(
        "--lstm",
        metavar="NAME,NAME",
        help="what the LSTM is called in IN; several that follow each other, first layer first",
    )
    head = converting.add_mutually_exclusive_group()
    head.add_argument(
        "--head", metavar="NAME,NAME", help="what the head is called, or its layers in their order"
    )
    head.add_argument(
        "--no-head",
        dest="head",
        action="store_const",
        const=False,
        help="there is none: the scores are the hidden state",
    )
    embedding = converting.add_mutually_exclusive_group()
    embedding.add_argument("--embedding", metavar="NAME", help="what the embedding is called")
    embedding.add_argument(
        "--no-embedding",
        dest="embedding",
        action="store_const",
        const=False,
        help="there is none: the LSTM reads numbers",
    )
    converting.add_argument("--output", metavar="NAME", help="the graph's output that is explained")
    converting.add_argument(
        "--activations",
        metavar="NAME,NAME",
        help="of the head's layers in a PyTorch state dict: linear, relu or tanh",
    )
    converting.add_argument(
        "--config", type=_path, metavar="FILE", help="JSON of a Keras model, for its weights alone"
    )
    converting.add_argument("--merge-mode", help="how Keras merges two directions")
    converting.add_argument(
        "--mask-zero",
        action=argparse.BooleanOptionalAction,
        help="whether id 0 is padding (Keras)",
    )
    converting.add_argument("--recurrent-activation", help="activation of the gates (Keras)")
    converting.add_argument(
        "--dense-activations", metavar="NAME,NAME", help="of the Dense layers (Keras)"
    )
    converting.add_argument("--pooling", choices=POOLINGS, help="what the head reads of the LSTM")
    converting.add_argument(
        "--vocabulary", type=_path, metavar="FILE", help="tokens of the ids, one a line"
    )
    converting.add_argument(
        "--class-names", metavar="NAME,NAME", help="what the classes are called"
    )
    converting.add_argument(
        "--unknown-token", metavar="TOKEN", help="token that stands for all that are not known"
    )
    converting.add_argument("--tokenizer", choices=TOKENIZERS, help="what makes tokens of a text")
    converting.set_defaults(run=convert)
