"""A clip in, a clip out: times, sound, words, tags and bits kept; stopped anywhere it goes on to the same bytes."""

import threading
import time
from dataclasses import replace
from fractions import Fraction

import av
import numpy as np
import pytest
from clips import packets_of, pictures_of, scene, shots, tags_of, times_of, write_animation, write_clip
from conftest import FakeEngine, PlainEngine

from upbrush import Painter
from upbrush.errors import ClipError, ConfigError
from upbrush.knobs import Knobs
from upbrush.styles import Style
from upbrush.video import encoding, joining, reading, work
from upbrush.video.codecs import CODECS, described, fitting
from upbrush.video.overlap import ahead, side_by_side
from upbrush.video.tracks import Cut


def job_of(source, target, knobs=None, *, codec=None, cut=None, drop=(), scale=4, plan=None, **more):
    clip = reading.probe(source)
    prepared = more.get("prepared", work.Prepared())
    seen = prepared.clip(clip)
    written = encoding.plan(target, seen, (seen.width * scale, seen.height * scale), codec=codec)
    size = f"{written.width}x{written.height}"
    knobs = replace(knobs or Knobs(strength=0.0), size=size)
    return work.Job(clip, written, knobs, plan or {"of": source.name}, cut=cut or Cut(), drop=tuple(drop), **more)


def paint(source, target, knobs=None, *, engine=None, **more):
    told = work.run(job_of(source, target, knobs, **more), Painter(engine or PlainEngine()))
    return told, target


@pytest.fixture
def clip(tmp_path):
    return write_clip(tmp_path / "in.mkv", shots(30, 28), codec="ffv1", pixels="bgr0", options={"g": "1"})


def test_frames_are_painted_one_by_one_and_in_order(clip, tmp_path):
    told, out = paint(clip, tmp_path / "out.mkv", steady=False)
    assert (told.frames, told.painted, told.missing) == (58, 58, 0)
    for low, high in zip(pictures_of(clip), pictures_of(out), strict=True):
        np.testing.assert_array_equal(high, low.repeat(4, 0).repeat(4, 1))
    assert times_of(out) == times_of(clip)
    assert not list(tmp_path.glob(".*"))  # nothing is left behind


def test_sound_words_and_chapters_are_copied_to_the_byte(tmp_path):
    words = [(0.1, 0.5, "one"), (0.9, 0.4, "two")]
    source = write_clip(tmp_path / "in.mkv", shots(30), sound=True, subtitles=words)
    _, out = paint(source, tmp_path / "out.mkv")
    for kind in ("audio", "subtitle"):
        assert packets_of(source, kind)
        assert packets_of(out, kind) == packets_of(source, kind)
    assert times_of(out) == times_of(source)


def test_a_track_that_the_container_cannot_hold_is_refused_before_any_work(tmp_path):
    source = write_clip(tmp_path / "in.mkv", shots(5), subtitles=[(0, 0.1, "one")])
    job = job_of(source, tmp_path / "out.mp4")
    with pytest.raises(ConfigError, match="cannot hold subtitles of .*; write an .mkv, or give --drop subtitles"):
        joining.check(job.target, job.clip, ())
    joining.check(job.target, job.clip, ("subtitles",))
    _, out = paint(source, tmp_path / "out.mp4", drop=("subtitles",))
    assert not packets_of(out, "subtitle")


def test_times_of_a_variable_rate_stay_exact(tmp_path):
    rng = np.random.default_rng(4)
    times = [0, *np.cumsum(rng.integers(1, 9000, 59)).tolist()]
    source = write_clip(tmp_path / "in.mp4", shots(35, 25), times=times, time_base=Fraction(1, 90000))
    _, out = paint(source, tmp_path / "out.mp4")  # with pictures that are coded out of order, in two segments
    assert times_of(out) == times_of(source) == [Fraction(time, 90000) for time in times]


def test_a_rate_that_varies_is_not_taken_for_a_clip_that_is_cut_short(tmp_path):
    """The header of a Matroska file counts no frames; and its sound may be longer than its film."""
    times = [0, 40, 130, 140, 300, 310, 500, 1777]
    source = write_clip(tmp_path / "in.mkv", shots(8), times=times, time_base=Fraction(1, 1000), sound=True)
    told, out = paint(source, tmp_path / "out.mp4")
    assert (told.frames, told.missing) == (8, 0)
    assert times_of(out) == [Fraction(time, 1000) for time in times]
    short = write_clip(tmp_path / "short.mkv", shots(10), sound=5.0)
    assert paint(short, tmp_path / "short.mp4")[0].missing == 0


