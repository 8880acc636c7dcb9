"""The same network as an ONNX graph: its LSTM operator, and the head as a Gemm."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper


def session(model) -> onnxruntime.InferenceSession:
    """Return a session on one thread that makes scores (B, C) of x (T, B, D)."""
    H, D, C = model.hidden_size, model.input_size, model.num_classes
    both = model.layers[0]
    arrays = {
        "W": np.stack([to_iofc(weights.weight_ih) for weights in both]),
        "R": np.stack([to_iofc(weights.weight_hh) for weights in both]),
        "B": np.stack([np.append(to_iofc(w.bias), np.zeros_like(w.bias)) for w in both]),
        "head": model.head_weight,
        "width": np.array([-1, 2 * H]),
    }
    nodes = [
        helper.make_node(
            "LSTM", ["x", "W", "R", "B"], ["", "h"], hidden_size=H, direction="bidirectional"
        ),
        helper.make_node("Transpose", ["h"], ["by_sequence"], perm=[1, 0, 2]),
        helper.make_node("Reshape", ["by_sequence", "width"], ["final"]),
        helper.make_node("Gemm", ["final", "head"], ["scores"], transB=1),
    ]
    graph = helper.make_graph(
        nodes,
        "classifier",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["T", "B", D])],
        [helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["B", C])],
        [numpy_helper.from_array(np.array(array), name) for name, array in arrays.items()],
    )
    proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(proto)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    return onnxruntime.InferenceSession(
        proto.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )


def to_iofc(array):
    """Reorder the gates i, f, g, o as ONNX has them."""
    i, f, g, o = np.split(array, 4)
    return np.concatenate([i, o, f, g])
