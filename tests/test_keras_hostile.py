"""Keras files that are damaged, or made to do harm: one ValueError, and nothing else happens."""

from __future__ import annotations

import io
import json
import os
import stat
import sys
import warnings
import zipfile

import h5py
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from keras_files import dense_config, lstm_config
from loader_fixtures import damage, little_memory, loaded_or_refused, refused, refused_or_read

import lrplstm
from lrplstm.loaders.keras import hdf5, hdf5_worker
from lrplstm.loaders.keras.archive import read_archive
from lrplstm.loaders.keras.calls import chain_of, program_of
from lrplstm.loaders.keras.reading import translate
from lrplstm.loaders.keras.said import Said
from lrplstm.loaders.keras.stores import NumberedStore
from lrplstm.loaders.keras.undescribed import layers_of_numbered

D, H, C = 3, 4, 2
SHAPES = {"lstm/cell/vars/0": (D, 4 * H), "lstm/cell/vars/1": (H, 4 * H)}
SHAPES |= {"lstm/cell/vars/2": (4 * H,), "dense/vars/0": (H, C), "dense/vars/1": (C,)}
KERNEL = "layers/lstm/cell/vars/0"
CONFIG = {"class_name": "Sequential", "config": [lstm_config("lstm", H), dense_config("dense", C)]}


def weights(**options):
    """A file of weights as Keras 3 writes it."""
    rng = np.random.default_rng(0)
    memory = io.BytesIO()
    with h5py.File(memory, "w", **options) as file:
        for name, shape in SHAPES.items():
            file[f"layers/{name}"] = rng.normal(0, 0.3, shape).astype("f4")
    return memory.getvalue()


WEIGHTS = weights()


def archive(members=None, **options):
    """A .keras file; `members` take the place of its own, and None leaves one out."""
    own = {"metadata.json": "{}", "config.json": json.dumps(CONFIG), "model.weights.h5": WEIGHTS}
    memory = io.BytesIO()
    with zipfile.ZipFile(memory, "w", **options) as file:
        for name, content in (own | (members or {})).items():
            if content is not None:
                file.writestr(name, content)
    return memory.getvalue()


def load(path):
    said = {"pooling": "last", "dense_activations": ["linear"]}
    return lrplstm.from_keras(path, **said if path.suffix == ".h5" else {})


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "model.weights.h5"
    path.write_bytes(WEIGHTS)
    return path


def test_the_good_files(path, tmp_path):
    model = load(path)
    assert (model.origin["lstm"], model.origin["head"]) == ("lstm", "dense")
    for n, options in enumerate([{}, {"compression": zipfile.ZIP_DEFLATED}]):
        beside = tmp_path / f"{n}.keras"
        beside.write_bytes(archive(**options))
        np.testing.assert_array_equal(load(beside).head_weight, model.head_weight)


# HDF5 -------------------------------------------------------------------------------------------


def replace_kernel(file, **options):
    del file[KERNEL]
    if "data" not in options:
        options = {"shape": (D, 4 * H), "dtype": "f4"} | options
    return file.create_dataset(KERNEL, **options)


def link_kernel(file, link):
    del file[KERNEL]
    file[KERNEL] = link


def virtual_kernel(file):
    del file[KERNEL]
    layout = h5py.VirtualLayout((D, 4 * H), "f4")
    layout[...] = h5py.VirtualSource("other.h5", "kernel", (D, 4 * H))
    file.create_virtual_dataset(KERNEL, layout)


def one_chunk(file):
    kernel = replace_kernel(file, shape=(2**28, 4 * H), chunks=(4, 4 * H))
    kernel[:4] = 1.0


def nest(file):
    group = file["layers"]
    for _ in range(80):
        group = group.create_group("a")


def reference_kernel(file):
    replace_kernel(file, dtype=h5py.ref_dtype)[...] = file.ref


def ragged_kernel(file):
    kernel = replace_kernel(file, shape=(D,), dtype=h5py.vlen_dtype(np.float32))
    kernel[0] = np.ones(3)