@pytest.mark.parametrize(
    ("codec", "pixels", "tags"),
    [
        ("libx265", "yuv420p10le", (9, 16, 9, 1)),
        ("libx264", "yuv444p", (1, 1, 1, 2)),
        ("libx264", "yuv420p", (5, 6, 5, 1)),
    ],
)
def test_depth_chroma_and_colour_tags_are_kept(tmp_path, codec, pixels, tags):
    dtype = np.uint16 if "10" in pixels else np.uint8
    options = {"x265-params": "log-level=none"} if codec == "libx265" else {}
    source = write_clip(
        tmp_path / "in.mp4", shots(4, dtype=dtype), codec=codec, pixels=pixels, tags=tags, options=options
    )
    _, out = paint(source, tmp_path / "out.mp4")
    assert tags_of(out) == tags
    with av.open(str(out)) as container:
        context = container.streams.video[0].codec_context
        assert context.pix_fmt.replace("yuvj", "yuv") == pixels
    for low, high in zip(pictures_of(source), pictures_of(out), strict=True):
        assert np.abs(high[2::4, 2::4].astype(int) - low).mean() < 5


def test_an_untagged_small_clip_is_tagged_as_it_was_read(tmp_path):
    """Its enlargement may have so many lines that players would take it for another matrix."""
    _, out = paint(write_clip(tmp_path / "in.mp4", shots(3)), tmp_path / "out.mp4")
    assert tags_of(out)[2:] == (6, 1)


def test_a_part_begins_at_zero_with_its_sound(tmp_path):
    source = write_clip(tmp_path / "in.mkv", shots(50), sound=True)
    _, out = paint(source, tmp_path / "out.mp4", cut=Cut(Fraction(1, 2), Fraction(3, 2)), steady=False)
    assert times_of(out) == [time - Fraction(13, 25) for time in times_of(source)[13:38]]
    was, now = packets_of(source, "audio"), packets_of(out, "audio")
    kept = [(seconds, data) for seconds, data in was if Fraction(13, 25) <= seconds < Fraction(3, 2)]
    assert now[0][0] == kept[0][0] - Fraction(13, 25)
    assert b"".join(data for _, data in now) == b"".join(data for _, data in kept)


def test_nothing_in_the_part_asked_for_is_told(tmp_path):
    source = write_clip(tmp_path / "in.mp4", shots(10))
    with pytest.raises(ClipError, match="has no frame in the part that is asked for"):
        paint(source, tmp_path / "out.mp4", cut=Cut(Fraction(60)))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.mp4"]


@pytest.mark.parametrize("suffix", [".gif", ".webp", ".png"])
def test_moving_pictures_go_out_as_they_came_in(tmp_path, suffix):
    frames, durations = [scene(index, alpha=True) for index in range(6)], [40, 60, 80, 40, 60, 120]
    source = write_animation(tmp_path / f"in{suffix}", frames, durations, loop=2)
    _, out = paint(source, tmp_path / f"out{suffix}")
    was, now = reading.probe(source), reading.probe(out)
    assert (now.width, now.height, now.frames, now.plays) == (128, 96, 6, was.plays)
    assert now.pixels.alpha
    got = list(reading.frames(now))
    assert [frame.duration * now.time_base * 1000 for frame in got][:-1] == durations[:-1]
    for low, high in zip(reading.frames(was), got, strict=True):
        seen = (low.alpha > 0).repeat(4, 0).repeat(4, 1)
        error = np.abs(high.pixels.astype(int) - low.pixels.repeat(4, 0).repeat(4, 1))[seen]
        assert error.mean() < (12 if suffix == ".gif" else 6)  # GIF has 256 colours


def test_alpha_is_kept_or_refused(tmp_path):
    frames = [scene(index, alpha=True, dtype=np.uint16) for index in range(3)]
    source = write_clip(tmp_path / "in.mov", frames, codec="prores_ks", pixels="yuva444p10le", options={"profile": "4"})
    with pytest.raises(ClipError, match="has alpha, which H.264 here cannot keep; write ProRes"):
        paint(source, tmp_path / "out.mp4")
    _, out = paint(source, tmp_path / "out.mov")
    alpha = next(reading.frames(reading.probe(out))).alpha
    expected = (frames[0][..., 3] > 0).repeat(4, 0).repeat(4, 1)
    assert ((alpha > 32768) == expected).mean() > 0.97
    _, out = paint(source, tmp_path / "out.mp4", prepared=work.Prepared(laid_on=(255, 255, 255)))
    assert pictures_of(out)[0][:8, :8].min() > 245


