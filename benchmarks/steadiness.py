"""Does a painted clip shimmer? Warping error, sharpness and cost, frame by frame and steadied.

    python benchmarks/steadiness.py                 # pans made by code, and the clips of UPBRUSH_DATA/samples
    python benchmarks/steadiness.py --tried         # what each part of the steady hand is worth

A clip is brought down to a quarter and painted back up, so its own frames tell the motion that all are judged by;
that of a pan is known. Targets: restoring, an error of at most 1.1 times that of the low clip's bicubic enlargement;
repainting, at most 0.6 times that of painting frame by frame; both within 5 % of its sharpness.
"""

import argparse
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from unittest import mock

import cv2
import numpy as np
import record
from PIL import Image

from upbrush.engine import open_engine
from upbrush.measure import warping
from upbrush.painter import Painter
from upbrush.video import motion, steady
from upbrush.video.shots import Shots

SCALE = 4
RESTORING, REPAINTING = 1.1, 0.6  # targets
CLIPS = {  # file: first frame, and the part (top, left, height, width) that is looked at; None is all
    "cockatoo.mp4": (40, (150, 300, 384, 640)),
    "cutBunny.mp4": (20, None),
    "realshort.mp4": (0, None),
    "face.mp4": (0, None),
}
PANS = {  # name: high pixels a frame down and across, zoom a frame, turn a frame (radians), noise (grey levels)
    "pan": (3.3, 5.9, 1.0, 0.0, 2.0),
    "slow pan": (0.7, 1.3, 1.0, 0.0, 2.0),
    "turn and zoom": (0.0, 1.0, 0.99, 0.004, 2.0),
    "standing still": (0.0, 0.0, 1.0, 0.0, 2.0),
}
REPAINTED, RESTORED = steady.REPAINTED, steady.RESTORED
TRIED: dict[str, dict[str, Any]] = {  # what is changed in `steady` and `motion`, and so what is left out
    "as it is": {},
    "flow at half size": {"finest": 1},
    "no anchor": {"ANCHOR_FRAMES": 1},
    "contrast not held": {"MOST_GAIN": 1.0},
    "finest contrast not held": {
        "REPAINTED": replace(REPAINTED, gains=(0.0, REPAINTED.gains[1])),
        "RESTORED": replace(RESTORED, gains=(0.0, RESTORED.gains[1])),
    },
    "not calmed": {"RESTORED": replace(RESTORED, calm=0.0)},
    "values not held": {"AROUND_PX": 99},
    "half of the past": {"REPAINTED": replace(REPAINTED, keep=0.5), "RESTORED": replace(RESTORED, keep=0.5)},
    "trusted anywhere": {"AGREE_PX": 1e9, "ALIKE": 1e9, "ANCHOR_ALIKE": 1e9},
    "colours of the past": {"COLOURS": 1.0},
}


@dataclass(frozen=True, eq=False)
class Scene:
    """A clip: what it is, its low frames, and the motion in high pixels."""

    name: str
    low: list[np.ndarray]
    along: list[warping.Motion]


