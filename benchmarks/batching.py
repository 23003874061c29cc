"""Would rendering several small pictures in one call be faster than one after the other?

    python benchmarks/batching.py [--sizes 32,64,128] [--batches 2,4,8] [--threads 1] [--rounds 15]

The shipped Renderer takes one picture at a time. This makes a copy of its graph that takes several, each with mods of
its own, sees that both give the same pixels, and times them in the same runtime, interleaved: `gain` is the time of so
many single calls over the time of one call with as many. Above 1.05 `upbrush serve` would do well to gather small
requests.
"""

import argparse
import random
import tempfile
import time
from pathlib import Path
from statistics import median

import numpy as np
import onnx
import onnxruntime
import record
from onnx import numpy_helper

from upbrush.engine import MODEL_DIR

WORTH = 1.05


def batched(path: Path, out: Path) -> None:
    """Write the graph of `path` with its first dimension free."""
    model = onnx.load(path)
    graph = model.graph
    fixed = {one.name: numpy_helper.to_array(one) for one in graph.initializer}
    made = {node.output[0]: node for node in graph.node}
    graph.initializer.append(numpy_helper.from_array(np.array([-1], np.int64), "rest"))
    for value in (*graph.input, *graph.output):
        value.type.tensor_type.shape.dim[0].dim_param = "batch"
    for node in graph.node:
        if node.op_type != "Reshape":
            continue
        shape = node.input[1]
        if shape in fixed and len(fixed[shape]) == 3 and fixed[shape][0] == 1:  # (1, 3, all)
            name = f"{shape}_batched"
            graph.initializer.append(numpy_helper.from_array(np.array([0, *fixed[shape][1:]], np.int64), name))
            node.input[1] = name
            del node.attribute[:]  # which say that a 0 means 0
        elif shape in made and made[shape].op_type == "Concat":  # (1, 3, h, w), and (3, h, w) to blur each colour
            made[shape].input[0] = "rest"
    del graph.value_info[:]
    onnx.save(model, out)


def session(path: Path, threads: int) -> onnxruntime.InferenceSession:
    """As upbrush opens it."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads, options.log_severity_level = threads, 1, 4
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def main() -> None:
    """Measure, print, keep."""
    words = argparse.ArgumentParser()
    words.add_argument("--sizes", default="32,64,128")
    words.add_argument("--batches", default="2,4,8")
    words.add_argument("--threads", type=int, default=1)
    words.add_argument("--rounds", type=int, default=15)
    asked = words.parse_args()
    facts = record.circumstances(asked.threads)
    record.introduce(facts)
    path = MODEL_DIR / "renderer.onnx"
    with tempfile.TemporaryDirectory() as folder:
        batched(path, Path(folder) / "batched.onnx")
        several = session(Path(folder) / "batched.onnx", asked.threads)
    single = session(path, asked.threads)
    rng, rows, found = np.random.default_rng(0), [], []
    for size in map(int, asked.sizes.split(",")):
        for count in map(int, asked.batches.split(",")):
            low = rng.random((count, 3, size, size), np.float32)
            mods = rng.normal(0, 0.05, (count, single.get_inputs()[1].shape[1])).astype(np.float32)

            def alone(low: np.ndarray = low, mods: np.ndarray = mods) -> np.ndarray:
                each = [single.run(None, {"low": low[k : k + 1], "mods": mods[k : k + 1]})[0] for k in range(len(low))]
                return np.concatenate(each)

            def together(low: np.ndarray = low, mods: np.ndarray = mods) -> np.ndarray:
                return np.asarray(several.run(None, {"low": low, "mods": mods})[0])

            off = float(np.abs(alone() - together()).max())
            assert off < 1e-3, f"the batched graph gives other pixels: {off}"
            gains = []
            for _ in range(asked.rounds):
                order, took = [alone, together], {}
                random.Random(len(gains)).shuffle(order)
                for way in order:
                    start = time.perf_counter()
                    way()
                    took[way] = time.perf_counter() - start
                gains.append(took[alone] / took[together])
            spread = record.spread(gains)
            found.append({"size": size, "batch": count, "gain": spread, "off_by": off})
            verdict = "worth it" if spread["median"] > WORTH else "not worth it"
            rows.append([f"{size}x{size}, {count} at once", f"{median(gains):.2f}", f"{spread['iqr']:.2f}", verdict])
    record.show(["pictures", "gain", "iqr", "so"], rows)
    print(record.write("batching", {"circumstances": facts, "found": found}))


if __name__ == "__main__":
    main()
