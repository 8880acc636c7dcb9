"""The shape of the code: imports run downward, and importing the package is light."""

from __future__ import annotations

import ast
import doctest
import importlib
import inspect
import pkgutil
import subprocess
import sys
import tomllib
from pathlib import Path
from types import SimpleNamespace

import pytest

import lrplstm
from lrplstm import evaluation
from lrplstm.backends import choose

# Each module may import only from lines above its own.
LAYERS = [
    {"step_labels", "texts"},
    {"errors"},
    {"tables"},
    {"plain_json", "saving"},
    {"heatmap.colors", "heatmap.spacing"},
    {"heatmap.content"},
    {"heatmap.escapes", "heatmap.grid", "heatmap.layout", "heatmap.passages"},
    {"heatmap.latex", "heatmap.markup", "heatmap.sheets", "heatmap.table", "heatmap.terminal"},
    {"heatmap.bars", "heatmap.terminal_grid"},
    {"heatmap.grid_drawable", "heatmap.text_layout"},
    {"heatmap.grid_figure", "heatmap.text_artist", "heatmap.waterfall"},
    {"heatmap.matrix_figure", "heatmap.text_figure"},
    {"heatmap.figure"},
    {"conversion", "heatmap", "sentences", "tokenizers", "vocabulary"},
    {"checks"},
    {"activations", "parallel", "plain"},
    {"weights"},
    {"cells"},
    {"outputs", "rules", "scaling", "sequences", "verification"},
    {"copies", "given", "labelled", "sliding", "targets", "variables"},
    {"class_names"},
    {"inputs"},
    {"named_inputs"},
    {"input_rows"},
    {"scans"},
    {"_kernels", "_kernels_v3", "_kernels_v4"},
    {
        "backends",
        "backends.reference.gru",
        "backends.reference.lstm",
        "backends.reference.rnn",
    },
    {
        "backends.reference.dense",
        "backends.reference.pooling",
        "backends.reference.remainder",
        "backends.reference.scan",
    },
    {"backends.reference"},
    {"backends.choose", "layers.base"},
    {"layers.activations", "layers.windows"},
    {
        "layers.attention",
        "layers.convolution",
        "layers.dense",
        "layers.joining",
        "layers.normalization",
        "layers.pooling",
        "layers.recurrent",
        "layers.reshaping",
        "layers.scaling",
        "layers.steps",
        "layers.window_pooling",
    },
    {"layers.folding"},
    {"layers"},
    {"architecture", "stored_inputs", "stored_layers"},
    {"ordered"},
    {"prepared", "storage"},
    {"network"},
    {"method_table"},
    {"balance", "base_model", "report.alignment", "report.packing", "wording"},
    {"pictures", "pictures.parts", "report.content"},
    {"pictures.series", "pictures.words"},
    {"pictures.sums"},
    {"pictures.plots"},
    {"pictures.comparison"},
    {"report.page"},
    {"report.notebook"},
    {"model"},
    {
        "loaders.arrays",
        "loaders.assumptions",
        "loaders.convertible",
        "loaders.refusals",
        "loaders.torch_run",
        "loaders.torch_tracing",
        "records",
        "exports",
        "exports.needed",
    },
    {
        "exports.captum_records",
        "exports.files",
        "exports.joining",
        "exports.json_lines",
        "exports.one",
        "exports.reading",
        "exports.tidy",
    },
    {"exports.arrow", "exports.frames", "exports.shap_values"},
    {"exports.ways_out"},
    {"attribution", "loaders.keras.hdf5_worker", "loaders.plain_pickle", "loaders.registry"},
    {"attributions"},
    {
        "loaders.keras.archive",
        "loaders.keras.config",
        "loaders.keras.hdf5",
        "loaders.keras.losses",
        "loaders.keras.said",
        "loaders.native",
        "loaders.neuralhydrology.yaml",
        "loaders.tensors",
    },
    {
        "loaders.keras.stores",
        "loaders.neuralhydrology.run",
        "loaders.torch_files",
        "loaders.torch_inputs",
        "loaders.torch_parts",
        "loaders.torch_values",
    },
    {
        "loaders.keras.arrays",
        "loaders.keras.calls",
        "loaders.torch_calls",
        "loaders.torch_check",
        "loaders.torch_finding",
        "loaders.torch_head",
        "loaders.torch_layers",
        "loaders.torch_loops",
        "loaders.torch_masks",
        "loaders.torch_recurrent",
        "loaders.torch_shapes",
        "graph.operations",
    },
    {
        "loaders.keras.translation",
        "loaders.torch_operators",
        "loaders.torch_padding",
        "loaders.torch_weights",
    },
    {"loaders.keras.activations", "loaders.keras.shapes", "loaders.keras.words"},
    {"loaders.keras.recurrent", "loaders.keras.units", "loaders.torch_reading"},
    {"loaders.keras.merging", "loaders.keras.windows", "loaders.torch_graph"},
    {"loaders.keras.functions", "loaders.keras.undescribed"},
    {"loaders.keras.reading", "loaders.onnx_files", "graph.tracing"},
    {"graph.layouts", "graph.parts"},
    {"graph.signals"},
    {"graph.operators"},
    {"graph.linear", "graph.patterns", "graph.recurrent", "graph.tables"},
    {"graph.cells", "graph.simplifying", "graph.steps"},
    {"graph.attention", "graph.masks", "graph.windows"},
    {"graph.formulas", "graph.loops"},
    {"graph.unrolled"},
    {"graph.reading"},
    {"graph.assembling"},
    {"graph", "loaders.torch_forward"},
    {
        "loaders.arras",
        "loaders.flax",
        "loaders.neuralhydrology",
        "loaders.keras",
        "loaders.onnx",
        "loaders.pytorch",
    },
    {"loaders"},
    {"compat.arguments"},
    {"compat.html", "compat.linear", "compat.passes"},
    {"compat.network"},
    {"baselines", "compat"},
    {
        "methods.gradients",
        "methods.hidden",
        "methods.perturbation",
        "methods.quadrature",
        "methods.resuming",
        "methods.signatures",
    },
    {"methods.result"},
    {"methods.growth"},
    {"methods.request"},
    {
        "methods.contextual_decomposition",
        "methods.gradient_x_input",
        "methods.integrated_gradients",
        "methods.lrp",
        "methods.occlusion",
        "methods.random_relevance",
        "methods.sensitivity",
    },
    {"methods"},
    {"report", "report.saving"},
    {"evaluation.arguments", "evaluation.drawing"},
    {"summary.bootstrap", "summary.source", "summary.student"},
    {"summary.grouping"},
    {"summary.sums"},
    {"summary.estimates"},
    {"summary.rows", "summary.sample"},
    {"summary.drawing"},
    {"summary.profiles", "summary.word_lists"},
    {"summary.lags", "summary.variables", "summary.words"},
    {"summary"},
    {"corpus.columns", "corpus.files", "corpus.storage"},
    {"corpus.manifest", "corpus.pieces", "corpus.sequences"},
    {"corpus.reading"},
    {"corpus.explaining"},
    {"corpus.batches", "corpus.parts"},
    {"corpus.opening", "corpus.workers"},
    {"corpus.cluster", "corpus.summing"},
    {"corpus.running"},
    {"corpus"},
    {""},  # the package itself, lrplstm/__init__.py
    {"evaluation.corpus"},
    {"evaluation.curves", "evaluation.ranks"},
    {
        "evaluation.agreement",
        "evaluation.conservation",
        "evaluation.deletion",
        "evaluation.positions",
        "evaluation.randomization",
        "evaluation.words",
    },
    {"evaluation"},
    {"cli.arguments", "cli.inputs", "cli.progress"},
    {"cli.accuracy", "cli.files", "cli.formats", "cli.targets", "cli.texts"},
    {"cli.named", "cli.printing", "cli.series"},
    {"cli.commands", "cli.evaluating", "cli.models", "cli.summarizing"},
    {"cli.corpus"},
    {"cli.parser"},
    {"cli"},
    {"__main__"},
]
LEVEL = {name: level for level, names in enumerate(LAYERS) for name in names}
MODULES = sorted(
    {module.name for module in pkgutil.walk_packages(lrplstm.__path__, "lrplstm.")} | {"lrplstm"}
)


