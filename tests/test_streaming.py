"""Shards as streams: every picture once a pass, whoever reads; fixed by the seed; honest about what breaks off."""

import io
import json
import logging
import tarfile
from itertools import islice

import numpy as np
import pytest
from PIL import Image
from tiny_nets import tiny_config

from upbrush.dataset import batches, scan
from upbrush.errors import DataError
from upbrush.streaming import Reader, Shards, expand, stream, stream_of

RESTORE = {"sharp": 0, "repaint": 0, "crop_px": 32, "zoom": 1.0, "bicubic_share": 1.0}


def encoded(level, size=(16, 16)):
    """A picture of one grey by which it is known again."""
    file = io.BytesIO()
    Image.new("RGB", size, (level,) * 3).save(file, "PNG")
    return file.getvalue()


def write_tar(path, members):
    with tarfile.open(path, "w") as tar:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return path


def write_shards(folder, shards, each, kind="photo", first=0):
    """`shards` tars of `each` pictures; no two have the same grey."""
    folder.mkdir(exist_ok=True)
    note = json.dumps({"kind": kind}).encode()
    for number in range(shards):
        levels = range(first + number * each, first + (number + 1) * each)
        parts = {
            f"{level:05d}.{end}": part for level in levels for end, part in (("png", encoded(level)), ("json", note))
        }
        write_tar(folder / f"{kind}-{number:03d}.tar", parts)
    return folder


def names(pictures):
    return [picture.name for picture in pictures]


def levels(batches):
    return [round(float(high.mean()) * 255) for batch in batches for high in batch.high]


def share(number, shards, each):
    """How many pictures reader `number` of four has in a pass."""
    return each * len(range(number, shards, 4)) if shards >= 4 else shards * len(range(number, each, 4))


# One pass


@pytest.mark.parametrize(("shards", "each"), [(8, 6), (9, 5), (2, 24), (1, 10)], ids=str)
def test_in_a_pass_every_picture_comes_once_whoever_reads(tmp_path, shards, each):
    """Also where the shards cannot be dealt out evenly, and where there are fewer of them than readers."""
    found = stream_of(sorted(write_shards(tmp_path, shards, each).glob("*.tar")))
    readers = [stream(found, "seed", Reader(number, 4), 7) for number in range(4)]
    orders = []
    for _ in range(3):
        passed = [names(islice(pictures, share(n, shards, each))) for n, pictures in enumerate(readers)]
        seen = [name for one in passed for name in one]
        assert len(set(seen)) == len(seen) == shards * each
        orders.append(seen)
    assert orders[0] != orders[1] != orders[2]


@pytest.mark.parametrize("workers", [0, 2])
def test_two_ranks_and_their_workers_see_no_picture_twice_in_a_pass(tmp_path, workers):
    write_shards(tmp_path, 4, 6)
    config = tiny_config(data=RESTORE | {"restore": 3, "workers": workers, "buffer": 5}, train={"steps": 4})
    entries = scan([tmp_path])
    seen = [level for rank in (0, 1) for level in levels(batches(entries, config, first_step=0, rank=rank, ranks=2))]
    assert sorted(seen) == list(range(24))


def test_a_stream_is_fixed_by_its_seed_and_shuffled(tmp_path):
    found = stream_of(sorted(write_shards(tmp_path, 3, 30).glob("*.tar")))
    once, again, other = (names(islice(stream(found, seed, Reader(), 40), 90)) for seed in ("1", "1", "2"))
    assert once == again
    assert once != other
    stored = sorted(once)
    moved = np.abs(np.array([once.index(name) for name in stored]) - np.arange(90))
    assert moved.mean() > 8
    unshuffled = names(islice(stream(Shards("photo", found.urls[:1]), "1", Reader(), 1), 30))
    assert unshuffled == stored[:30]


def test_a_run_that_goes_on_begins_another_pass(tmp_path):
    """Which pictures come is drawn anew; within the new pass, none comes twice."""
    write_shards(tmp_path, 4, 12)
    entries = scan([tmp_path])
    config = tiny_config(data=RESTORE | {"restore": 4}, train={"steps": 12})
    whole, again = (levels(batches(entries, config, first_step=0)) for _ in range(2))
    resumed = levels(batches(entries, config, first_step=6))
    assert whole == again
    assert len(resumed) == 24
    assert resumed != whole[24:]
    assert len(set(resumed)) == 24  # a pass of its own: none twice


