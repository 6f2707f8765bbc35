# SPDX-License-Identifier: Apache-2.0
"""IREE as a peer: what a compiler makes of a product and of row-wise maps, for this host."""
import importlib.metadata

import iree.compiler
import iree.runtime as rt
import numpy as np

from bench_common import THREADS, in_turn

MATMUL = """
func.func @main(%a: tensor<{m}x{k}xf32>, %b: tensor<{k}x{n}xf32>) -> tensor<{m}x{n}xf32> {{
  %z = arith.constant 0.0 : f32
  %e = tensor.empty() : tensor<{m}x{n}xf32>
  %c = linalg.fill ins(%z : f32) outs(%e : tensor<{m}x{n}xf32>) -> tensor<{m}x{n}xf32>
  %r = linalg.matmul ins(%a, %b : tensor<{m}x{k}xf32>, tensor<{k}x{n}xf32>)
      outs(%c : tensor<{m}x{n}xf32>) -> tensor<{m}x{n}xf32>
  return %r : tensor<{m}x{n}xf32>
}}
"""


def load():
    rt.flags.parse_flags("--task_topology_group_count=%d" % THREADS)
    return importlib.metadata.version("iree-base-compiler")


def peers(kernel, s):
    if kernel != "matmul" or s["T"] != "f32" or s.get("hot"):
        return {}
    code = iree.compiler.compile_str(MATMUL.format(m=s["M"], n=s["N"], k=s["K"]), target_backends=["llvm-cpu"],
                                     extra_args=["--iree-llvmcpu-target-cpu=host", "--iree-opt-level=O3"])
    config = rt.Config("local-task")
    context = rt.SystemContext(config=config)
    context.add_vm_module(rt.VmModule.copy_buffer(context.instance, code))
    main = context.modules.module["main"]
    m, n, k = s["M"], s["N"], s["K"]

    def make():
        a, b = (rt.asdevicearray(config.device, np.random.rand(*shape).astype(np.float32)) for shape in ((m, k), (k, n)))
        return lambda: main(a, b)
    return {"iree": in_turn(make, 4 * (m * k + k * n + m * n))}
