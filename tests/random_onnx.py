"""Random graphs of ONNX: a list of parts, of which any may be left out to find a fault.

They have what exporters do not write, or only some: both layouts, all activations of cells, every
direction, initial states of each kind, peepholes, weights that are inputs, sums of two directions.
"""

from __future__ import annotations

import numpy as np
import onnx
from onnx import helper, numpy_helper

D, S, C, WORDS, STEPS = 4, 3, 3, 9, 6
GATES = {"LSTM": 4, "GRU": 3, "RNN": 1}
# Activations of cells that ONNX Runtime has as the standard says, with their numbers.
GATE_KINDS = [("Sigmoid",), ("HardSigmoid", 0.2, 0.5), ("HardSigmoid", 0.3, 0.4)]
STATE_KINDS = [("Tanh",), ("Relu",), ("Softsign",), ("Elu", 0.7), ("ScaledTanh", 0.9, 0.6)]
# Not Selu, whose constants are of single precision in ONNX.
ACTIVATIONS = ("Relu", "Tanh", "Sigmoid", "Elu", "LeakyRelu", "Softplus", "Softsign")
OF_STEPS = (
    "dense",
    "recurrent",
    "convolution",
    "normalization",
    "batch normalization",
    "residual",
    "attention",
    "scaled",
    "two nodes",
)
POOLS = (
    "final",
    "final cells",
    "last",
    "first",
    "mean",
    "max",
    "sum",
    "weighted",
    "both",
    "a step",
    "flatten",
    "none",
)
OF_ROWS = ("dense", "normalization", "batch normalization", "gate", "scaled", "static", "dropout")


def draw_parts(seed):
    """A list of parts: (kind, options), the first of which is the input."""
    rng = np.random.default_rng(seed)

    def drawn(kind):
        return kind, {
            "seed": int(rng.integers(2**31)),
            "operator": str(rng.choice(list(GATES))),
            "direction": str(rng.choice(["forward", "reverse", "bidirectional"])),
            "layout": int(rng.integers(2)),
            "size": int(rng.integers(2, 6)),
            "reset": int(rng.integers(2)),
            "bias": bool(rng.integers(4)),
            "peepholes": not rng.integers(3),
            "states": str(rng.choice(["none", "none", "constant", "static"])),
            "gate": int(rng.integers(len(GATE_KINDS))),
            "state": int(rng.integers(len(STATE_KINDS))),
            "sides": str(rng.choice(["beside", "beside", "sum"])),
            "activation": str(rng.choice(ACTIVATIONS)),
            "window": int(rng.choice([1, 2, 3])),
            "way": int(rng.integers(3)),
        }

    before = [drawn(str(kind)) for kind in rng.choice(OF_STEPS, rng.integers(0, 3))]
    pool = drawn(str(rng.choice(POOLS)))
    after = [drawn(str(kind)) for kind in rng.choice(OF_ROWS, rng.integers(0, 3))]
    return [drawn("input"), *before, drawn("recurrent"), pool, *after]