def test_streamed_batches_have_the_stated_shapes(tmp_path):
    write_shards(tmp_path / "shards", 2, 4)
    config = tiny_config(data={"crop_px": 32, "repaint": 2}, train={"steps": 3})
    streamed = list(batches(scan([tmp_path / "shards"]), config, first_step=0))
    assert [len(batch.style) for batch in streamed] == [2, 2, 2]
    assert all(batch.high.shape == (5, 3, 32, 32) for batch in streamed)
    assert all((batch.fidelity[:2] == 1).all() and (batch.strength[:3] == 0).all() for batch in streamed)


# Kinds


def test_the_mix_and_the_style_kinds_hold_for_streams(tmp_path):
    """One stream for each kind; the shares are those of the recipe, not of the numbers of pictures."""
    for first, kind in ((0, "face"), (100, "photo"), (200, "art")):
        write_shards(tmp_path / kind, 2, 10, kind, first)
    entries = scan([tmp_path / kind for kind in ("face", "photo", "art")])
    mix = {"mix": {"face": 0.5, "photo": 0.5}, "style_kinds": ["art"], "restore": 20, "repaint": 2}
    drawn = list(batches(entries, tiny_config(data=RESTORE | mix, train={"steps": 20}), first_step=0))
    seen = np.array(levels(drawn)) // 100
    assert set(seen) == {0, 1}
    assert 0.4 < (seen == 0).mean() < 0.6
    assert {round(float(style.mean()) * 255) // 100 for batch in drawn for style in batch.style} == {2}


def test_streams_and_indexed_pictures_mix(tmp_path):
    write_shards(tmp_path / "photo", 2, 10, "photo", 100)
    (tmp_path / "art").mkdir()
    for level in range(4):
        (tmp_path / "art" / f"{level}.png").write_bytes(encoded(level))
    entries = scan([tmp_path / "photo", tmp_path / "art"])
    data = RESTORE | {"mix": {"photo": 1.0}, "style_kinds": ["art"], "repaint": 2}
    drawn = list(batches(entries, tiny_config(data=data), first_step=0))
    assert min(levels(drawn)) >= 100
    assert max(float(batch.style.max()) for batch in drawn) < 10 / 255
    with pytest.raises(DataError, match="say the share of each kind"):
        batches(entries, tiny_config(data=data | {"mix": {}}), first_step=0)
    with pytest.raises(DataError, match="'portrait'; the data has \\['art', 'photo'\\]"):
        batches(entries, tiny_config(data=data | {"mix": {"portrait": 1.0}}), first_step=0)
    both = [*entries, *scan([tmp_path / "photo" / "photo-000.tar"])]
    with pytest.raises(DataError, match="'photo' are given both indexed and as a stream"):
        batches(both, tiny_config(data=data), first_step=0)


def test_a_kind_is_what_the_notes_say_or_else_the_shards_name(tmp_path):
    write_shards(tmp_path / "a", 1, 3, "face")
    assert stream_of([tmp_path / "a" / "face-000.tar"]).kind == "face"
    plain = {"1.png": encoded(1), "2.png": encoded(2)}
    assert stream_of([write_tar(tmp_path / "sketch_00012.tar", plain)]).kind == "sketch"
    assert stream_of([write_tar(tmp_path / "a" / "00012.tar", plain)]).kind == "a"
    hashed = [write_tar(tmp_path / "a" / f"{name}.tar", plain) for name in ("7f3c", "e00d")]
    assert stream_of(hashed).kind == "a"
    write_shards(tmp_path / "b", 1, 3, "face")
    write_shards(tmp_path / "b", 1, 3, "photo", 10)
    with pytest.raises(DataError, match="are of two kinds, 'face' and 'photo'; give the shards of each kind"):
        scan([tmp_path / "b"])
    mixed = plain | {"1.json": b'{"kind": "face"}', "2.json": b"no json"}
    assert stream_of([write_tar(tmp_path / "some.tar", dict(sorted(mixed.items())))]).kind == "some"


# Where shards are


def test_patterns_folders_addresses_and_pipes(tmp_path):
    folder = write_shards(tmp_path / "shards", 3, 4)
    files = tuple(str(folder / f"photo-{number:03d}.tar") for number in range(3))
    assert scan([f"{folder}/photo-{{000..002}}.tar"]) == scan([folder]) == [Shards("photo", files)]
    for address in (f"file:{folder}/photo-{{000..002}}.tar", f"pipe:cat {folder}/photo-{{000..002}}.tar"):
        (shards,) = scan([address])
        assert len(set(names(islice(stream(shards, "1", Reader(), 5), 12)))) == 12


def test_no_file_name_is_ever_run(tmp_path, monkeypatch):
    """webdataset gives what begins with pipe: to a shell; a name found in a folder must not be."""
    monkeypatch.chdir(tmp_path)
    write_shards(tmp_path, 1, 3)
    (tmp_path / "photo-000.tar").rename(tmp_path / "pipe:touch ran.tar")
    (shards,) = scan(["."])
    assert len(names(islice(stream(shards, "1", Reader(), 5), 3))) == 3
    assert [path.name for path in tmp_path.iterdir()] == ["pipe:touch ran.tar"]


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("photo-{000..009}.tar", "photo-002.tar: no such file; of the 10 shards .* 8 are missing"),
        ("photo-{000..001.tar", "braces do not match"),
        ("pipe:false", "pipe:false: cannot be read to its end .what brings it ended with 1."),
        ("gopher://host/a.tar", "no gopen handler"),
        ("text{,}.tar", "cannot be read to its end"),
        ("empty{,}.tar", "holds no picture"),
        (".", "holds pictures and tars"),
    ],
    ids=str,
)
def test_unusable_sources_are_said_in_one_line(tmp_path, monkeypatch, source, words):
    monkeypatch.chdir(write_shards(tmp_path, 2, 3))
    (tmp_path / "text.tar").write_bytes(b"not a tar at all" * 99)
    write_tar(tmp_path / "empty.tar", {"1.txt": b"words"})
    (tmp_path / "1.png").write_bytes(encoded(1))
    with pytest.raises(DataError, match=words) as error:
        scan([source])
    assert "\n" not in str(error.value)


