"""How many frames a second does `upbrush video` paint, beside its engine's ceiling and SRVGG; is memory flat?

    python benchmarks/video.py [--size 320x180] [--frames 48] [--rounds 5] [--threads 2] [--no-rival] [--clip a.mp4]

The clip is drawn by code (a photograph of scikit-image that the camera pans over, two shots, H.264), or --clip. In each
round, in an order drawn anew: the whole command restoring and repainting, decode to finished file; the engine alone,
rendering one frame after the other with cached mods, and as many at once as `upbrush video` does; SRVGG 64x16 alone in
the same runtime and threads. Shares of both ways of the engine are taken within rounds. Then, once: what each stage
costs by itself, how late live frames are, and the peak memory of clips of 1 and of 4 lengths.

    python benchmarks/video.py --encoders        # instead: what the presets of H.264 and HEVC cost and keep
"""

import argparse
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import record
import rivals

from upbrush import Painter, photographs
from upbrush.knobs import Knobs
from upbrush.video import command, live, reading, work
from upbrush.video.asked import Asked
from upbrush.video.brush import Brush, marked
from upbrush.video.clip import Frame
from upbrush.video.codecs import CODECS
from upbrush.video.conversion import Writer
from upbrush.video.encoding import Encoder, add_video
from upbrush.video.sources import Address
from upbrush.video.steady import Steady

SEED, TARGET = 0, 0.85
STYLE = "monet"
ALONE, AT_ONCE = "the engine alone", "the engine alone, frames at once"
LIVE_SECONDS = 15.0
PRESETS = (
    *(("h264", preset, crf) for preset, crf in (("medium", 17), ("faster", 17), ("veryfast", 17), ("veryfast", 16))),
    *(("hevc", preset, 20) for preset in ("medium", "fast")),
)
SHORT = 100  # frames; the long clip has four times as many