HOSTILE = {
    "external link": (
        lambda file: link_kernel(file, h5py.ExternalLink("other.h5", "kernel")),
        f"refused: '{KERNEL}' is a link to somewhere else",
    ),
    "soft link": (
        lambda file: link_kernel(file, h5py.SoftLink("/layers/lstm/cell/vars/1")),
        f"refused: '{KERNEL}' is a link to somewhere else",
    ),
    "virtual dataset": (virtual_kernel, f"refused: '{KERNEL}' lies in another file"),
    "external storage": (
        lambda file: replace_kernel(file, external=[("/etc/passwd", 0, 16 * D * H)]),
        f"refused: '{KERNEL}' lies in another file",
    ),
    "shape without end": (
        lambda file: replace_kernel(file, shape=(2**40, 4 * H), chunks=(8, 8)),
        f"refused: '{KERNEL}' is larger than the file can hold",
    ),
    "one chunk of many": (one_chunk, f"refused: '{KERNEL}' is larger than the file can hold"),
    "packed zeros": (
        lambda file: replace_kernel(file, data=np.zeros(2**22), compression="gzip"),
        f"refused: '{KERNEL}' is larger than the file can hold",
    ),
    "chunks without end": (
        lambda file: replace_kernel(
            file, shape=(1, 1), maxshape=(None, None), chunks=(2**14, 2**14)
        ),
        f"refused: '{KERNEL}' has chunks larger than the file can hold",
    ),
    "no numbers": (replace_kernel, f"refused: '{KERNEL}' was given a shape but no numbers"),
    "plugin": (
        lambda file: replace_kernel(file, data=np.ones((D, 4 * H)), compression="lzf"),
        f"refused: '{KERNEL}' is compressed by a plugin",
    ),
    "circle": (
        lambda file: file["layers/lstm"].__setitem__("again", file["layers"]),
        "refused: 'layers/lstm/again' is a second name of an object",
    ),
    "second name": (
        lambda file: file.__setitem__("z", file[KERNEL]),
        "refused: 'z' is a second name of an object",
    ),
    "depth": (nest, "refused: groups in groups, more than 64 deep"),
    "type": (
        lambda file: file.__setitem__("layers/type", np.dtype("f4")),
        "refused: 'layers/type' is neither a group nor a dataset",
    ),
    "references": (reference_kernel, f"'{KERNEL}' to be floats, got numbers of another kind"),
    "ragged rows": (ragged_kernel, f"'{KERNEL}' to be floats, got numbers of another kind"),
    "group for an array": (
        lambda file: (file.__delitem__(KERNEL), file.create_group(KERNEL)),
        r"layer 'lstm' \(LSTM\): expected .* arrays .*, got 0",
    ),
    "negative size": (
        lambda file: replace_kernel(file, data=np.ones((0, 4 * H))),
        r"layer 'lstm' \(LSTM\): kernel: expected shape \(inputs, 16\), got \(0, 16\)",
    ),
    "transposed": (
        lambda file: replace_kernel(file, data=np.ones((4 * H, D))),
        r"layer 'lstm' \(LSTM\): kernel: expected shape \(inputs, 16\), got \(16, 3\)",
    ),
    "no dimensions": (
        lambda file: replace_kernel(file, data=1.0),
        r"layer 'lstm' \(LSTM\): kernel: expected shape \(inputs, 16\), got \(\)",
    ),
    "infinite": (
        lambda file: file[KERNEL].write_direct(np.full((D, 4 * H), np.inf)),
        r"layer 'lstm' \(LSTM\): kernel: expected finite numbers",
    ),
    "no layers": (
        lambda file: file.move("layers", "layer"),
        "expected the weights of a Sequential or Functional model, found others; what a class of",
    ),
    "no arrays": (
        lambda file: file.clear(),
        "expected the weights of a Keras model, found none",
    ),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_hostile_hdf5(case, path):
    change, match = HOSTILE[case]
    with h5py.File(path, "a") as file:
        change(file)
    with little_memory(4 * 2**20), refused(f"model.weights.h5: .*{match}"):
        load(path)


def test_the_state_of_training_is_passed_over(path):
    """Even where it is large: nobody asks for it."""
    with h5py.File(path, "a") as file:
        file.create_dataset("optimizer/vars/0", (2**40,), "f4", chunks=(64,))
    assert load(path).num_classes == C


def test_numbers_with_gaps(path):
    """Keras 2.12 and 2.13 count some layers twice, and have another name for them all."""
    expected = load(path)
    with h5py.File(path, "a") as file:
        file.move("layers/dense", "layers/dense_10")
        file["layers/dense_2/vars/0"] = np.eye(H, dtype="f4")
        file.move("layers", "_layer_checkpoint_dependencies")
    entries = [lstm_config("lstm", H), dense_config("one", H, "linear"), dense_config("two", C)]
    entries[1]["config"]["use_bias"] = False
    config = {"class_name": "Sequential", "config": entries}
    said = {"pooling": "last", "dense_activations": ["linear", "linear"]}
    for model in (lrplstm.from_keras(path, config=config), lrplstm.from_keras(path, **said)):
        first, last = model.head
        np.testing.assert_array_equal(first.weight, np.eye(H))
        np.testing.assert_array_equal(last.weight, expected.head_weight)


def with_backslashes(content):
    """The same file as Keras 2.12 to 2.15 wrote it on Windows: one group a layer, in the root."""
    memory = io.BytesIO()
    with h5py.File(io.BytesIO(content)) as file, h5py.File(memory, "w") as other:
        for name in SHAPES:
            layer, _, number = f"layers/{name}".partition("/vars/")
            other.require_group(layer.replace("/", "\\")).require_group("vars")[number] = file[
                f"layers/{name}"
            ][()]
        other["optimizer\\inner\\vars"] = np.ones(3)
    return memory.getvalue()


def test_names_as_windows_joins_them(path, tmp_path):
    expected = load(path)
    content = with_backslashes(WEIGHTS)
    path.write_bytes(content)
    archived = tmp_path / "windows.keras"
    archived.write_bytes(archive({"model.weights.h5": content}))
    for model in (load(path), load(archived)):
        np.testing.assert_array_equal(model.head_weight, expected.head_weight)
    for extra, match in (
        ("layers\\lstm/cell", "distinct names"),
        ("a\\" * 99, "more than 64 deep"),
    ):
        path.write_bytes(content)
        with h5py.File(path, "a") as file:
            file.create_group(extra)
        with refused(f"model.weights.h5: .*{match}"):
            load(path)


@pytest.mark.parametrize("start", [512, 2048])
def test_a_block_of_the_users_own_comes_first(start, path):
    path.write_bytes(weights(userblock_size=start))
    assert load(path).num_classes == C


@pytest.mark.parametrize("options", [{"libver": "earliest"}, {"libver": "latest"}])
def test_versions_of_hdf5(options, path):
    path.write_bytes(weights(**options))
    assert load(path).num_classes == C


@pytest.mark.parametrize("compression", [{"compression": "gzip", "shuffle": True}])
def test_compressed_arrays(compression, path):
    with h5py.File(path, "a") as file:
        replace_kernel(file, data=np.ones((D, 4 * H), ">f4"), **compression, fletcher32=True)
    assert (load(path).layers[0].weight_ih == 1).all()


WORKERS = {
    "crash": (
        "import os, signal\nos.kill(os.getpid(), signal.SIGSEGV)",
        "the library ends with SIGSEGV",
    ),
    "no end": ("while True:\n    pass", "no end after 1 s"),
    "killed": (
        "import os, signal\nos.kill(os.getpid(), signal.SIGKILL)",
        "it takes too much time or memory",
    ),
    "error": ("import sys\nsys.stdin.buffer.read()\nraise MemoryError('full')", "MemoryError"),
    "silence": ("import sys\nsys.stdin.buffer.read()", "its reader fell silent"),
    "babble": ("import sys\nsys.stdin.buffer.read()\nprint('a' * 100)", "its reader fell silent"),
    "half an answer": (
        "import sys\nsys.stdin.buffer.read()\nprint(chr(2) + chr(0) * 7 + '{}')",
        "its reader fell silent",
    ),
}


@pytest.mark.parametrize("case", WORKERS)
def test_a_reader_that_ends_badly(case, path, tmp_path, monkeypatch):
    """What the HDF5 library may do on damaged files happens to a process of its own."""
    code, match = WORKERS[case]
    worker = tmp_path / "worker.py"
    worker.write_text(code)
    monkeypatch.setattr(hdf5_worker, "__file__", str(worker))
    monkeypatch.setattr(hdf5, "seconds", lambda size: 1)
    with refused(rf"model.weights.h5: not a readable HDF5 file \(.*{match}"):
        load(path)


def test_there_is_no_h5py(path, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "h5py", None)
    with refused(r'reading Keras files needs h5py: pip install "lrplstm\[keras\]"', ImportError):
        load(path)
    monkeypatch.delitem(sys.modules, "h5py")
    (tmp_path / "h5py.py").write_text("raise ImportError('broken')")
    monkeypatch.syspath_prepend(tmp_path)
    with refused(r"needs h5py.*\(broken\)", ImportError):
        load(path)


def test_modules_in_the_current_folder_are_not_imported(path, tmp_path, monkeypatch):
    for name in ("h5py", "numpy", "json", "sitecustomize"):
        (tmp_path / f"{name}.py").write_text(f"open({str(tmp_path / 'run')!r}, 'w')")
    monkeypatch.chdir(tmp_path)
    for entry in ("", ".", str(tmp_path)):
        monkeypatch.setattr(sys, "path", [entry, *sys.path])
        monkeypatch.setenv("PYTHONPATH", entry)
        assert load(path).num_classes == C
    assert not (tmp_path / "run").exists()


def test_names_are_counted(path):
    """Each name is in the paths of all that lies below it."""
    with h5py.File(path, "a", libver="latest") as file:
        group = file["layers"]
        for letter in "abcdefghij":
            group = group.create_group(letter * 4000)
        for n in range(100):
            group.create_group(str(n))
    assert path.stat().st_size < 100_000
    with little_memory(10**6), refused("refused: .* is larger than the file can hold"):
        load(path)


def test_orders_without_number():
    """Each LSTM could follow each Bidirectional: 2^58 ways, none of which is tried."""
    arrays, groups = {}, ["layers"]
    for n in range(30):
        for name, cell in (("lstm", "cell"), ("bidirectional", "forward_layer/cell")):
            group = f"layers/{name}_{n}" if n else f"layers/{name}"
            groups.append(group)
            reads = H if n < 29 else H + 1
            shapes = [(reads, 4 * H), (H, 4 * H), (4 * H,)]
            for number, shape in enumerate(shapes):
                arrays[f"{group}/{cell}/vars/{number}"] = np.ones(shape, np.float32)
    store = NumberedStore(hdf5.Contents({}, groups, arrays), "layers")
    with refused("the order of LSTM and Bidirectional is not known, there are too many"):
        layers_of_numbered(store, Said(pooling="last"), "x.h5")


# Archives ---------------------------------------------------------------------------------------


def link(name="layer"):
    info = zipfile.ZipInfo(name)
    info.external_attr = (stat.S_IFLNK | 0o777) << 16
    return info


def said_size(content, name, size):
    """The archive with another size of a member in its directory."""
    at = content.rindex(name.encode()) - 46 + 24
    return content[:at] + size.to_bytes(4, "little") + content[at + 4 :]


DEFLATED = {"compression": zipfile.ZIP_DEFLATED}
ARCHIVES = {
    "no config": (archive({"config.json": None}), "refused: it has no member 'config.json', only"),
    "no weights": (archive({"model.weights.h5": None}), "refused: it has no member 'model.weig"),
    "parent": (archive({"../a": "a"}), r"refused: member '\.\./a' has a path that leads out"),
    "parent within": (archive({"a/../../b": "a"}), "refused: member .* has a path that leads out"),
    "root": (archive({"/etc/a": "a"}), "refused: member '/etc/a' has a path that leads out"),
    "backslash": (archive({"..\\a": "a"}), "refused: member .* has a path that leads out"),
    "link": (archive({link(): "/etc/passwd"}), "refused: member 'layer' is a link"),
    "bomb": (
        archive({"model.weights.h5": bytes(2**25)}, **DEFLATED),
        "refused: member 'model.weights.h5' unpacks to more than 3 times the archive and",
    ),
    "bomb beside": (
        archive({"assets/a": bytes(2**25)}, **DEFLATED),
        "refused: member 'assets/a' unpacks to more than 3 times the archive and",
    ),
    "long config": (
        archive({"config.json": bytes(300_000), "assets/a": os.urandom(30_000)}, **DEFLATED),
        "refused: member 'config.json' has 300000 bytes, more than",
    ),
    "smaller than said": (
        said_size(archive(**DEFLATED), "model.weights.h5", len(WEIGHTS) + 1),
        "refused: member 'model.weights.h5' has another size|not a readable",
    ),
    "larger than said": (
        said_size(archive(**DEFLATED), "model.weights.h5", 100),
        "refused: member 'model.weights.h5' has another size|not a readable",
    ),
    "packed in an unusual way": (
        archive(compression=zipfile.ZIP_LZMA),
        "refused: member 'config.json' is encrypted, or packed in an unusual way",
    ),
    "no JSON": (archive({"config.json": "{"}), "config.json: expected JSON, got something else"),
    "no text": (archive({"config.json": b"\xff"}), "config.json: expected JSON, got something"),
    "deep JSON": (
        archive({"config.json": '{"a":' * 9000}),
        "config.json: expected JSON, got something else",
    ),
    "long number": (
        archive({"config.json": "9" * 5000}),
        "config.json: expected JSON, got something else",
    ),
    "no HDF5": (archive({"model.weights.h5": bytes(500)}), "h5: not a readable HDF5 file"),
    "cut": (archive()[:-30], r"not a readable \.keras file"),
    "only a start": (b"PK\x03\x04", r"not a readable \.keras file"),
    "other format": (b"{}", "expected a .keras or HDF5 file, got something else"),
    "empty": (b"", "expected a .keras or HDF5 file, got something else"),
}


@pytest.mark.parametrize("case", ARCHIVES)
def test_hostile_archives(case, tmp_path):
    content, match = ARCHIVES[case]
    path = tmp_path / "model.keras"
    path.write_bytes(content)
    with little_memory(4 * 2**20), refused(f"model.keras: .*({match})"):
        load(path)
    assert {member.name for member in tmp_path.iterdir()} == {"model.keras"}


@pytest.mark.filterwarnings("ignore:Duplicate name:UserWarning")
def test_a_member_that_is_there_twice(tmp_path):
    memory = io.BytesIO(archive())
    with zipfile.ZipFile(memory, "a") as file:
        file.writestr("config.json", "{}")
    path = tmp_path / "model.keras"
    path.write_bytes(memory.getvalue())
    with refused("model.keras: refused: member 'config.json' is there twice"):
        load(path)


def test_what_is_no_file(tmp_path):
    with refused("none.h5: expected a file, found none"):
        load(tmp_path / "none.h5")
    with refused("expected a .keras or HDF5 file, found a folder"):
        load(tmp_path)
    os.mkfifo(tmp_path / "pipe.h5")
    with refused(r"pipe\.h5: expected a file, found something else"):
        load(tmp_path / "pipe.h5")


# Damage -----------------------------------------------------------------------------------------


def bounded(examples):
    return settings(
        max_examples=examples,
        derandomize=True,
        deadline=None,
        suppress_health_check=[HealthCheck.function_scoped_fixture],
    )


@pytest.mark.parametrize("suffix", [".h5", ".keras"])
def test_damaged_files(suffix, tmp_path, monkeypatch):
    """Each starts the second process, so there are few of them."""
    monkeypatch.setattr(hdf5, "seconds", lambda size: 2)
    path = tmp_path / f"model{suffix}"
    good = WEIGHTS if suffix == ".h5" else archive()

    @bounded(20)
    @given(damage([good]))
    def check(content):
        path.write_bytes(content)
        refused_or_read(load, path)

    check()


@bounded(200)
@given(damage([archive(**DEFLATED), archive()]))
def test_damaged_archives(content):
    found = loaded_or_refused(read_archive, content, "a.keras")
    if found is not None:
        parts = [found.config, found.weights, found.metadata, *found.vocabularies.values()]
        assert sum(map(len, parts)) <= 3 * len(content) + 2**22


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.sampled_from(["", "tanh", "sigmoid", "lstm", "Dense", "LSTM", "sum", "input_1"])
    | st.sampled_from([CONFIG, *CONFIG["config"]]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["class_name", "config", "name"]), inner, max_size=3)
    ),
    max_leaves=8,
)
TENSOR = {"class_name": "__keras_tensor__", "config": {"keras_history": ["input", 0, 0]}}
CALL = {"args": [TENSOR], "kwargs": {"mask": None, "training": False}}


