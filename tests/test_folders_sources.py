"""What is meant by folders, patterns, shards and manifests; what is wrong with them, told before any painting."""

import csv
import io
import os
import tarfile

import pytest
from conftest import draw
from PIL import Image

from upbrush.errors import ConfigError, PictureError
from upbrush.folders import manifest, places, shards, sources
from upbrush.folders.sources import Ignored, Refused
from upbrush.folders.task import Asked, Task

ASKED = Asked()


def encoded(side=6, seed=0, format="PNG"):
    buffer = io.BytesIO()
    Image.fromarray(draw(side, side, seed=seed)).save(buffer, format)
    return buffer.getvalue()


def write_shard(path, names, closed=True):
    with tarfile.open(path, "w") as shard:
        for number, name in enumerate(names):
            data = encoded(seed=number)
            info = tarfile.TarInfo(name)
            info.size = len(data)
            shard.addfile(info, io.BytesIO(data))
        end = shard.offset
    if not closed:
        path.write_bytes(path.read_bytes()[:end])
    return path


def write_csv(path, rows):
    with open(path, "w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows(rows)
    return str(path)


def found(inputs, out="/nowhere", asked=ASKED, kind=Task):
    return [one for one in sources.find([str(given) for given in inputs], out, asked) if isinstance(one, kind)]


@pytest.fixture
def photos(tmp_path):
    folder = tmp_path / "photos"
    for name in ("b.jpg", "trip/a.bmp", "trip/deep/c.png", ".hidden/d.png", "out/e.png"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(draw(6, 8)).save(folder / name)
    (folder / "notes.txt").write_text("no picture")
    return folder


def test_a_folder_keeps_its_tree_and_leaves_the_results_out(photos):
    names = [task.name for task in found([photos], str(photos / "out"))]
    assert sorted(names) == ["b.jpg", "trip/a.png", "trip/deep/c.png"]
    assert [one.place for one in found([photos], kind=Ignored)] == [str(photos / "notes.txt")]


def test_a_pattern_is_named_from_its_first_star(photos, monkeypatch):
    assert [task.name for task in found([photos / "tr*" / "*.bmp"])] == ["trip/a.png"]
    assert len(found([photos / "**" / "*.png"])) == 2  # hidden ones are not meant
    monkeypatch.chdir(photos)
    assert [task.name for task in found(["*.jpg"])] == ["b.jpg"]
    with pytest.raises(ConfigError, match="means no file here"):
        found([photos / "*.nothing"])


def test_what_is_not_there_is_missed_by_name(photos):
    (photos / "lost.jpg").symlink_to("nowhere.jpg")
    (photos / "again").symlink_to(photos / "trip")
    [lost] = [task for task in found([photos]) if task.stamp == places.MISSING]
    assert lost.name == "lost.jpg"
    assert str(photos / "again") in [one.place for one in found([photos], kind=Ignored)]
    assert found([photos / "none.jpg"])[0].stamp == places.MISSING
    for name in ("nowhere/", "nowhere", "none.tar"):
        with pytest.raises(ConfigError, match="not found; expected a folder, a picture"):
            found([f"{photos}/{name}"])


def test_a_name_that_is_no_text_is_refused_alone(photos):
    (photos / "bad\udcff.jpg").write_bytes(encoded())
    [refused] = found([photos], kind=Refused)
    assert refused.name == "bad\\udcff.jpg"
    assert refused.error.endswith("bad\\udcff.jpg: its name is not UTF-8; rename it")
    assert len(found([photos])) == 4


def test_an_address_is_the_same_as_a_path(photos):
    pytest.importorskip("fsspec")
    by_path, by_address = found([photos]), found([f"file://{photos}"])
    assert by_path == by_address


def test_places_far_away_are_listed_matched_read_and_written_whole():
    fsspec = pytest.importorskip("fsspec")
    far = fsspec.filesystem("memory")
    places.write("memory://bucket/in/a.png", encoded())
    places.write("memory://bucket/in/deep/b.png", encoded(seed=1))
    assert [one.name for one in places.files("memory://bucket/in")] == ["a.png", "deep/b.png"]
    assert [task.name for task in found(["memory://bucket/in/*/*.png"])] == ["deep/b.png"]
    [task] = found(["memory://bucket/in/a.png"])
    assert places.read(task.source) == encoded()
    assert places.seen("memory://bucket/in/none.png") is None
    before = task.stamp
    places.write(task.source, encoded(seed=2))
    assert found([task.source])[0].stamp != before
    far.rm("/bucket", recursive=True)


def test_a_stores_own_errors_are_one_line(monkeypatch):
    memory = pytest.importorskip("fsspec.implementations.memory")

    class NoCredentialsError(Exception):
        pass

    def refuse(*_, **__):
        raise NoCredentialsError("Unable to locate\ncredentials")

    places.write("memory://bucket/a.png", encoded())
    for name in ("info", "isdir", "find", "pipe_file"):
        monkeypatch.setattr(memory.MemoryFileSystem, name, refuse)
    for call in (places.seen, places.is_folder, lambda place: list(places.files(place))):
        with pytest.raises(ConfigError, match=r"bucket: cannot be looked at \(Unable to locate credentials\)"):
            call("memory://bucket")
    with pytest.raises(PictureError, match="cannot be written"):
        places.write("memory://bucket/a.png", b"")
    monkeypatch.setattr(memory.MemoryFile, "read", refuse)
    with pytest.raises(PictureError, match="cannot be read"):
        places.read("memory://bucket/a.png")


def test_what_an_address_needs_is_named():
    pytest.importorskip("fsspec")
    with pytest.raises(ConfigError, match="cannot be opened"):
        places.is_folder("nosuchprotocol://bucket")


def test_a_shard_becomes_a_folder_and_its_pictures_are_read_alone(tmp_path):
    shard = write_shard(tmp_path / "one.tar", ["x/a.png", "x/a.json", "b.png"])
    tasks = found([shard])
    assert [task.name for task in tasks] == ["one/x/a.png", "one/b.png"]
    assert [places.read(task.source, task.offset, task.length) for task in tasks] == [encoded(seed=0), encoded(seed=2)]
    assert found([shard], kind=Ignored) == [Ignored(f"{shard}:x/a.json")]


def test_a_cut_shard_gives_what_it_has_and_says_so(tmp_path):
    names = ["a.png", "b.png"]
    for shard in (
        write_shard(tmp_path / "cut.tar", names, closed=False),
        write_shard(tmp_path / "torn.tar", names),
    ):
        if shard.name == "torn.tar":
            shard.write_bytes(shard.read_bytes()[:-9000])
        assert len(found([shard])) >= 1
        [refused] = found([shard], kind=Refused)
        assert "breaks off after" in refused.error
    (tmp_path / "no.tar").write_bytes(b"nothing of the kind")
    assert "breaks off after 0" in found([tmp_path / "no.tar"], kind=Refused)[0].error


def test_a_member_never_leaves_the_output_folder(tmp_path):
    shard = write_shard(tmp_path / "one.tar", ["../../evil.png", "/etc/evil.png"])
    assert found([shard]) == []
    assert all("outside the output folder" in one.error for one in found([shard], kind=Refused))


def test_packed_tars_are_refused(tmp_path):
    with pytest.raises(PictureError, match="unpack it"):
        shards.is_shard("a.tar.gz")
    (tmp_path / "a.tgz").write_bytes(b"x")
    assert "unpack it" in found([tmp_path / "a.tgz"], kind=Refused)[0].error


def test_a_manifest_says_for_each_picture_what_it_wants(photos):
    place = write_csv(
        photos / "list.csv",
        [
            ["input", "output", "style", "strength", "keep_colours", "size", "format", "quality"],
            ["b.jpg", "x/one.webp", "monet:.5,klimt:.5", "0.5", "yes", "long:100", "", "80"],
            ["trip/a.bmp", "", "", "", "", "", "jpeg", ""],
            ["b.jpg", "two", "", "", "", "", "", ""],
        ],
    )
    one, two, three = found([place], asked=Asked(scale=2, fidelity=0.25))
    assert (one.name, one.source) == ("x/one.webp", str(photos / "b.jpg"))
    wanted = Asked("monet:.5,klimt:.5", 0.5, 0.25, True, None, "long:100", "webp", 80)
    assert one.asked == wanted  # a size of its own is instead of the scale of all
    assert (two.name, two.asked) == ("a.jpg", Asked(fidelity=0.25, scale=2, format="jpeg"))
    assert three.name == "two.png"


@pytest.mark.parametrize(
    ("row", "told"),
    [
        (["b.jpg", "x.png", "2", "", ""], "fidelity 2.0 is not in 0…1"),
        (["b.jpg", "x.png", "much", "", ""], "fidelity 'much' is not a number"),
        (["", "x.png", "", "", ""], "the input is empty"),
        (["b.jpg", "../x.png", "", "", ""], "not in the output folder"),
        (["b.jpg", "x.gif", "", "", ""], "cannot write 'gif' files"),
        (["b.jpg", "x.png", "", "0.5", ""], "strength goes with a style"),
        (["b.jpg", "x.png", "", "", "random"], "give a seed"),
        (["b.jpg", "x.png", "", "", "monet:.5", "klimt:.5"], "has more cells than there are columns"),
    ],
)
def test_a_bad_row_is_told_by_its_number_and_the_others_count(photos, row, told):
    heads = ["input", "output", "fidelity", "strength", "style"]
    place = write_csv(photos / "list.csv", [heads, ["b.jpg", "good.png", "", "", ""], row])
    assert [task.name for task in found([place])] == ["good.png"]
    [refused] = found([place], kind=Refused)
    assert told in refused.error
    assert f"{place}: row 2: " in refused.error


@pytest.mark.parametrize(
    ("heads", "told"),
    [
        (["path", "style"], "has no column 'input', found path, style"),
        (["input;style"], "save it with commas instead of ';'"),
        (["input", "style", "style"], "column 'style' is there twice"),
        (["input", "stlye"], "column 'stlye' is unknown; if it means 'style'"),
        ([], "has no column 'input'"),
    ],
)
def test_a_manifest_with_other_columns_is_refused_whole(tmp_path, heads, told):
    with pytest.raises(ConfigError, match=told):
        found([write_csv(tmp_path / "list.csv", [heads, ["a.png", "b"]])])


def test_a_manifest_that_is_no_table_is_refused(tmp_path):
    (tmp_path / "list.csv").write_bytes(b"input\n\xff\xfe\x00")
    with pytest.raises(ConfigError, match="is not a CSV table in UTF-8"):
        found([tmp_path / "list.csv"])
    with pytest.raises(ConfigError, match="not found"):
        found([tmp_path / "none.csv"])


def test_parquet_says_the_same_as_csv(photos):
    parquet = pytest.importorskip("pyarrow.parquet")
    import pyarrow

    rows = {"input": ["b.jpg", "trip/a.bmp"], "style": ["monet", None], "strength": [0.5, None], "size": [None, "9x9"]}
    parquet.write_table(pyarrow.table(rows), photos / "list.parquet")
    cells = zip(*([cell if cell is not None else "" for cell in column] for column in rows.values()), strict=True)
    place = write_csv(photos / "list.csv", [list(rows), *cells])
    assert found([photos / "list.parquet"]) == found([place])
    (photos / "cut.parquet").write_bytes((photos / "list.parquet").read_bytes()[:200])
    with pytest.raises(ConfigError, match="is not a whole Parquet table"):
        found([photos / "cut.parquet"])


def test_a_style_beside_the_manifest_is_found(photos):
    (photos / "monet").mkdir()  # perhaps of results
    rows = [["b.jpg", "trip/a.bmp"], ["b.jpg", "trip/a.bmp:.3, b.jpg:0.7"], ["b.jpg", "monet"], ["b.jpg", "random:7"]]
    place = write_csv(photos / "list.csv", [["input", "style"], *rows])
    one, two = photos / "trip" / "a.bmp", photos / "b.jpg"
    assert [task.asked.style for task in found([place])] == [str(one), f"{one}:.3,{two}:0.7", "monet", "random:7"]


def test_knobs_of_a_style_are_for_the_rows_that_have_one(photos):
    place = write_csv(photos / "list.csv", [["input", "style"], ["b.jpg", "monet"], ["trip/a.bmp", ""]])
    one, two = found([place], asked=Asked(strength=0.5, keep_colours=True))
    assert (one.asked, two.asked) == (Asked("monet", 0.5, 0.5, True), Asked())
    with pytest.raises(ConfigError, match="strength goes with a style"):
        found([photos], asked=Asked(strength=0.5))


def test_another_input_for_an_output_is_a_change_though_the_files_look_alike(photos):
    (photos / "c.jpg").write_bytes((photos / "b.jpg").read_bytes())
    for name in ("b.jpg", "c.jpg"):
        os.utime(photos / name, (1, 1))
    tasks = [
        found([write_csv(photos / "list.csv", [["input", "output"], [name, "x.png"]])])[0]
        for name in ("b.jpg", "c.jpg")
    ]
    assert tasks[0].stamp != tasks[1].stamp


def test_columns_of_the_users_own_are_left_out_with_a_word(photos, caplog):
    found([write_csv(photos / "list.csv", [["input", "caption"], ["b.jpg", "a dog"]])])
    assert "left out: caption" in caplog.text
    assert manifest.is_manifest("a.CSV")