class RandomGraph:
    """A graph of these parts, in float32 or float64.

    Attributes
    ----------
    proto : ModelProto
    inputs : dict of shape by str
        Of the inputs: without the batch.
    fixed : bool
        Whether it reads sequences of one length alone.
    steps_first : bool
        Whether steps come before sequences in `x`.
    """

    def __init__(self, parts, dtype):
        self.dtype, self.nodes, self.constants = np.dtype(dtype), [], {}
        (_, options), *parts = parts
        self.fixed = any(kind == "flatten" for kind, _ in parts)
        self.steps_first = options["way"] == 0
        self.has_static = any(
            kind == "static" or (kind in ("recurrent", "two nodes") and o["states"] == "static")
            for kind, o in parts
        )
        self.ids = options["layout"] == 1 and options["bias"]
        self.final = self.cells = None
        self._begin(options)
        for kind, options in parts:
            self.rng = np.random.default_rng(options["seed"])
            self._add(kind, options)
        self.rng = np.random.default_rng(0)
        product = self.node("MatMul", self.x, self.array(self.width, C))
        self.node("Add", product, self.array(C), output="scores")
        self.proto = self._model(weights_as_inputs=options["way"] == 1)

    # Nodes --------------------------------------------------------------------------------------

    def node(self, operator, *inputs, output=None, outputs=1, **attributes):
        """Add a node and return the name of its output, or those of several."""
        number = len(self.nodes)
        names = [output or f"{operator}_{number}"]
        names += [f"{operator}_{number}_{n}" for n in range(1, outputs)]
        self.nodes.append(helper.make_node(operator, inputs, names, f"n{number}", **attributes))
        return names[0] if outputs == 1 else names

    def activated(self, operator, name):
        """Add an activation; a slope that is said is the same in every precision."""
        return self.node(operator, name, **({"alpha": 0.25} if operator == "LeakyRelu" else {}))

    def array(self, *shape, scale=0.4, around=0.0):
        """Add random weights and return their name."""
        return self.constant((self.rng.normal(around, scale, shape)).astype(self.dtype))

    def constant(self, array):
        """Add a constant and return its name."""
        name = f"c{len(self.constants)}"
        self.constants[name] = np.asarray(array)
        return name

    def ints(self, *numbers):
        return self.constant(np.array(numbers, np.int64))

    def turned(self):
        """Steps before sequences, or the other way round, of what is read now."""
        return self.node("Transpose", self.x, perm=[1, 0, 2])

    def to(self, layout):
        """Let steps lie along the first axis (0) or the second (1)."""
        if self.layout != layout:
            self.x, self.layout = self.turned(), layout

    def _begin(self, options):
        self.rng = np.random.default_rng(options["seed"])
        self.x, self.width, self.steps, self.layout = "x", D, True, 1 - self.steps_first
        if self.ids:
            self.x = self.node("Gather", self.array(WORDS, D), "x", axis=0)

    def _model(self, *, weights_as_inputs):
        of_x = ["steps", "batch"] if self.steps_first else ["batch", "steps"]
        if self.fixed:
            of_x[of_x.index("steps")] = STEPS
        kind = helper.np_dtype_to_tensor_dtype(self.dtype)
        given = [
            helper.make_tensor_value_info("x", onnx.TensorProto.INT64, of_x)
            if self.ids
            else helper.make_tensor_value_info("x", kind, [*of_x, D])
        ]
        if self.has_static:
            given.append(helper.make_tensor_value_info("static", kind, ["batch", S]))
        if weights_as_inputs:
            given += [
                helper.make_tensor_value_info(name, kind, array.shape)
                for name, array in self.constants.items()
                if array.dtype == self.dtype
            ]
        return helper.make_model(
            helper.make_graph(
                self.nodes,
                "graph",
                given,
                [helper.make_tensor_value_info("scores", kind, None)],
                [numpy_helper.from_array(array, name) for name, array in self.constants.items()],
            ),
            opset_imports=[helper.make_opsetid("", 17)],
            ir_version=8,
        )

    # Parts --------------------------------------------------------------------------------------

    def _add(self, kind, options):
        size, activation = options["size"], options["activation"]
        match kind:
            case "recurrent":
                self._recurrent(options)
            case "two nodes":
                self._two_nodes(options)
            case "dense":
                self._dense(size, options)
                self.x = self.activated(activation, self.x)
            case "residual":
                before, width = self.x, self.width
                self._dense(width, options)
                self.x = self.node("Add", before, self.activated(activation, self.x))
            case "gate":
                before = self.x
                self._dense(self.width, options)
                self.x = self.node("Mul", self.node("Sigmoid", self.x), before)
            case "scaled":
                factor = self.array(self.width if options["bias"] else 1, around=1.0)
                self.x = self.node("Mul", self.x, factor)
                self.x = self.node("Sub", self.array(self.width), self.x)
            case "normalization":
                weights = self.array(self.width, around=1.0), self.array(self.width)
                self.x = self.node("LayerNormalization", self.x, *weights, epsilon=2.0**-16)
            case "batch normalization":
                self._batch_normalization()
            case "convolution":
                self._convolution(options)
            case "attention":
                self._attention()
            case "dropout":
                self.x = self.node("Dropout", self.x)
            case "static":
                row = self.node("Tanh", self.node("MatMul", "static", self.array(S, size)))
                if not self.steps:
                    self.x = self.node("Concat", self.x, row, axis=-1)
                    self.width += size
            case _:
                self._pool(kind, options)

    def _dense(self, size, options):
        if not self.steps and options["way"] == 0:
            names = self.x, self.array(size, self.width), self.array(size)
            self.x = self.node("Gemm", *names, transB=1, alpha=0.5, beta=1.5)
        else:
            self.x = self.node("MatMul", self.x, self.array(self.width, size))
            if options["bias"]:
                self.x = self.node("Add", self.array(size), self.x)
        self.width = size

    def _batch_normalization(self):
        weights = self.array(self.width, around=1.0), self.array(self.width)
        spread = self.constant(self.rng.uniform(0.5, 2, self.width).astype(self.dtype))
        names = *weights, self.array(self.width), spread
        if self.steps:
            self.to(1)
            turned = self.node("Transpose", self.x, perm=[0, 2, 1])
            made = self.node("BatchNormalization", turned, *names, epsilon=2.0**-16)
            self.x = self.node("Transpose", made, perm=[0, 2, 1])
        else:
            self.x = self.node("BatchNormalization", self.x, *names, epsilon=2.0**-16)

    def _convolution(self, options):
        self.to(1)
        size, window = options["size"], options["window"]
        turned = self.node("Transpose", self.x, perm=[0, 2, 1])
        pads = [window - 1, 0] if options["way"] else [window // 2, window - 1 - window // 2]
        names = turned, self.array(size, self.width, window), self.array(size)
        made = self.node("Conv", *names, pads=pads, kernel_shape=[window])
        made = self.activated(options["activation"], made)
        self.x, self.width = self.node("Transpose", made, perm=[0, 2, 1]), size

    def _attention(self):
        self.to(1)
        q, k, v = (
            self.node("MatMul", self.x, self.array(self.width, self.width)) for _ in range(3)
        )
        scores = self.node("MatMul", q, self.node("Transpose", k, perm=[0, 2, 1]))
        scores = self.node("Div", scores, self.constant(self.dtype.type(1.5)))
        self.x = self.node("MatMul", self.node("Softmax", scores, axis=-1), v)

    def _cell(self, options, direction):
        """Add a recurrent node; return Y, Y_h and, of an LSTM, Y_c."""
        operator, H, double = options["operator"], options["size"], self.dtype == np.float64
        sides, gates = 1 + (direction == "bidirectional"), GATES[operator]
        # ONNX Runtime has one layout, and ONNX's own evaluator the usual activations.
        layout = options["layout"] if double else 0
        attributes = {"hidden_size": H, "direction": direction}
        if layout:
            attributes["layout"] = 1
        if operator == "GRU":
            attributes["linear_before_reset"] = options["reset"]
        if not double:
            attributes |= _activations(operator, options, sides)
        self.to(layout)
        names = [self.x, self.array(sides, gates * H, self.width), self.array(sides, gates * H, H)]
        names += [self.array(sides, 2 * gates * H) if options["bias"] else "", ""]
        states = 1 + (operator == "LSTM")
        if options["states"] == "constant":
            names += [self._constant_state(sides, H, layout) for _ in range(states)]
        elif options["states"] == "static":
            names += [self._static_state(sides, H, layout) for _ in range(states)]
        if operator == "LSTM" and options["peepholes"]:
            names += [""] * (7 - len(names)) + [self.array(sides, 3 * H)]
        outputs = self.node(operator, *names, outputs=1 + states, **attributes)
        return outputs, sides, layout

    def _batch(self):
        shape = self.node("Shape", self.x)
        return self.node("Gather", shape, self.ints(1 - self.layout), axis=0)

    def _constant_state(self, sides, H, layout):
        order = [self._batch(), self.ints(sides)] if layout else [self.ints(sides), self._batch()]
        shape = self.node("Concat", *order, self.ints(H), axis=0)
        return self.node("Expand", self.array(*((1, sides, H) if layout else (sides, 1, H))), shape)

    def _static_state(self, sides, H, layout):
        rows = self.node("Tanh", self.node("MatMul", "static", self.array(S, sides * H)))
        state = self.node("Reshape", rows, self.ints(0, sides, H))
        return state if layout else self.node("Transpose", state, perm=[1, 0, 2])

    def _recurrent(self, options):
        (y, *final), sides, layout = self._cell(options, options["direction"])
        H = options["size"]
        if options["sides"] == "sum":
            axis = self.ints(2 if layout else 1)
            self.x, self.width = self.node("ReduceSum", y, axis, keepdims=0), H
        else:
            if not layout:
                y = self.node("Transpose", y, perm=[0, 2, 1, 3])
            self.x, self.width = self.node("Reshape", y, self.ints(0, 0, sides * H)), sides * H
        self.final, *cells = (self._rows(state, sides, H, layout) for state in final)
        self.cells = cells[0] if cells else None
        self.final_width = sides * H

    def _rows(self, state, sides, H, layout):
        if not layout:
            state = self.node("Transpose", state, perm=[1, 0, 2])
        return self.node("Reshape", state, self.ints(0, sides * H))

    def _two_nodes(self, options):
        """Add a node for each direction, whose states are added or put beside each other."""
        x, width, layout, states = self.x, self.width, self.layout, []
        for direction in ("forward", "reverse"):
            self.x, self.width, self.layout = x, width, layout
            (y, *_), _, own = self._cell(options, direction)
            y = self.node("Squeeze", y, self.ints(2 if own else 1))
            states.append(y)
        self.layout, self.width = own, options["size"]
        if options["sides"] == "sum":
            self.x = self.node("Add", *states)
        else:
            self.x, self.width = self.node("Concat", *states, axis=2), 2 * self.width

    def _pool(self, kind, options):
        if kind == "none":
            return self.to(1)
        self.steps, axis = False, self.layout
        match kind:
            case "final cells" if self.cells is not None:
                self.x, self.width = self.cells, self.final_width
            case "final" | "final cells":
                self.x, self.width = self.final, self.final_width
            case "last" | "first" | "a step":
                index = {"last": -1, "first": 0, "a step": 2}[kind]
                self.x = self.node("Gather", self.x, self.constant(np.int64(index)), axis=axis)
            case "mean" | "max":
                self.x = self.node(f"Reduce{kind.capitalize()}", self.x, axes=[axis], keepdims=0)
            case "sum":
                self.x = self.node("ReduceSum", self.x, self.ints(axis), keepdims=0)
            case "weighted":
                scores = self.node("MatMul", self.x, self.array(self.width, 1))
                weights = self.node("Softmax", scores, axis=axis)
                weighted = self.node("Mul", weights, self.x)
                self.x = self.node("ReduceSum", weighted, self.ints(axis), keepdims=0)
            case "both":
                parts = [
                    self.node(f"Reduce{how}", self.x, axes=[axis], keepdims=0)
                    for how in ("Mean", "Max")
                ]
                self.x, self.width = self.node("Concat", *parts, axis=1), 2 * self.width
            case "flatten":
                self.to(1)
                self.x, self.width = self.node("Flatten", self.x, axis=1), STEPS * self.width
        return None


def _activations(operator, options, sides):
    """The attributes of a node that say its activations."""
    gate, state = GATE_KINDS[options["gate"]], STATE_KINDS[options["state"]]
    kinds = {"LSTM": [gate, state, ("Tanh",)], "GRU": [gate, state], "RNN": [state]}[operator]
    kinds = kinds * sides
    numbers = {"activations": [name for name, *_ in kinds]}
    for n, name in enumerate(("activation_alpha", "activation_beta"), 1):
        given = [kind[n] for kind in kinds if len(kind) > n]
        if given:
            numbers[name] = given
    return numbers
