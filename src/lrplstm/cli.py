"""The command `lrplstm`: explain and predict text, and tell what is installed."""

from __future__ import annotations

import argparse
import io
import json
import os
import re
import shutil
import sys
import textwrap
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

import lrplstm
from lrplstm import _backend, heatmap
from lrplstm.attribution import Attribution
from lrplstm.methods import ALIASES, METHODS
from lrplstm.model import LSTMModel
from lrplstm.sentences import parse_sentences
from lrplstm.tokenizers import tokenize
from lrplstm.weights import Array

__all__ = ["main"]

_STDIN = _STDOUT = "-"

_MODEL_HELP = (
    "folder of a model that LSTMModel.save wrote, or of one in the format of the 2017 reference "
    "code (default: the model shipped)"
)


class _InputError(Exception):
    """Something the user gave cannot be used; its text is the one line to show."""


# The command line -------------------------------------------------------------------------------


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


def _parser() -> argparse.ArgumentParser:
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
    shared.add_argument("--model", type=_path, metavar="DIR", help=_MODEL_HELP)
    shared.add_argument(
        "--tokenized",
        action="store_true",
        help="take the text's words, separated by spaces, as they are",
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
        const=_STDOUT,
        metavar="FILE",
        help="write JSON, one object a line for each text, to FILE or to standard output",
    )
    shared.add_argument("--backend", choices=list(_backend.BACKENDS), default="auto")
    shared.add_argument(
        "--threads", type=_positive, metavar="N", help="threads to use (default: all processors)"
    )

    explain = commands.add_parser(
        "explain",
        parents=[shared],
        help="colour words by how much they speak for a class",
        description="Colour words by how much they speak for (red) or against (blue) a class; with "
        "--method sa by how much the class' score changes with them.",
    )
    explain.add_argument(
        "--method",
        choices=[*METHODS, *ALIASES],
        default="lrp",
        help="lrp: layer-wise relevance propagation; sa: sensitivity analysis; gi: gradient x "
        "input (default: lrp)",
    )
    explain.add_argument(
        "--target",
        metavar="CLASS",
        help="class to explain, by number from 0 or by name; all; or weights of the scores as in "
        "--target=-1,0,0,0,1 (default: the predicted class)",
    )
    explain.add_argument("--epsilon", type=float, help="stabilizer of lrp (default: 0.001)")
    explain.add_argument(
        "--bias-factor", type=float, help="part of biases that lrp hands on (default: 0)"
    )
    explain.add_argument(
        "--epsilon-factor",
        type=float,
        help="the same for the stabilizer (default: as --bias-factor)",
    )
    explain.add_argument("--html", type=_path, metavar="FILE", help="write a page")
    explain.add_argument("--png", type=_path, metavar="FILE", help="write a picture")
    explain.add_argument(
        "--color",
        choices=["auto", "always", "never"],
        default="auto",
        help="colours in the terminal (default: auto)",
    )
    explain.set_defaults(run=_explain)

    predict = commands.add_parser(
        "predict", parents=[shared], help="show the class and scores of texts"
    )
    predict.set_defaults(run=_predict)

    info = commands.add_parser("info", help="show version, backend and model")
    info.add_argument("--model", type=_path, metavar="DIR", help=_MODEL_HELP)
    info.set_defaults(run=_info)
    return parser