def main() -> None:
    """Measure, print, keep."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=int, default=20, help="of each clip")
    parser.add_argument("--styles", nargs="*", default=["monet", "klimt"])
    parser.add_argument("--scenes", nargs="*", help="names; all if left out")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--tried", action="store_true", help="leave out one part after the other")
    asked = parser.parse_args()
    facts = record.circumstances(asked.threads)
    record.introduce(facts)
    painter = Painter(open_engine(threads=asked.threads))
    rows = []
    for scene in scenes(asked.frames, asked.scenes):
        for style in (None, *asked.styles):
            rows += measured(scene, style, painter, TRIED if asked.tried else {"as it is": {}})
    show(rows, asked.tried)
    path = record.write("steadiness-tried" if asked.tried else "steadiness", {"circumstances": facts, "rows": rows})
    print(f"\n{path}")


def scenes(frames: int, names: Sequence[str] | None) -> Iterator[Scene]:
    """The pans, and the clips where they are."""
    from skimage import data

    pictures = [data.astronaut(), data.chelsea(), data.coffee(), data.rocket()]
    for number, (name, how) in enumerate(PANS.items()):
        if not names or name in names:
            yield pan(name, pictures[number % len(pictures)], frames, *how)
    folder = Path(os.environ.get("UPBRUSH_DATA", ""), "samples")
    for name, (first, part) in CLIPS.items():
        if names and name not in names:
            continue
        if not (folder / name).is_file():
            print(f"{name}: left out, not in UPBRUSH_DATA/samples")
            continue
        high = read(folder / name, first, frames, part)
        yield Scene(name, [reduced(frame) for frame in high], warping.motions(high))


def read(path: Path, first: int, frames: int, part: tuple[int, int, int, int] | None) -> list[np.ndarray]:
    """Frames of one shot, cut to whole low pixels."""
    import av

    found: list[np.ndarray] = []
    shots = Shots()
    with av.open(str(path)) as clip:
        for number, frame in enumerate(clip.decode(clip.streams.video[0])):
            if number < first:
                continue
            pixels = frame.to_ndarray(format="rgb24")
            if part is not None:
                top, left, height, width = part
                pixels = pixels[top : top + height, left : left + width]
            height, width = (side // SCALE * SCALE for side in pixels.shape[:2])
            pixels = np.ascontiguousarray(pixels[:height, :width])
            if shots.next(pixels) and found or len(found) == frames:
                break
            found.append(pixels)
    return found


def pan(
    name: str, picture: np.ndarray, frames: int, down: float, across: float, zoom: float, turn: float, noise: float
) -> Scene:
    """A camera over a photograph: a film of 480x360, its motion known exactly; the low frames have a camera's noise."""
    factor = 900 / min(picture.shape[:2])
    wide = cv2.resize(picture, None, fx=factor, fy=factor, interpolation=cv2.INTER_CUBIC).astype(np.float32)
    rows, columns = np.indices((360, 480), np.float32)
    rng = np.random.default_rng(0)
    rows, columns = rows - 180, columns - 240

    def place(t: int) -> tuple[np.ndarray, np.ndarray]:
        cos, sin = np.cos(turn * t) * zoom**t, np.sin(turn * t) * zoom**t
        x, y = cos * columns - sin * rows + 320 + across * t, sin * columns + cos * rows + 300 + down * t
        return x.astype(np.float32), y.astype(np.float32)

    low, along = [], []
    for t in range(frames):
        x, y = place(t)
        high = cv2.remap(wide, x, y, cv2.INTER_LANCZOS4, borderMode=cv2.BORDER_REFLECT)
        seen = reduced(np.clip(np.rint(high), 0, 255).astype(np.uint8))
        low.append(np.clip(np.rint(seen + rng.normal(0, noise, seen.shape)), 0, 255).astype(np.uint8))
        if t:
            along.append(warping.known_motion(before_in_frame(x, y, t - 1, (down, across, zoom, turn))))
    return Scene(name, low, along)


def before_in_frame(x: np.ndarray, y: np.ndarray, t: int, how: tuple[float, float, float, float]) -> np.ndarray:
    """Where in frame t the places x, y of the photograph were seen, as an offset from each pixel."""
    down, across, zoom, turn = how
    x, y = x - 320 - across * t, y - 300 - down * t
    cos, sin = np.cos(turn * t) / zoom**t, np.sin(turn * t) / zoom**t
    rows, columns = np.indices(x.shape, np.float32)
    return np.stack([cos * x + sin * y + 240 - columns, -sin * x + cos * y + 180 - rows], 2).astype(np.float32)