def source(name):
    folder = Path(lrplstm.__file__).parent
    path = folder.joinpath(*name.split(".")[1:])
    return next(p for p in (path / "__init__.py", path.with_suffix(".py"), path) if p.exists())


def imported(name):
    """Names within the package that a module imports, wherever in it."""
    for node in ast.walk(ast.parse(source(name).read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            # `from lrplstm import rules` names a module; `from lrplstm import lrp` does not.
            found = [f"{node.module}.{alias.name}" for alias in node.names]
            found = [f if f in MODULES else node.module for f in found]
            assert node.level == 0, "relative import"
        else:
            continue
        yield from (f for f in found if f.split(".")[0] == "lrplstm")


def short(name):
    return name.removeprefix("lrplstm").removeprefix(".")


def test_every_module_has_its_layer():
    shipped_folders = {"default_model", "sample_data"}
    assert {short(name) for name in MODULES} - shipped_folders == set(LEVEL)


def test_every_package_is_in_the_wheel():
    root = Path(__file__).parents[1]
    listed = tomllib.loads((root / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"]
    folders = (path.parent for path in (root / "src").rglob("__init__.py"))
    there = {".".join(folder.relative_to(root / "src").parts) for folder in folders}
    assert set(listed) == there | {"lrplstm.default_model", "lrplstm.sample_data"}


@pytest.mark.parametrize(
    "name", [n for n in MODULES if short(n) in LEVEL and not short(n).startswith("_kernels")]
)
def test_imports_run_downward(name):
    for other in imported(name):
        assert LEVEL[short(other)] < LEVEL[short(name)], f"{name} imports {other}"


def test_heatmap_knows_nothing_of_the_package():
    for name in MODULES:
        if name.startswith("lrplstm.heatmap"):
            allowed = ("lrplstm.heatmap.", "lrplstm.texts")
            assert all(other.startswith(allowed) for other in imported(name)), name


def test_a_scan_is_at_most_five_calls_from_lrp():
    """Whoever reads how relevance goes back follows so many functions."""

    class Reached(Exception):  # noqa: N818 - it is no error
        pass

    def scan(*args, **kwargs):
        raise Reached

    model = lrplstm.load_default().astype("float64")  # a new one, which no other test reads
    entry = model.prepared("auto").entry
    for name in ("forward_scan", "lrp_scan"):
        entry.scans = SimpleNamespace(**vars(entry.scans) | {name: scan})
        with pytest.raises(Reached) as caught:
            lrplstm.lrp(model, ["fine", "."], num_threads=1)
        names = [frame.name for frame in caught.traceback]
        assert names.index("scan") - names.index("lrp") <= 5, names
        entry.scans = choose.scans("auto")


def test_importing_the_package_is_light():
    """No framework, plots, tokenizers or loaders, nor anything else that takes its time."""
    code = (
        "import sys, numpy; before = set(sys.modules); import lrplstm;"
        "print(*sorted({m.split('.')[0] for m in set(sys.modules) - before}));"
        "print(*(m for m in sys.modules if m.startswith('lrplstm.loaders')))"
    )
    output = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout
    heavy = {
        "torch", "keras", "h5py", "onnx", "matplotlib", "wcwidth", "nltk", "safetensors",
        "argparse", "asyncio", "subprocess",
    }  # fmt: skip
    packages, loaders = output.splitlines()
    assert "lrplstm" in packages.split()
    assert not heavy & set(packages.split())
    assert not loaders


def test_public_names_are_documented():
    for name in lrplstm.__all__:
        value = getattr(lrplstm, name)
        assert not callable(value) or value.__doc__.strip()


@pytest.mark.parametrize("name", [n for n in MODULES if short(n) in LEVEL])
def test_examples_in_docstrings(name):
    result = doctest.testmod(importlib.import_module(name), raise_on_error=False)
    assert result.failed == 0


def test_functions_of_the_evaluation_are_documented():
    finder = doctest.DocTestFinder(exclude_empty=True)
    for name in evaluation.__all__:
        value = getattr(evaluation, name)
        assert not callable(value) or value.__doc__.strip()
        if inspect.isfunction(value):
            assert any(test.examples for test in finder.find(value, name)), name


def test_public_functions_have_examples():
    finder = doctest.DocTestFinder(exclude_empty=True)
    for name in lrplstm.__all__:
        value = getattr(lrplstm, name)
        if callable(value) and name != "Sentence":
            assert any(test.examples for test in finder.find(value, name)), name


def test_no_file_is_longer_than_a_reader_can_hold_in_mind():
    for path in Path(lrplstm.__file__).parent.rglob("*.py"):
        assert len(path.read_text(encoding="utf-8").splitlines()) <= 600, path.name
