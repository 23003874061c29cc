"""Clips in: numbers of frames, times, colours and orientation as they are in the file; bad files in one line."""

from fractions import Fraction

import av
import numpy as np
import pytest
from clips import scene, shots, write_animation, write_clip
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from upbrush.errors import ClipError, ConfigError
from upbrush.video import reading
from upbrush.video.clip import BT601, BT709, BT2020, FULL, LIMITED, Colour, Frame, Turn
from upbrush.video.codecs import described
from upbrush.video.conversion import Reader, Writer
from upbrush.video.damage import Damage
from upbrush.video.timing import decoding_times, read_time, told_time


def read(path, **more):
    clip = reading.probe(path)
    return clip, list(reading.frames(clip, **more))


def test_a_lossless_clip_comes_in_as_it_is(tmp_path):
    given = [scene(index, 21, 33) for index in range(5)]
    clip, frames = read(write_clip(tmp_path / "a.mkv", given, codec="ffv1", pixels="bgr0"))
    assert (clip.width, clip.height, clip.frames) == (33, 21, 5)
    for frame, array in zip(frames, given, strict=True):
        np.testing.assert_array_equal(frame.pixels, array)


@pytest.mark.parametrize("matrix", [BT709, BT601, BT2020])
@pytest.mark.parametrize("extent", [LIMITED, FULL])
@pytest.mark.parametrize(("name", "most"), [("yuv444p", 2), ("yuv444p10le", 1), ("yuv444p12le", 1)])
def test_colours_survive_the_way_to_yuv_and_back(matrix, extent, name, most):
    pixels, colour = described(name), Colour(matrix=matrix, range=extent)
    levels = np.linspace(0, np.iinfo(pixels.dtype).max, 9)
    red, green, blue = np.meshgrid(levels, levels, levels, indexing="ij")
    array = np.stack([red, green, blue], -1).reshape(27, 27, 3).repeat(4, 0).repeat(4, 1).astype(pixels.dtype)
    frame = Writer(pixels, colour).frame(Frame(0, 1, array))
    assert (frame.colorspace, frame.color_range) == (matrix, extent)
    back, _ = Reader(pixels, colour).arrays(frame)
    error = np.abs(back[1::4, 1::4].astype(float) - array[1::4, 1::4]) / np.iinfo(pixels.dtype).max * 255
    assert error.max() <= most


@pytest.mark.parametrize(
    ("name", "extent", "white"), [("yuv420p10le", 1, 940), ("yuv420p12le", 1, 3760), ("yuv420p10le", 2, 1023)]
)
def test_exact_white_is_white_in_deep_clips(name, extent, white):
    pixels, colour = described(name), Colour(matrix=BT709, range=extent)
    frame = Writer(pixels, colour).frame(Frame(0, 1, np.full((16, 16, 3), 65535, np.uint16)))
    assert np.frombuffer(frame.planes[0], np.uint16)[0] == white
    back, _ = Reader(pixels, colour).arrays(frame)
    assert back.min() >= 65535 - 130  # swscale's grey has half a code of colour at 10 bits and full range


def test_an_untagged_clip_is_taken_as_players_take_it():
    assert Colour().settled(240, rgb=False) == Colour(matrix=BT601, range=LIMITED)
    assert Colour().settled(720, rgb=False) == Colour(matrix=BT709, range=LIMITED)
    tagged = Colour(9, 16, 9, 1)
    assert tagged.settled(240, rgb=False) == tagged


def test_times_of_a_variable_rate_are_exact(tmp_path):
    times = [0, 5, 1999, 2000, 7777, 90001]
    frames = [scene(index) for index in range(6)]
    clip, got = read(write_clip(tmp_path / "a.mp4", frames, times=times, time_base=Fraction(1, 90000)))
    assert [frame.pts * clip.time_base for frame in got] == [Fraction(time, 90000) for time in times]


def test_a_part_is_what_is_shown_in_it(tmp_path):
    path = write_clip(tmp_path / "a.mp4", [scene(index) for index in range(30)], options={"g": "7"})
    clip, whole = read(path)
    _, part = read(path, begin=Fraction(1, 2), end=Fraction(1))
    assert [frame.pts for frame in part] == [frame.pts for frame in whole[13:25]]
    for one, other in zip(part, whole[13:25], strict=True):
        np.testing.assert_array_equal(one.pixels, other.pixels)
    _, rest = read(path, begin=Fraction(1, 2), end=Fraction(1), skip=5)
    assert [frame.pts for frame in rest] == [frame.pts for frame in part[5:]]
    assert clip.seconds == pytest.approx(1.2)