def functional():
    """A Functional model of Keras 3 over the same layers."""
    names = ["input", "lstm", "dense"]
    layers = [{"class_name": "InputLayer", "config": {"name": "input"}}, *CONFIG["config"]]
    text = json.dumps([CALL])
    nodes = [[], json.loads(text), json.loads(text.replace('"input"', '"lstm"'))]
    layers = [
        layer | {"name": name, "inbound_nodes": node}
        for layer, name, node in zip(layers, names, nodes, strict=True)
    ]
    config = {"name": "f", "layers": layers}
    config |= {"input_layers": ["input", 0, 0], "output_layers": [["dense", 0, 0]]}
    return {"class_name": "Functional", "config": config}


def places(value, path=()):
    """All places in a JSON value, as the keys that lead there."""
    yield path
    if isinstance(value, dict | list):
        for key in value if isinstance(value, dict) else range(len(value)):
            yield from places(value[key], (*path, key))


def changed(value, path, new):
    """A copy of a JSON value with another one at a place."""
    if not path:
        return new
    copy = value.copy()
    copy[path[0]] = changed(value[path[0]], path[1:], new)
    return copy


def translated(program, store):
    """The operations that each output of a program is computed by."""
    for output in program.outputs.values():
        translation, scores = translate(program, output, store, 3)
        translation.masks()
        yield translation.graph(scores, "scores")