def test_a_killed_run_goes_on_to_the_same_bytes(clip, tmp_path):
    """However many frames are painted at once."""
    _, whole = paint(clip, tmp_path / "whole.mp4", engine=FakeEngine())

    class Killed(BaseException):
        pass

    out = tmp_path / "out.mp4"
    for stop in (40, 57):

        def die(done, total, stop=stop):
            if done >= stop:
                raise Killed

        with pytest.raises(Killed):
            work.run(job_of(clip, out), Painter(FakeEngine()), die, hands=3)
        assert not out.exists()
    told = work.run(job_of(clip, out), Painter(FakeEngine()), hands=2)
    assert told.painted < told.frames == 58
    assert out.read_bytes() == whole.read_bytes()


def test_parts_that_are_cut_at_a_shot_are_the_whole(tmp_path):
    """Painted apart, as on several machines (docs/folders.md): nothing is carried over a cut."""
    source = write_clip(tmp_path / "in.mkv", shots(20, 14), codec="ffv1", pixels="bgr0", options={"g": "1"})
    at = Fraction(20, 25)
    cuts = {"whole": Cut(), "first": Cut(Fraction(0), at), "last": Cut(at)}
    outs = {
        name: paint(source, tmp_path / f"{name}.mkv", engine=FakeEngine(), cut=cut)[1] for name, cut in cuts.items()
    }
    painted = {name: pictures_of(out) for name, out in outs.items()}
    assert len(painted["first"]) == 20
    for one, other in zip(painted["whole"], painted["first"] + painted["last"], strict=True):
        np.testing.assert_array_equal(one, other)
    times = [*times_of(outs["first"]), *(at + time for time in times_of(outs["last"]))]
    assert times == times_of(outs["whole"])


def test_segments_of_another_plan_are_not_mixed_in(clip, tmp_path):
    class Killed(BaseException):
        pass

    def die(done, total):
        if done >= 40:
            raise Killed

    out = tmp_path / "out.mp4"
    with pytest.raises(Killed):
        work.run(job_of(clip, out, plan={"style": "a"}), Painter(PlainEngine()), die)
    told = work.run(job_of(clip, out, plan={"style": "b"}), Painter(PlainEngine()))
    assert told.painted == told.frames


def test_two_runs_do_not_paint_one_clip_at_once(clip, tmp_path):
    job = job_of(clip, tmp_path / "out.mp4")

    def again(done, total):
        if done == 10:
            with pytest.raises(ClipError, match="another run is painting this clip"):
                work.run(job, Painter(PlainEngine()))

    assert work.run(job, Painter(PlainEngine()), again).frames == 58


def test_a_shot_has_one_look(clip, tmp_path):
    """Mods are made once a shot, from several of its frames."""
    engine = FakeEngine()
    paint(clip, tmp_path / "out.mp4", engine=engine)
    assert len(engine.modulated) == 2
    assert len(engine.shapes) == 58


def test_odd_sides_are_moved_on_or_refused(tmp_path):
    source = write_clip(tmp_path / "in.mkv", [scene(0, 23, 31)] * 2, codec="ffv1", pixels="yuv420p")
    clip = reading.probe(source)
    assert encoding.plan(tmp_path / "a.mp4", clip, (93, 69)).width == 94
    with pytest.raises(ConfigError, match="needs even sides, found 93x69; ask for --size 94x70"):
        encoding.plan(tmp_path / "a.mp4", clip, (93, 69), exact=True)
    assert encoding.plan(tmp_path / "a.mkv", clip, (93, 69), exact=True).width == 93
    _, out = paint(source, tmp_path / "odd.mkv", scale=3)
    assert pictures_of(out)[0].shape == (69, 93, 3)


@pytest.mark.parametrize(
    ("name", "options", "words"),
    [
        ("a.mp4", {"codec": "vhs"}, "is not one that can be written here; expected h264"),
        ("a.mp4", {"codec": "prores"}, "cannot hold ProRes; it holds"),
        ("a.mp4", {"crf": 60}, "crf 60 is not for H.264"),
        ("a.mov", {"codec": "prores", "crf": 5}, "it has none; drop it"),
        ("a.gif", {"crf": 20}, "has no codec and no crf"),
        ("a.xyz", {}, "clips are not written as .xyz; expected .mp4"),
        ("a.flv", {}, "clips are not written as .flv; expected .mp4"),
        ("a.avi", {"codec": "ffv1"}, "clips are not written as .avi; expected .mp4"),
    ],
)
def test_what_cannot_be_written_is_told_before_any_work(tmp_path, name, options, words):
    clip = reading.probe(write_clip(tmp_path / "in.mp4", shots(2)))
    with pytest.raises(ConfigError, match=words):
        encoding.plan(tmp_path / name, clip, (128, 96), **options)
    assert not (tmp_path / name).exists()


