# SPDX-License-Identifier: Apache-2.0
"""ONNX Runtime as a peer: models of one node, inputs and outputs bound in advance."""
import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper

from bench_common import THREADS, copies, in_turn, noise, rotate

KINDS = {np.float32: TensorProto.FLOAT, np.int8: TensorProto.INT8, np.uint8: TensorProto.UINT8,
         np.int32: TensorProto.INT32, np.int64: TensorProto.INT64}


def load():
    return onnxruntime.__version__


def session(op, inputs, outputs, constants=(), domain="", **attributes):
    """A bound session of one node; inputs and constants are arrays, outputs (dtype, shape)."""
    names = ["x%d" % i for i in range(len(inputs))] + ["w%d" % i for i in range(len(constants))]
    node = helper.make_node(op, names, ["y%d" % i for i in range(len(outputs))], domain=domain, **attributes)
    graph = helper.make_graph(
        [node], op,
        [helper.make_tensor_value_info("x%d" % i, KINDS[x.dtype.type], x.shape) for i, x in enumerate(inputs)],
        [helper.make_tensor_value_info("y%d" % i, KINDS[t], shape) for i, (t, shape) in enumerate(outputs)],
        [onnx.numpy_helper.from_array(w, "w%d" % i) for i, w in enumerate(constants)])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17), helper.make_opsetid("com.microsoft", 1)])
    model.ir_version = 8
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = THREADS
    options.inter_op_num_threads = 1
    s = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])

    def make():
        bound = s.io_binding()
        for i, x in enumerate(inputs):
            bound.bind_ortvalue_input("x%d" % i, onnxruntime.OrtValue.ortvalue_from_numpy(x.copy()))
        for i, (t, shape) in enumerate(outputs):
            bound.bind_ortvalue_output("y%d" % i, onnxruntime.OrtValue.ortvalue_from_numpy(np.zeros(shape, t)))
        return lambda: s.run_with_iobinding(bound)
    if constants:  # they are what is large: the caller has sessions in turn
        return make()
    out_bytes = sum(np.dtype(t).itemsize * int(np.prod(shape)) for t, shape in outputs)
    return in_turn(make, sum(x.nbytes for x in inputs) + out_bytes)


def linear4(s):
    """MatMulNBits: 4-bit blocks of 32, activations quantised to int8 (accuracy_level 4)."""
    m, n, b = s["M"], s["N"], s["B"]
    x = noise(m, 32 * b)
    made = []
    for _ in range(copies(n * b * 18)):
        w = np.random.randint(0, 256, (n, b, 16), dtype=np.uint8)
        made.append(session("MatMulNBits", [x], [(np.float32, (m, n))], [w, noise(n * b)], domain="com.microsoft",
                            K=32 * b, N=n, bits=4, block_size=32, accuracy_level=4))
    return rotate(made)


def peers(kernel, s):
    f32_only = s.get("T", "f32") == "f32"
    if kernel == "matmul" and f32_only and not s.get("hot"):
        a, b = noise(s["M"], s["K"]), noise(s["K"], s["N"])
        return {"ort": session("MatMul", [a, b], [(np.float32, (s["M"], s["N"]))])}
    if kernel == "linear" and f32_only:
        x = noise(s["M"], s["K"])
        return {"ort": rotate([session("MatMul", [x], [(np.float32, (s["M"], s["N"]))], [noise(s["K"], s["N"])])
                               for _ in range(copies(4 * s["N"] * s["K"]))])}
    if kernel == "matmul_i8":
        a = np.random.randint(0, 255, (s["M"], s["K"]), dtype=np.uint8)
        b = np.random.randint(-127, 127, (s["K"], s["N"]), dtype=np.int8)
        return {"ort": rotate([session("MatMulInteger", [a], [(np.int32, (s["M"], s["N"]))], [b])
                               for _ in range(min(16, copies(a.nbytes + b.nbytes)))])}
    if kernel in ("linear_q4_0", "linear_q4_0_q8_0"):
        return {"ort": linear4(s)}
    if kernel == "softmax" and f32_only:
        x = noise(s["M"], s["N"])
        return {"ort": session("Softmax", [x], [(np.float32, x.shape)], axis=-1)}
    if kernel == "rmsnorm" and f32_only:
        x = noise(s["M"], s["D"])
        return {"ort": session("SimplifiedLayerNormalization", [x, noise(s["D"])], [(np.float32, x.shape)], epsilon=1e-6)}
    if kernel == "add" and f32_only:
        x = noise(s["N"])
        return {"ort": session("Add", [x, noise(s["N"])], [(np.float32, x.shape)])}
    if kernel == "topk_select" and f32_only:
        x = np.random.randn(s["R"], s["N"]).astype(np.float32)
        shape = (s["R"], s["KTOP"])
        return {"ort": session("TopK", [x, np.array([s["KTOP"]], np.int64)], [(np.float32, shape), (np.int64, shape)],
                               sorted=0)}
    return {}