def many_layers(path):
    """A model of many kinds of layers, and its file."""
    keras = pytest.importorskip("keras")
    L = keras.layers
    words, x = keras.Input((6,), name="words"), keras.Input((6, D), name="x")
    y = L.Concatenate()([L.Embedding(9, 2, mask_zero=True)(words), x])
    y = L.TimeDistributed(keras.Sequential([L.Dense(4, "relu"), L.BatchNormalization()]))(y)
    both = L.Bidirectional(L.GRU(4, return_sequences=True), merge_mode="sum")(y)
    z = L.LayerNormalization()(L.Add()([L.MultiHeadAttention(2, 3)(both, both), both]))
    z = L.MaxPooling1D(2)(L.Conv1D(4, 3, padding="causal")(z))
    z, *state = L.LSTM(4, return_state=True, return_sequences=True)(z)
    y = L.LSTM(4)(L.RepeatVector(3)(L.Dense(4)(L.Flatten()(z))), initial_state=state)
    model = keras.Model([words, x], [L.Dense(2, "softmax", name="one")(y), L.PReLU()(y)])
    model.save(path)
    return model


@pytest.fixture(scope="module")
def sources(tmp_path_factory):
    """Configs and the arrays that are theirs."""
    small = NumberedStore(hdf5.read_hdf5(WEIGHTS, "weights", 2**22), "layers")
    path = tmp_path_factory.mktemp("keras") / "model.keras"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Keras says what does not know masks
        many_layers(path)
    packed = read_archive(path.read_bytes(), "model.keras")
    large = NumberedStore(hdf5.read_hdf5(packed.weights, "weights", 2**24), "layers")
    return {
        "sequential": (CONFIG, small),
        "functional": (functional(), small),
        "many layers": (json.loads(packed.config), large),
    }


