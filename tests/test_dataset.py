"""Folders and shards to batches: fixed by seed and step, honest about bad files."""

import gc
import io
import logging
import tarfile

import numpy as np
import pytest
import torch
from PIL import Image
from tiny_nets import tiny_config

from upbrush import photographs
from upbrush.dataset import Batches, batches, scan
from upbrush.degrade import bicubic
from upbrush.errors import DataError


def picture(seed, size=(48, 40)):
    pixels = np.random.default_rng(seed).integers(0, 256, (size[1] // 8, size[0] // 8, 3), dtype=np.uint8)
    return Image.fromarray(pixels).resize(size, Image.Resampling.BICUBIC)


@pytest.fixture
def folder(tmp_path):
    for kind in ("face", "art"):
        (tmp_path / "data" / kind).mkdir(parents=True)
        for number in range(4):
            picture(number + 10 * (kind == "art")).save(tmp_path / "data" / kind / f"{number}.png")
    return tmp_path / "data"


@pytest.fixture
def shard(tmp_path):
    return write_shard(tmp_path / "shard.tar", [b'{"kind": "art"}', b'{"kind": "photo"}'] * 2)


def write_shard(path, notes):
    with tarfile.open(path, "w:gz" if path.suffix == ".gz" else "w") as tar:
        for number, note in enumerate(notes):
            encoded = io.BytesIO()
            picture(number).save(encoded, "PNG")
            for ending, content in (("png", encoded.getvalue()), ("json", note)):
                info = tarfile.TarInfo(f"{number:05d}.{ending}")
                info.size = len(content)
                tar.addfile(info, io.BytesIO(content))
    return path


def test_a_packed_shard_is_streamed(tmp_path):
    path = write_shard(tmp_path / "some.tar.gz", [b'{"kind": "art"}'] * 4)
    batch = next(batches(scan([path]), tiny_config(data={"sharp": 0, "repaint": 0, "workers": 0}), first_step=0))
    assert batch.high.shape == (2, 3, 32, 32)


@pytest.mark.parametrize("note", [b"[1]", b"\xff\xfe", b'{"kind": null}', b'{"kind": 3}', b"{"])
def test_a_note_that_names_no_kind_leaves_the_shards_own(tmp_path, note):
    assert [e.kind for e in scan([write_shard(tmp_path / "art.tar", [note])])] == ["art"]


def equal(a, b):
    fields = [(getattr(a, name), getattr(b, name)) for name in a.__dataclass_fields__]
    return all(torch.equal(x, y) if isinstance(x, torch.Tensor) else x == y for x, y in fields)


def test_folders_name_kinds(folder):
    assert sorted({e.kind for e in scan([folder])}) == ["art", "face"]
    assert len(scan([folder])) == 8


def test_a_shard_is_read_in_place(shard):
    entries = scan([shard])
    assert [e.kind for e in entries] == ["art", "photo", "art", "photo"]
    pixels = np.asarray(Image.open(io.BytesIO(entries[2].read())))
    assert np.array_equal(pixels, np.asarray(picture(2)))


def test_batches_have_the_stated_shapes_and_ranges(folder):
    batch = Batches(scan([folder]), tiny_config())[0]
    assert batch.high.shape == (4, 3, 32, 32)
    assert batch.low.shape == (4, 3, 8, 8)
    assert batch.style.shape == (1, 3, 256, 256)
    assert (batch.strength[:3] == 0).all()
    assert batch.strength[3] > 0
    assert (batch.fidelity[:2] == 1).all()
    assert (batch.fidelity[2:] < 1).all()
    for x in (batch.high, batch.low, batch.style):
        assert x.dtype == torch.float32
        assert 0 <= x.min() < x.max() <= 1


def test_plain_batches_lie_between_mixed_ones(folder):
    drawn = Batches(scan([folder]), tiny_config(data={"plain_batches": 2}))
    assert [drawn[step].plain for step in range(6)] == [False, True, True, False, True, True]
    assert drawn[1].high.shape == drawn[0].high.shape
    assert len(drawn[1].style) == 0
    assert (drawn[1].strength == 0).all()


def test_batches_of_patterns_come_as_often_as_told_and_reach_farther(folder):
    drawn = Batches(scan([folder]), tiny_config(data={"patterns_every": 3, "restore": 14, "sharp": 1, "repaint": 1}))
    assert [drawn[step].drawn for step in range(6)] == [False, False, True, False, False, True]
    pattern, other = drawn[2].to(torch.device("cpu")), drawn[0]
    assert pattern.drawn
    assert pattern.plain
    some = [drawn[step] for step in range(2, 90, 3)]
    sides = {batch.high.shape[-1] for batch in some}
    assert min(sides) == 16
    assert max(sides) == 64
    assert len(sides) > 6
    for batch in some:
        assert batch.high.shape[2:] == tuple(4 * side for side in batch.low.shape[2:])
        assert 0.6 * other.high.numel() < batch.high.numel() <= other.high.numel()
    assert len(pattern.style) == 0
    fidelity = torch.cat([batch.fidelity for batch in some])
    assert 0.3 < (fidelity == 1).float().mean() < 0.7
    assert fidelity.min() < 0.5
    assert equal(drawn[2], Batches(drawn.entries, drawn.config)[2])
    assert not equal(drawn[2], drawn[5])


def test_a_batch_is_fixed_by_seed_step_and_rank(folder):
    entries, config = scan([folder]), tiny_config()
    again = Batches(entries, config)
    assert equal(Batches(entries, config)[3], again[3])
    assert not equal(again[3], again[4])
    assert not equal(again[3], Batches(entries, config, rank=1)[3])
    assert not equal(again[3], Batches(entries, tiny_config(train={"seed": 1}))[3])


def test_workers_change_nothing(folder):
    entries = scan([folder])
    alone = list(batches(entries, tiny_config(train={"steps": 3}), first_step=1))
    helped = list(batches(entries, tiny_config(train={"steps": 3}, data={"workers": 2}), first_step=1))
    assert len(alone) == len(helped) == 2
    assert all(equal(a, b) for a, b in zip(alone, helped, strict=True))


def test_low_pictures_are_of_their_high_ones(folder):
    """Plain bicubic low pictures, enlarged, resemble the high ones far more than another's."""
    batch = Batches(scan([folder]), tiny_config(data={"bicubic_share": 1.0}))[0]
    small = torch.nn.functional.avg_pool2d(batch.high, 4)
    distance = (batch.low[:, None] - small[None]).abs().mean((2, 3, 4))
    assert (distance.argmin(1) == torch.arange(4)).all()
    assert torch.equal((batch.low * 255).round() / 255, batch.low)  # eight bits, as files have


def test_low_pictures_below_fidelity_1_may_be_another_mix(folder):
    """Bicubic where told to, degraded elsewhere: by how far they are from what bicubic makes of the high ones."""
    data = {"restore": 2, "sharp": 2, "repaint": 1, "bicubic_share": 1.0, "sharp_bicubic_share": 0.0}
    batch = Batches(scan([folder]), tiny_config(data=data))[0]
    off = (batch.low - bicubic(batch.high)).abs().mean((1, 2, 3))
    assert ((off < 1 / 255) == torch.tensor([True, True, False, False, True])).all()


def test_fidelities_may_be_drawn_low(folder):
    """The same draws, squared; fidelity 1 stays."""
    even, low = (
        Batches(scan([folder]), tiny_config(data={"restore": 1, "sharp": 3, "repaint": 0, "fidelity_power": power}))[0]
        for power in (1, 2)
    )
    assert torch.allclose(low.fidelity, even.fidelity**2)
    assert low.fidelity[0] == 1
    assert (low.fidelity[1:] < even.fidelity[1:]).all()


def test_the_mix_is_kept(folder):
    faces = Batches(scan([folder]), tiny_config(data={"mix": {"face": 1.0}, "style_kinds": ["art"]}))
    assert list(faces.shares) == ["face"]
    rng = np.random.default_rng(0)
    assert {faces.style(rng).kind for _ in range(20)} == {"art"}
    with pytest.raises(DataError, match="'portrait'.*\\['art', 'face'\\]"):
        Batches(scan([folder]), tiny_config(data={"mix": {"portrait": 1.0}}))


def test_photographs_at_hand_are_painted_and_never_a_style(tmp_path, monkeypatch):
    folder, at_hand = tmp_path / "mine", tmp_path / "at-hand.png"
    folder.mkdir()
    Image.new("RGB", (48, 40), "red").save(folder / "a.png")
    Image.new("RGB", (48, 40), "blue").save(at_hand)
    monkeypatch.setattr(photographs, "files", lambda: [at_hand])
    config = tiny_config(data={"photographs": 0.5, "restore": 4, "repaint": 4})
    drawn = [Batches(scan([folder]), config)[step] for step in range(8)]
    blue = torch.cat([batch.high for batch in drawn])[:, 2].mean((1, 2))
    assert set(blue.tolist()) == {0, 1}
    assert 0.25 < blue.mean() < 0.75
    assert all((batch.style[:, 0] == 1).all() for batch in drawn)


def test_a_bad_file_is_named_once_and_passed_over(folder, caplog):
    (folder / "face" / "broken.png").write_bytes(b"no picture")
    cut = (folder / "face" / "0.png").read_bytes()[:200]
    (folder / "face" / "cut.png").write_bytes(cut)
    dataset = Batches(scan([folder]), tiny_config(data={"mix": {"face": 1.0}}))
    with caplog.at_level(logging.WARNING):
        for step in range(12):
            dataset[step]
    assert sorted(r.getMessage().split(":")[0] for r in caplog.records) == ["face/broken.png", "face/cut.png"]


@pytest.mark.parametrize("workers", [0, 1])
def test_only_bad_files_is_an_error_of_one_line(tmp_path, workers, monkeypatch):
    for place in ("_utils", "_utils.worker"):  # a worker looks so often whether to end, and we whether it has
        monkeypatch.setattr(f"torch.utils.data.{place}.MP_STATUS_CHECK_INTERVAL", 0.1)
    (tmp_path / "a.png").write_bytes(b"no picture")
    with pytest.raises(DataError, match="^20 pictures in a row") as error:
        next(batches(scan([tmp_path]), tiny_config(data={"workers": workers}), first_step=0))
    assert "\n" not in str(error.value)
    del error  # which holds the loader
    gc.collect()


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("missing", None, "no such file"),
        ("empty", "folder", "holds no picture"),
        ("text.tar", b"not a tar at all", "not a whole tar"),
    ],
)
def test_unusable_data_is_said_in_one_line(tmp_path, name, content, words):
    path = tmp_path / name
    if content == "folder":
        path.mkdir()
    elif content:
        path.write_bytes(content)
    with pytest.raises(DataError, match=words) as error:
        scan([path])
    assert "\n" not in str(error.value)