def test_a_codec_that_is_not_built_in_is_told(tmp_path, monkeypatch):
    monkeypatch.setattr(encoding, "_is_built", lambda codec: codec.name != "hevc")
    clip = reading.probe(write_clip(tmp_path / "in.mp4", shots(2)))
    with pytest.raises(ConfigError, match="cannot hold HEVC; it holds h264"):
        encoding.plan(tmp_path / "a.mp4", clip, (128, 96), codec="hevc")


@pytest.mark.parametrize("name", CODECS)
def test_every_codec_writes_what_can_be_read(tmp_path, name):
    source = write_clip(tmp_path / "in.mkv", shots(3, height=32, width=32), codec="ffv1", pixels="yuv420p")
    _, out = paint(source, tmp_path / "out.mkv", codec=name, scale=2)
    clip = reading.probe(out)
    assert clip.codec == name
    assert len(pictures_of(out)) == 3


@pytest.mark.parametrize(
    ("codec", "source", "chosen"),
    [
        ("h264", "yuv420p", "yuv420p"),
        ("h264", "yuv444p10le", "yuv444p10le"),
        ("h264", "bgr0", "yuv420p"),
        ("av1", "yuv422p10le", "yuv420p10le"),
        ("prores", "yuv420p", "yuv422p10le"),
        ("prores", "bgra", "yuva444p10le"),
        ("ffv1", "bgra", "bgra"),
        ("ffv1", "gbrp10le", "gbrp10le"),
        ("hevc", "yuv420p12le", "yuv420p12le"),
    ],
)
def test_pixels_are_stored_with_the_least_loss(codec, source, chosen):
    assert fitting(CODECS[codec], described(source)) == chosen


def test_a_full_disk_loses_nothing(clip, tmp_path, monkeypatch):
    real, added = work.SegmentFile.add, []

    def add(self, packet, extradata):
        added.append(packet)
        if len(added) > 40:
            raise OSError(28, "No space left on device")
        real(self, packet, extradata)

    whole = paint(clip, tmp_path / "whole.mkv", steady=False)[1].read_bytes()
    out = tmp_path / "out.mkv"
    with monkeypatch.context() as patch:
        patch.setattr(work.SegmentFile, "add", add)
        with pytest.raises(ClipError, match="No space left on device.*whole segments are kept: make room"):
            paint(clip, out, steady=False)
    assert not out.exists()
    told, _ = paint(clip, out, steady=False)
    assert told.painted == 28  # the first shot was kept
    assert out.read_bytes() == whole


def test_a_mistake_while_joining_keeps_the_segments(clip, tmp_path, monkeypatch):
    def full(*words):
        raise OSError(28, "No space left on device")

    out = tmp_path / "out.mp4"
    with monkeypatch.context() as patch:
        patch.setattr(joining, "_write", full)
        with pytest.raises(ClipError, match="No space left"):
            paint(clip, out)
    told, _ = paint(clip, out)
    assert (told.painted, told.frames) == (0, 58)


def test_stages_overlap_and_their_errors_arrive():
    def failing():
        yield 1
        yield 2
        raise ClipError("half a clip")

    items = ahead(failing(), 2, "test")
    assert [next(items), next(items)] == [1, 2]
    with pytest.raises(ClipError, match="half a clip"):
        next(items)


@pytest.mark.parametrize("hands", [1, 3])
def test_frames_that_are_painted_at_once_come_in_order(hands):
    most, now, lock = 0, 0, threading.Lock()

    def work(item):
        nonlocal most, now
        with lock:
            now += 1
            most = max(most, now)
        time.sleep(0.02 if item % 3 == 0 else 0.001)  # later ones overtake
        with lock:
            now -= 1
        if item == 17:
            raise ClipError("a frame that cannot be painted")
        return item

    made = []
    results = side_by_side(work, (made.append(index) or index for index in range(1000)), hands, "test")
    assert [next(results) for _ in range(17)] == list(range(17))
    with pytest.raises(ClipError, match="cannot be painted"):
        next(results)
    assert len(made) <= 17 + hands + 2
    assert most == hands


def test_a_consumer_that_stops_ends_the_stage():
    closed = []

    def forever():
        try:
            while True:
                yield 0
        finally:
            closed.append(True)

    items = ahead(forever(), 2, "test")
    next(items)
    items.close()
    assert closed == [True]


def style(red):
    code = np.zeros(256, np.float32)
    code[0] = red
    return Style("plain", code, "fake")


def test_restoring_and_repainting_know_themselves(clip, tmp_path):
    assert not job_of(clip, tmp_path / "a.mp4").repaints
    assert job_of(clip, tmp_path / "a.mp4", Knobs(style(1.0))).repaints