@pytest.mark.parametrize("name", ["sequential", "functional", "many layers"])
def test_damaged_configs(name, sources):
    config, store = sources[name]
    for graph in translated(program_of(config), store):
        assert graph.nodes
    everywhere = st.sampled_from(list(places(config)))

    @bounded(300)
    @given(st.lists(st.tuples(everywhere, JSON), min_size=1, max_size=3))
    def check(changes):
        damaged_config = config
        for place, new in changes:
            try:
                damaged_config = changed(damaged_config, place, new)
            except (KeyError, IndexError, TypeError, AttributeError):
                continue  # the place is gone
        loaded_or_refused(lambda: list(translated(program_of(damaged_config), store)))

    check()


def test_models_that_call_models_without_end():
    """Each level calls the one below twice: it is refused before it is written out."""
    config = {"class_name": "Sequential", "config": {"name": "a", "layers": [lstm_config("a", 4)]}}
    node = [[["input_1", 0, 0, {}]]]
    for level in range(30):
        inner = config | {"name": "a", "inbound_nodes": [node[0], [["a", 0, 0, {}]]]}
        start = {"class_name": "InputLayer", "config": {"name": "input_1"}, "inbound_nodes": []}
        layers = [start | {"name": "input_1"}, inner]
        ends = {"input_layers": [["input_1", 0, 0]], "output_layers": [["a", 1, 0]]}
        config = {"class_name": "Model", "config": {"name": f"m{level}", "layers": layers} | ends}
    with refused("expected at most 100000 layers in all models, got more"):
        program_of(config)