def draw_clip(path: Path, width: int, height: int, count: int) -> Path:
    """A pan over a photograph, a frame a pixel, and a cut to another in the middle: H.264 of good quality."""
    names = ("astronaut", "coffee")
    side = 2 * max(width, height)
    if photographs.are_here():
        scenes = [photographs.photograph(name, side) for name in names]
    else:
        scenes = [photographs.drawing(side), photographs.drawing(side)[::-1]]
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"crf": "16"})
        assert isinstance(stream, av.VideoStream)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        for index in range(count):
            scene = scenes[0 if index < count // 2 else 1]
            left, top = index % (side - width), index // 2 % (side - height)
            view = np.ascontiguousarray(scene[top : top + height, left : left + width])
            container.mux(stream.encode(av.VideoFrame.from_ndarray(view, format="rgb24")))
        container.mux(stream.encode(None))
    return path


def job_of(clip: Path, out: Path, painter: Painter, style: str | None) -> work.Job:
    """What `upbrush video CLIP -o OUT [--style …]` does."""
    asked = Asked(source=str(clip), out=str(out), style=style)
    return command.planned(asked, painter, True)


def paint(clip: Path, folder: Path, painter: Painter, hands: int, style: str | None) -> float:
    """Frames a second of the whole command."""
    out = folder / "out.mp4"
    out.unlink(missing_ok=True)
    began = time.perf_counter()
    told = work.run(job_of(clip, out, painter, style), painter, hands=hands)
    return told.frames / (time.perf_counter() - began)


def engine_alone(lows: list[np.ndarray], painter: Painter) -> float:
    """Frames a second of the engine's `render`, mods made before."""
    mods = painter.engine.modulate(np.zeros((6, 32, 32), np.float32), None, 0.0, 0.5)
    began = time.perf_counter()
    for low in lows:
        painter.engine.render(low, mods)
    return len(lows) / (time.perf_counter() - began)


def engine_at_once(lows: list[np.ndarray], painter: Painter, hands: int) -> float:
    """The same with so many frames rendered at once, as `upbrush video` does."""
    mods = painter.engine.modulate(np.zeros((6, 32, 32), np.float32), None, 0.0, 0.5)
    with ThreadPoolExecutor(hands) as crew:
        began = time.perf_counter()
        list(crew.map(lambda low: painter.engine.render(low, mods), lows))
        return len(lows) / (time.perf_counter() - began)


def rival_alone(lows: list[np.ndarray], path: Path, threads: int) -> float:
    """Frames a second of a rival's network with the settings of our own engine."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    session.run(None, {"low": lows[0]})
    began = time.perf_counter()
    for low in lows:
        session.run(None, {"low": low})
    return len(lows) / (time.perf_counter() - began)


def rounds_of(subjects: dict[str, Callable[[], float]], rounds: int) -> dict[str, list[float]]:
    """Frames a second of every subject in each round, after one that does not count."""
    rates: dict[str, list[float]] = {name: [] for name in subjects}
    order = random.Random(SEED)
    for turn in range(rounds + 1):
        names = list(subjects)
        order.shuffle(names)
        for name in names:
            rate = subjects[name]()
            if turn:
                rates[name].append(rate)
    return rates


def stages(clip: Path, folder: Path, painter: Painter) -> dict[str, float]:
    """Milliseconds a frame of each stage, alone and one after the other."""
    job = job_of(clip, folder / "stages.mp4", painter, STYLE)
    times: dict[str, float] = {}

    def timed(name: str, run: Callable[[], Any]) -> Any:
        began = time.perf_counter()
        got = run()
        times[name] = 1e3 * (time.perf_counter() - began) / len(frames)
        return got

    frames = list(reading.frames(job.clip))
    timed("decoding", lambda: list(reading.frames(job.clip)))
    steps = timed("finding shots", lambda: list(marked(frames)))
    brush = Brush(painter, job.knobs, job.clip.time_base)
    painted = timed("painting", lambda: list(brush.paint(steps)))
    steady = Steady(True)
    done = timed("steadying", lambda: [steady.next(one.low, one.frame.pixels, one.cut) for one in painted])
    encoder = Encoder(job.target)

    def encode() -> None:
        for one, pixels in zip(painted, done, strict=True):
            encoder.encode(Frame(one.frame.pts, one.frame.duration, pixels))
        encoder.flush()

    timed("encoding", encode)
    return times


def encoders(clip: Path, folder: Path, painter: Painter, hands: int) -> list[list[str]]:
    """Processor milliseconds, size and error of painted frames by preset and crf."""
    rows = []
    for style in (None, STYLE):
        job = job_of(clip, folder / "encoders.mkv", painter, style)
        brush, steady = Brush(painter, job.knobs, job.clip.time_base), Steady(style is not None)
        painted = brush.paint(marked(reading.frames(job.clip)), None, hands)
        done = [Frame(p.frame.pts, p.frame.duration, steady.next(p.low, p.frame.pixels, p.cut)) for p in painted]
        wanted = [Writer(job.target.pixels, job.target.colour).frame(frame).to_ndarray() for frame in done]
        for name, preset, crf in PRESETS:
            codec = replace(CODECS[name], options={**CODECS[name].options, "preset": preset})
            path = folder / f"{style}-{name}-{preset}-{crf}.mkv"
            began = time.process_time()
            with av.open(str(path), "w") as container:
                stream = add_video(container, replace(job.target, codec=codec, crf=crf))
                for frame in done:
                    made = Writer(job.target.pixels, job.target.colour).frame(frame)
                    made.pts, made.time_base = frame.pts, job.target.time_base
                    container.mux(stream.encode(made))
                container.mux(stream.encode(None))
            spent = 1e3 * (time.process_time() - began) / len(done)
            with av.open(str(path)) as container:
                got = [frame.to_ndarray() for frame in container.decode(video=0)]
            height = job.target.height
            error = np.mean([
                np.square(a[:height].astype(np.float32) - b[:height]).mean()
                for a, b in zip(wanted, got, strict=True)
            ])  # fmt: skip
            size, psnr = path.stat().st_size / len(done) / 1e3, 10 * np.log10(255**2 / error)
            rows.append([style or "restored", name, preset, str(crf), f"{spent:.0f}", f"{size:.1f}", f"{psnr:.2f}"])
    return rows


def latency(width: int, height: int, painter: Painter) -> str:
    """What `upbrush video` says of itself, live: a source of 30 frames a second, a screen that costs nothing."""

    class Nowhere:
        def show(self, frame: Frame) -> bool:
            return True

        def close(self) -> None:
            pass

    newest = live.Newest(Address(f"testsrc2=size={width}x{height}:rate=30,realtime", "lavfi"))
    brush = Brush(painter, Knobs(strength=0.0), live.TIME_BASE, late=True)
    seen = live.Seen()
    live.go(newest, Nowhere(), brush, Steady(False), work.Prepared(), seen, LIVE_SECONDS)
    return seen.told


def peak_mb(clip: Path, threads: int) -> float:
    """Peak memory of the command in a process of its own, MB."""
    words = [sys.executable, __file__, "--peak", str(clip), "--threads", str(threads)]
    return float(subprocess.run(words, capture_output=True, text=True, check=True).stdout)


def show_peak(clip: Path, threads: int) -> None:
    """Paint, and print what it took."""
    with tempfile.TemporaryDirectory() as folder:
        paint(clip, Path(folder), *command.opened(threads=threads), None)
    told = Path("/proc/self/status").read_text()  # getrusage would count the parent, from before the program was loaded
    print(next(int(line.split()[1]) / 1e3 for line in told.splitlines() if line.startswith("VmHWM")))


def measure(args: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """All of it."""
    width, height = (int(side) for side in args.size.split("x"))
    clip = args.clip or draw_clip(folder / "clip.mp4", width, height, args.frames)
    painter, hands = command.opened(threads=args.threads)
    late, _ = command.opened(threads=args.threads, late=True)
    found = reading.probe(clip)
    with closing(reading.frames(found, Fraction(0))) as frames:
        lows = [next(frames).pixels.transpose(2, 0, 1)[None].astype(np.float32) / 255 for _ in range(6)]
    subjects: dict[str, Callable[[], float]] = {
        "upbrush video, restored": lambda: paint(clip, folder, painter, hands, None),
        "upbrush video, repainted": lambda: paint(clip, folder, painter, hands, STYLE),
        ALONE: lambda: engine_alone(lows, late),
        AT_ONCE: lambda: engine_at_once(lows, painter, hands),
    }
    if not args.no_rival:
        path = rivals.export(record.RESULTS / "rivals", rivals.NAMES[:1])[rivals.NAMES[0]]
        subjects[f"{rivals.NAMES[0]} alone"] = lambda: rival_alone(lows, path, args.threads)
    rates = rounds_of(subjects, args.rounds)
    rows = []
    for name, each in rates.items():
        shares = [
            f"{statistics.median(rate / most for rate, most in zip(each, rates[alone], strict=True)):.1%}"
            for alone in (ALONE, AT_ONCE)
        ]
        rows.append([name, f"{statistics.median(each):.2f}", *shares])
    print(f"\n{found.width}x{found.height} x4, {found.frames} frames, H.264; target {TARGET:.0%} of the engine alone")
    record.show(["", "frames/s, median", "of the engine alone", "of it, frames at once"], rows)
    cost = stages(clip, folder, late)
    print("\nms a frame, each stage alone: " + ", ".join(f"{name} {ms:.1f}" for name, ms in cost.items()))
    delays = {size: latency(*(int(side) for side in size.split("x")), late) for size in ("160x90", args.size)}
    for size, told in delays.items():
        print(f"live, {size} x4: {told}")
    short = draw_clip(folder / "short.mp4", 64, 36, SHORT)
    long = draw_clip(folder / "long.mp4", 64, 36, 4 * SHORT)
    memory = {
        name: peak_mb(path, args.threads) for name, path in ((f"{SHORT} frames", short), (f"{4 * SHORT} frames", long))
    }
    print("peak memory, 64x36: " + ", ".join(f"{name} {mb:.0f} MB" for name, mb in memory.items()))
    return {"rates": rates, "stages_ms": cost, "live": delays, "peak_mb": memory, "clip": str(found)}


def main() -> None:
    """Measure, print, keep."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", default="320x180", help="of the clip drawn here, WxH")
    parser.add_argument("--frames", type=int, default=48)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--no-rival", action="store_true", help="leave SRVGG out: it needs torch and spandrel")
    parser.add_argument("--clip", type=Path, help="a clip instead of the drawn one")
    parser.add_argument("--encoders", action="store_true", help="compare presets of H.264 and HEVC, and stop")
    parser.add_argument("--peak", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.peak:
        show_peak(args.peak, args.threads)
        return
    facts = record.circumstances(args.threads)
    record.introduce(facts)
    with tempfile.TemporaryDirectory() as folder:
        if args.encoders:
            clip = draw_clip(Path(folder) / "clip.mp4", *(int(side) for side in args.size.split("x")), args.frames)
            rows = encoders(clip, Path(folder), *command.opened(threads=args.threads))
            record.show(["", "codec", "preset", "crf", "processor ms a frame", "KB a frame", "PSNR of luma, dB"], rows)
            return
        results = measure(args, Path(folder))
    settings = {"seed": SEED, "rounds": args.rounds, "size": args.size, "frames": args.frames}
    print(f"\nwritten: {record.write('video', {'circumstances': facts, 'settings': settings, 'results': results})}")


if __name__ == "__main__":
    main()