# What goes wrong on the way


def test_a_shard_that_breaks_off_is_named_and_the_rest_goes_on(tmp_path, caplog):
    files = sorted(write_shards(tmp_path, 3, 6).glob("*.tar"))
    cut = files[1].read_bytes()
    files[1].write_bytes(cut[: cut.index(b"00009.png") + 600])  # within the fourth picture
    seen = names(islice(stream(stream_of(files), "1", Reader(), 5), 15))
    assert len(set(seen)) == 15
    assert [record.getMessage() for record in caplog.records] == [
        f"{files[1]}: cannot be read to its end (unexpected end of data); expected a whole tar of pictures; "
        "going on with the next shard"
    ]


def test_a_bad_picture_is_named_once_and_passed_over(tmp_path, caplog):
    parts = {f"{level:05d}.png": encoded(level) for level in range(6)} | {"00006.png": b"no picture"}
    write_tar(tmp_path / "photo-0.tar", parts)
    config = tiny_config(data=RESTORE | {"restore": 6}, train={"steps": 5})
    with caplog.at_level(logging.WARNING):
        drawn = list(batches(scan([tmp_path]), config, first_step=0))
    assert set(levels(drawn)) == set(range(6))
    assert [record.getMessage().split(" (")[0] for record in caplog.records] == [
        "photo-0.tar:00006.png: cannot be read"
    ]


def test_a_shard_that_is_gone_is_named(tmp_path, caplog):
    files = sorted(write_shards(tmp_path, 3, 2).glob("*.tar"))
    shards = stream_of(files)
    files[1].unlink()
    assert len(set(names(islice(stream(shards, "1", Reader(), 5), 4)))) == 4
    assert "photo-001.tar: cannot be read to its end (No such file or directory)" in caplog.records[0].getMessage()


def test_shards_that_give_nothing_end_the_run(tmp_path):
    files = sorted(write_shards(tmp_path, 2, 2).glob("*.tar"))
    shards = stream_of(files)
    for file in files:
        file.write_bytes(b"")
    with pytest.raises(DataError, match="reader 1 of 1 found no picture in this and the 1 shards with it"):
        next(stream(shards, "1", Reader(), 5))


def test_pictures_are_handed_on_as_they_were_stored(tmp_path):
    """Names with dots and folders in them, as the index tells them."""
    pixels = np.random.default_rng(0).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    path = write_tar(tmp_path / "a.tar", {"x.y/1.5.png": file.getvalue(), "x.y/1.5.txt": b"words"})
    (streamed,) = islice(stream(stream_of([path]), "1", Reader(), 5), 1)
    (indexed,) = scan([path])
    assert (streamed.name, streamed.read()) == (indexed.name, indexed.read())
    assert expand(str(path)) == Shards("a", (str(path),))