@pytest.mark.parametrize(
    ("suffix", "codec", "every"), [(".ts", "libx264", 12), (".ts", "libx264", 99), (".mpg", "mpeg2video", 12)]
)
@pytest.mark.parametrize("begin", [Fraction(1, 5), Fraction(7, 5)])
def test_a_part_begins_where_it_should_where_seeks_are_not_exact(tmp_path, suffix, codec, every, begin):
    """A container without an index lands anywhere, behind the place or between two key frames."""
    frames = [scene(index, 48, 64) for index in range(65)]
    options = {"g": f"{every}", "bf": "2"}
    path = write_clip(tmp_path / f"a{suffix}", frames, codec=codec, time_base=Fraction(1, 25), options=options)
    clip, whole = read(path)
    _, part = read(path, begin=begin)
    wanted = [frame for frame in whole if frame.pts * clip.time_base >= begin]
    assert len(wanted) >= 25
    assert [frame.pts for frame in part] == [frame.pts for frame in wanted]
    np.testing.assert_array_equal(part[0].pixels, wanted[0].pixels)


def hurt(path, kind):
    """A clip of a hundred frames, damaged in the middle: with when frames were shown before."""
    write_clip(path, shots(100, height=48, width=64), options={"g": "12"})
    pts, data = [frame.pts for frame in read(path)[1]], bytearray(path.read_bytes())
    with av.open(str(path)) as container:
        middle = [packet.pos for packet in container.demux(video=0) if packet.size][50]
    if kind == "packets":
        at = middle // 188 * 188
        del data[at : at + 10 * 188]
    elif kind == "bytes":
        data[middle : middle + 200] = bytes(255 - byte for byte in data[middle : middle + 200])
    path.write_bytes(data)
    return pts


@pytest.mark.parametrize(("name", "kind"), [("a.mkv", "bytes"), ("a.mp4", "bytes"), ("a.ts", "packets")])
def test_frames_that_are_lost_in_the_middle_are_counted(tmp_path, name, kind):
    pts, damage = hurt(tmp_path / name, kind), Damage()
    _, got = read(tmp_path / name, damage=damage)
    assert len(got) < 100
    assert damage.lost == 100 - len(got)
    assert {frame.pts for frame in got} <= set(pts)  # what is left is at its own time


@pytest.mark.parametrize("suffix", [".mkv", ".mp4", ".ts", ".avi"])
def test_nothing_is_lost_of_a_sound_clip(tmp_path, suffix):
    path = write_clip(tmp_path / f"a{suffix}", shots(40), rate=Fraction(24000, 1001), options={"bf": "0"})
    damage = Damage()
    _, got = read(path, damage=damage)
    assert (len(got), damage.lost, damage.flawed) == (40, 0, 0)


@pytest.mark.parametrize("suffix", [".mkv", ".mp4"])
def test_a_rate_that_varies_is_no_damage(tmp_path, suffix):
    times = [40 * index + 200 * (index > 10) + 7 * (index % 3) for index in range(40)]
    path = write_clip(tmp_path / f"a{suffix}", shots(40), times=times, time_base=Fraction(1, 1000))
    damage = Damage()
    read(path, damage=damage)
    assert (damage.frames, damage.lost) == (40, 0)


def test_a_frame_that_is_shown_longer_is_no_damage_where_packets_tell(tmp_path):
    times = [40 * index + 200 * (index > 10) for index in range(40)]
    path = write_clip(tmp_path / "a.mp4", shots(40), times=times, time_base=Fraction(1, 1000))
    damage = Damage()
    read(path, damage=damage)
    assert (damage.frames, damage.lost) == (40, 0)