@pytest.mark.parametrize("form", ["chain", "fan"])
def test_many_layers(form):
    """Reading takes time in proportion to the number of layers, and no deep recursion."""
    count = 50_000
    layers = [{"class_name": "InputLayer", "config": {"name": "0"}, "inbound_nodes": []}]
    for n in range(1, count):
        before = n - 1 if form == "chain" else 0
        layers.append(
            {
                "class_name": "Dropout" if n < count - 1 else "Add",
                "config": {"name": str(n)},
                "inbound_nodes": [
                    [[str(before), 0, 0, {}]]
                    if n < count - 1
                    else [[str(k), 0, 0, {}] for k in range(1, n)]
                ],
            }
        )
    config = {"layers": layers, "input_layers": [["0", 0, 0]]}
    config |= {"output_layers": [[str(count - 1), 0, 0]], "name": "m"}
    program = program_of({"class_name": "Functional", "config": config})
    assert len(program.calls) == count
    assert [len(graph.nodes) for graph in translated(program, None)] == [2]


NAMES = [*(f"layers/{name}" for name in SHAPES), "layers", "layers/gru/vars/0", "layers/lstm_1"]


@bounded(200)
@given(
    st.dictionaries(
        st.sampled_from(NAMES) | st.text(max_size=8),
        st.none()
        | st.lists(st.integers(0, 16), max_size=3).map(lambda shape: np.ones(shape, np.float32)),
        max_size=6,
    ),
    st.lists(st.sampled_from(NAMES) | st.text(max_size=8), max_size=6),
)
def test_contents_of_any_kind(arrays, groups):
    """Whatever the arrays of a file are called, and of whatever shape they are."""
    own = {f"layers/{name}": np.ones(shape, np.float32) for name, shape in SHAPES.items()}
    contents = hdf5.Contents({}, ["layers", "layers/lstm", "layers/dense", *groups], own | arrays)
    store = NumberedStore(contents, "layers")
    said = Said(pooling="last")

    def load():
        program = chain_of(layers_of_numbered(store, said, "x.h5"))
        return list(translated(program, store))

    loaded_or_refused(load)
