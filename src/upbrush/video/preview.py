"""A few frames of a clip, painted, on one page: to look at before hours are spent."""

from collections.abc import Callable
from fractions import Fraction
from math import ceil, sqrt

from PIL import Image

from upbrush import picture
from upbrush.errors import ClipError
from upbrush.painter import Painter
from upbrush.sheet import sheet
from upbrush.video import reading
from upbrush.video.brush import Brush, Step
from upbrush.video.clip import Frame
from upbrush.video.timing import told_time
from upbrush.video.work import Job

MOST_CELL_PX = 960


def preview(job: Job, painter: Painter, count: int, progressed: Callable[[int, int], None]) -> Image.Image:
    """Paint `count` frames from all over the part that is asked for.

    Each is summed up by itself, so its look may differ a little from that of its shot. Returns a page, RGB.
    Raises ClipError where no frame can be found.
    """
    begin, end = job.cut.begin, job.cut.end
    if job.clip.seconds is not None:
        whole = Fraction(job.clip.seconds)
        end = whole if end is None else min(end, whole)
    if end is not None and end <= begin:
        raise ClipError(f"{job.clip.path}: has no frame in the part that is asked for; look at --from and --to")
    if end is None:
        raise ClipError(f"{job.clip.path}: does not say how long it is; give --from and --to, or paint all of it")
    cells: list[tuple[str, Image.Image]] = []
    progressed(0, count)
    for index in range(count):
        at = begin + (end - begin) * (2 * index + 1) / (2 * count)
        frame = _frame(job, at)
        if frame is None:
            break
        brush = Brush(painter, job.knobs, job.clip.time_base, timeline=job.timeline, mask=job.mask, late=True)
        painted = next(brush.paint([Step(frame, True)])).frame
        shown = picture.to_image(picture.Picture(painted.pixels, painted.alpha))
        cells.append((told_time(float(frame.pts * job.clip.time_base)), _on_white(shown)))
        progressed(index + 1, count)
    if not cells:
        raise ClipError(f"{job.clip.path}: has no frame in the part that is asked for; look at --from and --to")
    width, height = cells[0][1].size
    cell_px = min(max(width, height), MOST_CELL_PX)
    return sheet(cells, ceil(sqrt(len(cells))), cell_px, min(cell_px, round(height * cell_px / width)))


def _frame(job: Job, seconds: Fraction) -> Frame | None:
    """The frame that is shown at a time."""
    found = next(reading.frames(job.clip, seconds), None)
    return None if found is None else job.prepared.frame(found)


def _on_white(image: Image.Image) -> Image.Image:
    if image.mode != "RGBA":
        return image.convert("RGB")
    ground = Image.new("RGBA", image.size, "white")
    return Image.alpha_composite(ground, image).convert("RGB")