@pytest.mark.parametrize(("turn", "corner"), [(0, (0, 0)), (90, (-1, 0)), (180, (-1, -1)), (270, (0, -1))])
def test_a_clip_on_its_side_comes_upright(tmp_path, turn, corner):
    """FFmpeg turns counter-clockwise: what was top left is bottom left at 90 degrees."""
    array = np.full((32, 64, 3), 40, np.uint8)
    array[:8, :8] = [250, 20, 20]
    clip, frames = read(write_clip(tmp_path / "a.mp4", [array] * 2, turn=turn))
    assert (clip.width, clip.height) == ((32, 64) if turn % 180 else (64, 32))
    pixels = frames[0].pixels
    assert pixels.shape == (clip.height, clip.width, 3)
    rows, columns = np.nonzero(pixels[..., 0] > 150)
    assert {-1 if row > clip.height // 2 else 0 for row in rows} == {corner[0]}
    assert {-1 if column > clip.width // 2 else 0 for column in columns} == {corner[1]}


def test_turning_is_a_rotation_and_a_mirror():
    array = np.arange(6).reshape(2, 3, 1)
    np.testing.assert_array_equal(Turn(True, mirrored=True).upright(array), np.rot90(array, -1))
    np.testing.assert_array_equal(Turn(False, flipped=True).upright(array), array[::-1])


@pytest.mark.parametrize("suffix", [".gif", ".webp", ".png"])
def test_moving_pictures_have_their_times_and_their_loops(tmp_path, suffix):
    frames = [scene(index, alpha=suffix != ".gif") for index in range(5)]
    durations = [40, 70, 100, 40, 250]
    clip, got = read(write_animation(tmp_path / f"a{suffix}", frames, durations, loop=3))
    assert [frame.duration * clip.time_base * 1000 for frame in got] == durations
    assert [frame.pts * clip.time_base * 1000 for frame in got] == [0, 40, 110, 210, 250]
    assert clip.plays == (4 if suffix == ".gif" else 3)  # GIF counts repetitions
    assert clip.frames == 5
    assert clip.pixels.alpha == (suffix != ".gif")
    if suffix != ".gif":
        seen = frames[3][..., 3] > 0  # what cannot be seen need not be kept
        np.testing.assert_array_equal(got[3].pixels[seen], frames[3][..., :3][seen])
        np.testing.assert_array_equal(got[3].alpha, frames[3][..., 3])


def test_damaged_packets_are_left_out_and_told(tmp_path, caplog):
    path = write_clip(
        tmp_path / "a.mkv",
        [scene(index) for index in range(20)],
        codec="ffv1",
        pixels="bgr0",
        options={"g": "1", "level": "3", "slicecrc": "1"},
    )
    data = bytearray(path.read_bytes())
    with av.open(str(path)) as container:
        places = [packet.pos for packet in container.demux(video=0) if packet.size]
    data[places[8] + 30 : places[8] + 60] = bytes(30)
    path.write_bytes(data)
    _, frames = read(path)
    assert len(frames) >= 19  # FFV1 shows what it can of a damaged frame


def bad(path, kind):
    """A file that cannot be painted."""
    if kind == "empty":
        path.write_bytes(b"")
    elif kind == "noise":
        path.write_bytes(np.random.default_rng(2).bytes(4000))
    elif kind == "sound only":
        with av.open(str(path), "w") as container:
            stream = container.add_stream("aac", rate=8000, layout="mono")
            for start in range(0, 8000, 1024):
                sound = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
                sound.sample_rate, sound.pts = 8000, start
                container.mux(stream.encode(sound))
            container.mux(stream.encode(None))
    elif kind == "cut short":
        whole = write_clip(path, shots(20)).read_bytes()
        path.write_bytes(whole[: len(whole) // 2])
    elif kind == "no frame":
        with av.open(str(path), "w", container_options={"movflags": "empty_moov+frag_keyframe"}) as container:
            stream = container.add_stream("libx264", rate=25)
            stream.width, stream.height, stream.pix_fmt = 32, 24, "yuv420p"
            container.start_encoding()
    elif kind == "folder":
        path.mkdir()
    return path


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("missing", "no such file"),
        ("empty", "cut short, damaged or no clip"),
        ("noise", "cut short, damaged or no clip"),
        ("sound only", "has no video stream, only audio"),
        ("cut short", "cut short, damaged or no clip"),
        ("no frame", "has no frame|cut short, damaged"),
        ("folder", "is a folder"),
    ],
)
def test_what_is_no_clip_is_told_in_one_line(tmp_path, kind, words):
    path = bad(tmp_path / "a.mp4", kind)
    with pytest.raises(ClipError, match=words) as told:
        reading.probe(path)
    assert str(told.value).startswith(str(path))
    assert "\n" not in str(told.value)


def test_a_still_picture_is_no_clip(tmp_path):
    path = tmp_path / "a.png"
    Image.fromarray(scene(0)).save(path)
    with pytest.raises(ClipError, match="does not move; upbrush paint paints it"):
        reading.probe(path)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90", 90), ("4s", 4), ("1m30s", 90), ("1:30", 90), ("1:02:03.5", 3723.5), (".5s", 0.5), ("2h", 7200)],
)
def test_times_as_people_write_them(text, seconds):
    assert read_time(text) == Fraction(seconds)


@pytest.mark.parametrize("text", ["", "s", "-1", "1:2:3:4", "soon", "1.2.3"])
def test_what_is_no_time_is_refused(text):
    with pytest.raises(ConfigError, match="is not a time; expected one such as"):
        read_time(text)


def test_times_are_told_as_clocks_show_them():
    assert [told_time(seconds) for seconds in (0, 4.5, 61, 3723.996)] == ["0:00.00", "0:04.50", "1:01.00", "1:02:04.00"]


@settings(deadline=None, max_examples=60)
@given(st.sets(st.integers(0, 10**6), min_size=1, max_size=40), st.integers(0, 3), st.randoms())
def test_decoding_times_grow_and_never_come_late(shown, reach, random):
    """Frames are coded a few places from where they are shown, as encoders do it."""
    order = sorted(shown)
    coded = sorted(range(len(order)), key=lambda place: place + random.randint(0, reach))
    times = [order[place] for place in coded]
    due = decoding_times(times, 5)
    assert all(before < after for before, after in zip(due, due[1:], strict=False))
    assert all(decode <= show for decode, show in zip(due, times, strict=True))