def _prepare_streams() -> None:
    """Make standard output and error take whatever is written to them."""
    # They are None where the caller has closed them.
    if sys.stdout is None:
        sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        # A terminal that cannot show a character gets an escape, not an error.
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit status."""
    _prepare_streams()
    options = _parser().parse_args(arguments)
    try:
        options.run(options)
        sys.stdout.flush()
    except (_InputError, ValueError, TypeError, ImportError, MemoryError) as error:
        text = str(error) or type(error).__name__
        print(f"lrplstm: error: {heatmap.visible(text)}", file=sys.stderr)
        return 1
    except BrokenPipeError:
        # The reader has gone, as with `| head`; nothing more can be written, not even at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        text = heatmap.visible(f"{where}{error.strerror or error}")
        print(f"lrplstm: error: {text}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


# What to explain --------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Text:
    name: str  # what errors call it
    tokens: list[str]
    label: int | None = None  # counted from 0, as classes are


def _load_model(options: argparse.Namespace) -> LSTMModel:
    if options.model is None:
        return lrplstm.load_default()
    folder = Path(options.model)
    if (folder / "model").is_file() and not (folder / "config.json").exists():
        return lrplstm.from_arras(folder)
    return lrplstm.load(folder)


def _texts(options: argparse.Namespace, model: LSTMModel) -> list[_Text]:
    if (
        options.text is None
        and options.file is None
        and options.json not in (None, _STDOUT)
        and not options.json.endswith(".json")
    ):
        # `--json TEXT`: what looks like the option's file is the only text there is.
        options.text, options.json = options.json, _STDOUT
    if (options.text is None) == (options.file is None):
        raise _InputError("expected either a text or --file")
    if options.text is not None:
        # Bytes of the command line that are no UTF-8 arrive as lone surrogates.
        text = options.text.encode(errors="surrogateescape").decode(errors="replace")
        return [_Text("text", _tokenize(text, "text", options, model))]
    return _texts_of_file(options, model)


def _texts_of_file(options: argparse.Namespace, model: LSTMModel) -> list[_Text]:
    if options.file == _STDIN:
        if sys.stdin is None:
            raise _InputError("standard input is closed")
        name, content = "standard input", sys.stdin.buffer.read()
    else:
        name, content = options.file, Path(options.file).read_bytes()
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise _InputError(
            f"{name}: expected UTF-8 text, got something else at byte {error.start}"
        ) from None
    lines = [(n, line) for n, line in enumerate(text.split("\n"), start=1) if line.strip()]
    if not lines:
        raise _InputError(f"{name}: expected texts, found none")
    label, tab, _ = lines[0][1].partition("\t")
    if not tab or not label.isdigit():
        return [
            _Text(f"{name}: line {n}", _tokenize(line, f"{name}: line {n}", options, model))
            for n, line in lines
        ]
    texts = []
    for n, sentence in enumerate(parse_sentences(text, name), start=1):
        if sentence.label > model.num_classes:
            raise _InputError(
                f"{name}: sentence {n}: expected a label from 1 to {model.num_classes}, got "
                f"{sentence.label}"
            )
        texts.append(_Text(f"{name}: sentence {n}", list(sentence.tokens), sentence.target))
    return texts


@contextmanager
def _naming(texts: list[_Text]) -> Iterator[None]:
    """Let errors of the batch's inputs name the text that the user gave."""
    try:
        yield
    except (TypeError, ValueError) as error:
        position = re.match(r"inputs\[(\d+)\](.*)", str(error), flags=re.DOTALL)
        if position is None:
            raise
        raise _InputError(f"{texts[int(position[1])].name}{position[2]}") from None


def _tokenize(text: str, name: str, options: argparse.Namespace, model: LSTMModel) -> list[str]:
    if options.tokenized:
        # Not split(): a token may well contain another kind of space.
        tokens = [token for token in text.removesuffix("\r").split(" ") if token.strip()]
    elif model.tokenizer is None:
        raise _InputError("the model names no tokenizer; pass --tokenized")
    else:
        tokens = tokenize(text, model.tokenizer)
    if not tokens:
        raise _InputError(f"{name}: expected at least one word, got none")
    return tokens


def _target(given: str | None, model: LSTMModel) -> Any:
    if given is None or given == "all":
        return given
    if model.class_names is not None and given in model.class_names:
        return model.class_names.index(given)
    try:
        if "_" in given:  # which Python's numbers may contain
            raise ValueError
        if "," in given:
            return np.array([float(weight) for weight in given.split(",")])
        return int(given)
    except ValueError:
        names = "" if model.class_names is None else f", one of {', '.join(model.class_names)}"
        raise _InputError(
            f"--target: expected a class from 0 to {model.num_classes - 1}{names}, weights, or "
            f"all; got {given!r:.60}"
        ) from None


def _name(model: LSTMModel, index: int) -> str:
    """Return the name of a class; its number where it has none."""
    names = model.class_names or ()
    return heatmap.visible(names[index]) if index < len(names) else str(index)


def _scores(model: LSTMModel, scores: Array) -> str:
    return ", ".join(f"{_name(model, c)} {score:.3f}" for c, score in enumerate(scores))


def _wrapped(text: str, width: int | None) -> str:
    """Break a text into lines, between its words; None: one line."""
    if width is None:
        return text
    return textwrap.fill(text, width, break_long_words=False, break_on_hyphens=False)


def _accuracy_line(texts: list[_Text], predicted: Array) -> str | None:
    if texts[0].label is None:
        return None
    right = sum(int(p) == text.label for text, p in zip(texts, predicted, strict=True))
    return f"accuracy: {right} of {len(texts)} ({right / len(texts):.1%})"


def _json_lines(objects: list[dict[str, Any]]) -> bytes:
    try:
        lines = [json.dumps(o, ensure_ascii=False, allow_nan=False) + "\n" for o in objects]
    except ValueError:
        raise _InputError(
            "--json: a number is too large to be written: relevance overflowed"
        ) from None
    return "".join(lines).encode()


def _png(attributions: lrplstm.Attributions) -> bytes:
    file = io.BytesIO()
    try:
        heatmap.save_png(file, [attribution.to_panel() for attribution in attributions])
    except ValueError as error:
        raise _InputError(f"--png: {error}") from None
    return file.getvalue()


def _write(outputs: dict[str, bytes]) -> None:
    """Write what was made, when all of it was made."""
    for path, content in outputs.items():
        if path == _STDOUT:
            sys.stdout.write(content.decode())
        else:
            Path(path).write_bytes(content)


def _check_outputs(*paths: str | None) -> None:
    files = [os.path.realpath(path) for path in paths if path not in (None, _STDOUT)]
    if len(set(files)) < len(files):
        raise _InputError("expected a file of its own for each of --json, --html and --png")


# Commands ---------------------------------------------------------------------------------------