def reduced(frame: np.ndarray) -> np.ndarray:
    """A quarter of the size, by antialiased bicubic."""
    height, width = (side // SCALE for side in frame.shape[:2])
    return np.asarray(Image.fromarray(frame).resize((width, height), Image.Resampling.BICUBIC))


def measured(
    scene: Scene, style: str | None, painter: Painter, ways: dict[str, dict[str, Any]]
) -> list[dict[str, Any]]:
    """Paint a clip in one look, frame by frame, and steady it in each way."""
    look = painter.look(scene.low[: 1 + len(scene.low) // 4], style)
    painted, painting = timed(lambda low, first: painter.paint(low, look=look), scene.low)
    large = [cv2.resize(low, None, fx=SCALE, fy=SCALE, interpolation=cv2.INTER_CUBIC) for low in scene.low]
    bicubic = warping.warping_error(large, scene.along)
    loose = warping.warping_error(painted, scene.along)
    rows = []
    for way, changed in ways.items():
        with patched(changed):
            hand = steady.Steady(style is not None)
            if "finest" in changed:
                hand._eyes[0]._motion.back.setFinestScale(changed["finest"])
            waiting = iter(painted)
            held, steadying = timed(lambda low, first, h=hand, w=waiting: h.next(low, next(w), first), scene.low)
        error = warping.warping_error(held, scene.along)
        target = RESTORING * bicubic if style is None else REPAINTING * loose
        rows.append({
            "scene": scene.name, "low": f"{scene.low[0].shape[1]}x{scene.low[0].shape[0]}", "frames": len(scene.low),
            "style": style or "restored", "way": way, "bicubic": bicubic, "frame_by_frame": loose, "steady": error,
            "over_target": error / target, "sharpness": warping.sharpness_ratio(held, painted),
            "edges": warping.edge_ratio(held, painted), "painting_ms": painting, "steadying_ms": steadying,
        })  # fmt: skip
        tell(rows[-1])
    return rows


def timed(work: Any, low: Sequence[np.ndarray]) -> tuple[list[np.ndarray], float]:
    """What `work` makes of each frame, and the median milliseconds of one but the first."""
    done, spent = [], []
    for number, frame in enumerate(low):
        start = time.perf_counter()
        done.append(work(frame, number == 0))
        spent.append(1000 * (time.perf_counter() - start))
    return done, float(np.median(spent[1:]))


@contextmanager
def patched(changed: dict[str, Any]) -> Iterator[None]:
    """Other constants in `steady` and `motion` for a while."""
    with ExitStack() as stack:
        for name, value in changed.items():
            if name.isupper():
                stack.enter_context(mock.patch.object(steady if hasattr(steady, name) else motion, name, value))
        yield


def tell(row: dict[str, Any]) -> None:
    """One line while it runs: the rest takes minutes."""
    print(f"{row['scene']}, {row['style']}, {row['way']}: {row['over_target']:.2f} of the target", flush=True)


def show(rows: Sequence[dict[str, Any]], tried: bool) -> None:
    """The table: errors as ratios to what the target speaks of."""
    heads = ["clip", "low", "painting", *(["way"] if tried else []), "bicubic", "by frame", "steady", "/ bicubic"]
    heads += ["/ by frame", "sharpness", "edges", "paint ms", "steady ms", "met"]
    cells = []
    for row in rows:
        sharp = max(abs(row[key] - 1) for key in ("edges", "sharpness")) <= 0.05
        met = "yes" if row["over_target"] <= 1 and sharp else "NO"
        errors = [f"{1e6 * row[key]:.0f}" for key in ("bicubic", "frame_by_frame", "steady")]
        ratios = [f"{row['steady'] / row[key]:.2f}" for key in ("bicubic", "frame_by_frame")]
        cells.append([
            row["scene"], row["low"], row["style"], *([row["way"]] if tried else []), *errors, *ratios,
            f"{row['sharpness']:.3f}", f"{row['edges']:.3f}", f"{row['painting_ms']:.0f}", f"{row['steadying_ms']:.0f}",
            met,
        ])  # fmt: skip
    print("\nwarping errors in millionths of white squared; sharpness and edges over those of frame by frame")
    record.show(heads, cells)


if __name__ == "__main__":
    main()
