"""How fast is the shipped generator beside the rivals' networks, in the same engine, threads and run?

    python benchmarks/speed.py [--rounds 15] [--threads 2] [--sizes 128x128,480x270] [--no-rrdb]

Every network gets a float picture in [0, 1] and gives one four times larger. Ours counts everything that a repaint with
a cached code needs beyond that: modulating and rendering. Rounds are interleaved: each network once a round, in an
order drawn anew, so that a machine that slows down slows all of them down, and ratios are taken within rounds.
"""

import argparse
import random
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import record
import rivals

import upbrush.engine
import upbrush.views
from upbrush import Painter, styles

SEED = 0
WARM_UPS = 2
REST_SECONDS = 0.03  # before each sample, so that the last engine's threads have stopped spinning
SLOW_SECONDS, SLOW_EVERY = 1.5, 5  # a network slower than this runs in every fifth round only
OURS = "upbrush"

Run = Callable[[], Any]


def ours(engine_name: str, threads: int, low: np.ndarray) -> Run:
    """Modulate and render with a cached code."""
    engine = upbrush.engine.open_engine(engine_name, threads=threads)
    pixels = (low[0].transpose(1, 2, 0) * 255).round().astype(np.uint8)
    code, thumbnail = engine.encode(pixels), upbrush.views.thumbnail(pixels)
    return lambda: engine.render(low, engine.modulate(thumbnail, code, 1.0, 0.5))


def whole_path(engine_name: str, threads: int, low: np.ndarray) -> Run:
    """The same from pixels to pixels, as a user calls it: thumbnail, tiles, rounding and all."""
    engine = upbrush.engine.open_engine(engine_name, threads=threads)
    painter = Painter(engine)
    pixels = (low[0].transpose(1, 2, 0) * 255).round().astype(np.uint8)
    style = styles.resolve(pixels, engine)
    return lambda: painter.paint(pixels, style=style)


def rival(engine_name: str, threads: int, low: np.ndarray, path: Path) -> Run:
    """A rival's network with the settings that our own engine uses for ours."""
    if engine_name == "onnxruntime":
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
        session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        return lambda: session.run(None, {"low": low})
    import openvino

    precision = "bf16" if engine_name.endswith("bf16") else "f32"
    settings = {"INFERENCE_PRECISION_HINT": precision, "PERFORMANCE_HINT": "LATENCY", "INFERENCE_NUM_THREADS": threads}
    request = openvino.Core().compile_model(path, "CPU", settings).create_infer_request()
    return lambda: np.asarray(request.infer({"low": low})[0])


def sample(run: Run) -> float:
    """Seconds of one run."""
    time.sleep(REST_SECONDS)
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def interleave(subjects: dict[tuple[str, str], Run], rounds: int) -> dict[tuple[str, str], dict[int, float]]:
    """Seconds of every subject by round, after warm-ups. Slow ones sit most rounds out."""
    warm = {key: min(sample(run) for _ in range(WARM_UPS)) for key, run in subjects.items()}
    seconds: dict[tuple[str, str], dict[int, float]] = {key: {} for key in subjects}
    order = random.Random(SEED)
    for turn in range(rounds):
        keys = list(subjects)
        order.shuffle(keys)
        for key in keys:
            if warm[key] < SLOW_SECONDS or turn % SLOW_EVERY == 0:
                seconds[key][turn] = sample(subjects[key])
    return seconds


def measure(size: tuple[int, int], engines: list[str], networks: dict[str, Path], rounds: int, threads: int) -> list:
    """One size on all engines: a result for each network, with the ratio of ours to it in the same engine."""
    width, height = size
    low = np.random.default_rng(SEED).random((1, 3, height, width), dtype=np.float32)
    subjects: dict[tuple[str, str], Run] = {}
    for engine in engines:
        subjects[engine, OURS] = ours(engine, threads, low)
        subjects[engine, f"{OURS}, pixels to pixels"] = whole_path(engine, threads, low)
        for name, path in networks.items():
            subjects[engine, name] = rival(engine, threads, low, path)
    seconds = interleave(subjects, rounds)
    results = []
    for (engine, name), samples in seconds.items():
        ratios = [seconds[engine, OURS][turn] / value for turn, value in samples.items()]
        facts = {"low": f"{width}x{height}", "engine": engine, "network": name}
        results.append(facts | {"seconds": record.spread([*samples.values()]), "ours_over_it": record.spread(ratios)})
    return results


def show(results: list[dict[str, Any]]) -> None:
    """Print a table for each size and engine: wins and losses alike."""
    places = dict.fromkeys((result["low"], result["engine"]) for result in results)
    for low, engine in places:
        rows = []
        for result in (r for r in results if (r["low"], r["engine"]) == (low, engine)):
            time_ms = {key: 1e3 * value for key, value in result["seconds"].items()}
            ratio = result["ours_over_it"]
            verdict = "" if result["network"].startswith(OURS) else "faster" if ratio["median"] <= 1 else "SLOWER"
            numbers = [f"{time_ms['median']:.1f}", f"{time_ms['iqr']:.1f}", str(result["seconds"]["samples"])]
            rows.append([result["network"], *numbers, f"{ratio['median']:.3f}", f"{ratio['iqr']:.3f}", verdict])
        print(f"\n{low} x4, {engine}")
        record.show(["network", "median ms", "IQR", "rounds", "ours / it", "IQR", "ours is"], rows)


def main() -> None:
    """Measure, print, keep."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=15, help="rounds, at least 10 for a slow network to have spread")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--sizes", default="128x128,480x270", help="low sizes, WxH, comma between")
    parser.add_argument("--engines", default=",".join(upbrush.engine.engines_here()))
    parser.add_argument("--no-rrdb", action="store_true", help="leave the slowest rival out")
    args = parser.parse_args()
    if args.rounds <= SLOW_EVERY:
        parser.error(f"--rounds {args.rounds}: a spread needs {SLOW_EVERY + 1} or more")
    facts = record.circumstances(args.threads)
    record.introduce(facts)
    names = rivals.NAMES[:2] if args.no_rrdb else rivals.NAMES
    networks = rivals.export(record.RESULTS / "rivals", names)
    results = []
    for text in args.sizes.split(","):
        width, height = (int(side) for side in text.split("x"))
        results += measure((width, height), args.engines.split(","), networks, args.rounds, args.threads)
    show(results)
    settings = {"seed": SEED, "warm_ups": WARM_UPS, "rounds": args.rounds, "rest_seconds": REST_SECONDS}
    print(f"\nwritten: {record.write('speed', {'circumstances': facts, 'settings': settings, 'results': results})}")


if __name__ == "__main__":
    main()