def _explain(options: argparse.Namespace) -> None:
    _check_outputs(options.json, options.html, options.png)
    model = _load_model(options)
    texts = _texts(options, model)
    method = ALIASES.get(options.method, options.method)
    chosen = {
        name: getattr(options, name)
        for name in ("epsilon", "bias_factor", "epsilon_factor")
        if getattr(options, name) is not None
    }
    if chosen and method != "lrp":
        flag = "--" + next(iter(chosen)).replace("_", "-")
        raise _InputError(f"{flag}: expected only with --method lrp, got --method {options.method}")
    with _naming(texts):
        attributions = lrplstm.explain(
            model,
            [text.tokens for text in texts],
            method,
            _target(options.target, model),
            unknown=options.unknown,
            backend=options.backend,
            num_threads=options.threads,
            **chosen,
        )

    outputs: dict[str, bytes] = {}
    if options.json is not None:
        outputs[options.json] = _json_lines(
            [
                attribution.to_dict() | {"label": text.label}
                for text, attribution in zip(texts, attributions, strict=True)
            ]
        )
    if options.html is not None:
        fragments = [attribution.to_html() for attribution in attributions]
        page = heatmap.to_html_page(fragments, title=f"lrplstm: {method}")
        outputs[options.html] = page.encode()
    if options.png is not None:
        outputs[options.png] = _png(attributions)
    _write(outputs)
    if options.json != _STDOUT:
        _print_explanations(options, model, texts, attributions)


def _print_explanations(
    options: argparse.Namespace,
    model: LSTMModel,
    texts: list[_Text],
    attributions: lrplstm.Attributions,
) -> None:
    terminal = sys.stdout.isatty()
    colored = terminal if options.color == "auto" else options.color == "always"
    width = shutil.get_terminal_size().columns if terminal else None
    for text, attribution in zip(texts, attributions, strict=True):
        if text.label is not None:
            print(f"label: {_name(model, text.label)}")
        print(f"predicted: {_name(model, attribution.predicted)}")
        print(_wrapped(f"scores: {_scores(model, attribution.scores)}", width))
        print(heatmap.visible(f"{attribution.method}: {attribution.explained}"))
        print(attribution.to_terminal(color_system="auto" if colored else None, width=width))
        if colored and attribution.row_labels is None:
            print(_wrapped(f"relevance: {_relevance(attribution)}", width))
        print()
    accuracy = _accuracy_line(texts, attributions.predicted)
    if accuracy:
        print(accuracy)


def _relevance(a: Attribution) -> str:
    """Return the numbers that colours alone do not tell."""
    pairs = zip(a.words, a.token_relevance, strict=True)
    return ", ".join(f"{heatmap.visible(word)} {relevance:+.3g}" for word, relevance in pairs)


def _predict(options: argparse.Namespace) -> None:
    model = _load_model(options)
    texts = _texts(options, model)
    with _naming(texts):
        scores = model.predict(
            [text.tokens for text in texts],
            unknown=options.unknown,
            backend=options.backend,
            num_threads=options.threads,
        )
    predicted = scores.argmax(axis=1)
    if options.json is not None:
        objects = _json_lines(
            [
                {
                    "tokens": text.tokens,
                    "scores": row.tolist(),
                    "predicted": int(best),
                    "class_name": _name(model, best),
                    "label": text.label,
                }
                for text, row, best in zip(texts, scores, predicted, strict=True)
            ]
        )
        _write({options.json: objects})
    if options.json == _STDOUT:
        return
    for text, row, best in zip(texts, scores, predicted, strict=True):
        print(f"{_name(model, best)}\t{heatmap.visible(' '.join(text.tokens))}")
        print(f"    scores: {_scores(model, row)}")
    accuracy = _accuracy_line(texts, predicted)
    if accuracy:
        print(accuracy)


def _info(options: argparse.Namespace) -> None:
    model = _load_model(options)
    where = "default, shipped with the package" if options.model is None else options.model
    directions = "two directions" if model.bidirectional else "one direction"
    vocabulary = "none" if model.vocabulary is None else f"{len(model.vocabulary):,} tokens"
    rows = {
        "version": lrplstm.__version__,
        "backend": _backend.resolve("auto"),
        "instruction set": _backend.instruction_set(),
        "model": where,
        "layers": f"{model.num_layers}, {directions}",
        "input size": model.input_size,
        "hidden size": model.hidden_size,
        "classes": model.num_classes
        if model.class_names is None
        else f"{model.num_classes}: {', '.join(model.class_names)}",
        "pooling": model.pooling,
        "head": _head(model),
        "dtype": model.dtype,
        "vocabulary": vocabulary,
        "unknown token": model.unknown_token or "none",
        "tokenizer": model.tokenizer or "none",
    }
    width = max(map(len, rows))
    for name, value in rows.items():
        print(f"{name:<{width}}  {heatmap.visible(str(value))}")


def _head(model: LSTMModel) -> str:
    if model.head_weight is None:
        return "none"
    rows, columns = model.head_weight.shape
    return f"linear, {columns} to {rows}, {'no bias' if model.head_bias is None else 'bias'}"
