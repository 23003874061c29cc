"""What each container keeps, and what is remembered of a clip that came damaged."""

from fractions import Fraction

import av
import numpy as np
import pytest
from clips import shots, write_clip
from test_video_work import job_of, paint

from upbrush.errors import ClipError, ConfigError
from upbrush.video import joining, reading
from upbrush.video.codecs import CONTAINERS
from upbrush.video.damage import Damage


@pytest.mark.parametrize("suffix", [suffix for suffix in CONTAINERS if suffix != ".webm"])
def test_every_container_that_is_written_keeps_times(tmp_path, suffix):
    """At a rate that varies, in pictures that are coded out of order, in two segments."""
    steps = np.random.default_rng(4).integers(20, 90, 39)
    times = [0, *np.cumsum(steps).tolist()]
    source = write_clip(tmp_path / "in.mp4", shots(26, 14), times=times, time_base=Fraction(1, 1000))
    _, out = paint(source, tmp_path / f"out{suffix}", scale=1)
    with av.open(str(out)) as container:
        assert any(packet.pts != packet.dts for packet in container.demux(video=0) if packet.size)
    clip = reading.probe(out)
    shown = [frame.pts * clip.time_base for frame in reading.frames(clip)]
    assert shown == [Fraction(time, 1000) for time in times]


def test_sound_that_nobody_would_find_is_refused(tmp_path):
    """FFmpeg writes any sound into MPEG-TS, and players find nothing there."""
    source = write_clip(tmp_path / "in.mkv", shots(5), sound=True)
    job = job_of(source, tmp_path / "out.ts")
    with pytest.raises(ConfigError, match="a .ts file cannot hold audio of pcm_s16le; write an .mkv, or give --drop"):
        joining.check(job.target, job.clip, ())


def test_damage_is_remembered_by_a_run_that_only_joins(tmp_path, monkeypatch):
    clip = write_clip(tmp_path / "in.mkv", shots(8))

    def full(*words):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Damage, "lost", 3)
    with monkeypatch.context() as patch:
        patch.setattr(joining, "_write", full)
        with pytest.raises(ClipError, match="No space left"):
            paint(clip, tmp_path / "out.mkv", steady=False)
    told, _ = paint(clip, tmp_path / "out.mkv", steady=False)
    assert (told.painted, told.missing, told.short) == (0, 3, 0)
