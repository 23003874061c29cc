"""The studio as a folder: whole, in its own bounds, and never in the place of anything else."""

import json
import re

import pytest
from tiny_model import write_library
from typer.testing import CliRunner

from upbrush import cli, styles
from upbrush.errors import ConfigError
from upbrush.web import static


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    return write_library(tmp_path_factory.mktemp("model"))


def test_the_command_writes_a_whole_folder(tiny, tmp_path):
    out = tmp_path / "site" / "studio"
    done = CliRunner().invoke(cli.app, ["serve", "--static", str(out), "--model", str(tiny)])
    assert done.exit_code == 0, done.output
    page = (out / "index.html").read_text(encoding="utf-8")
    assert 'content="no"' in page
    assert "default-src 'none'" in page
    for name in re.findall(r'(?:src|href)="([^"#]+)"', page):
        assert (out / name).is_file(), name
    for script in out.glob("[ep]*/*.js"):
        for name in re.findall(r'(?:from|import)\s*\(?"(\.[^"]+)"', script.read_text(encoding="utf-8")):
            assert (script.parent / name).is_file(), f"{script.name}: {name}"
    assert {path.name for path in (out / "model").iterdir()} == {
        *("encoder.onnx", "modulator.onnx", "renderer.onnx", "model.json")
    }
    assert [path.name for path in out.parent.iterdir()] == ["studio"]  # nothing is left beside it


def test_facts_are_what_the_page_needs(tiny):
    told = json.loads(static.facts(tiny))
    assert (told["identity"], told["scale"], told["overlap_px"], told["code_size"]) == ("tiny-0", 4, 2, 256)
    assert [style["name"] for style in told["styles"]] == ["klimt", "monet", "van-gogh"]
    assert set(told["random"]) == {"mean", "directions", "spread"}
    (tiny / "random.npz").rename(tiny / "kept.npz")
    assert json.loads(static.facts(tiny))["random"] is None
    (tiny / "kept.npz").rename(tiny / "random.npz")


def test_a_studio_is_replaced_only_when_that_is_said(tiny, tmp_path):
    out = tmp_path / "out"
    static.write(out, tiny)
    (out / "index.html").write_text("of before", encoding="utf-8")
    with pytest.raises(ConfigError, match="--overwrite"):
        static.write(out, tiny)
    static.write(out, tiny, overwrite=True)
    assert "upbrush" in (out / "index.html").read_text(encoding="utf-8")


def test_another_folder_is_never_touched(tiny, tmp_path):
    (tmp_path / "letters").mkdir()
    (tmp_path / "letters" / "dear.txt").write_text("aunt", encoding="utf-8")
    with pytest.raises(ConfigError, match="no studio"):
        static.write(tmp_path / "letters", tiny, overwrite=True)
    with pytest.raises(ConfigError, match="no studio"):
        static.write(tmp_path / "letters" / "dear.txt", tiny, overwrite=True)
    assert (tmp_path / "letters" / "dear.txt").read_text(encoding="utf-8") == "aunt"


def test_what_others_made_is_told_and_unchanged():
    """NOTICE.md lists every vendored file with its checksum."""
    import hashlib

    vendor = static.STUDIO / "vendor"
    told = dict(
        re.findall(r"^([0-9a-f]{64})  (\S+)$", (vendor / "NOTICE.md").read_text(encoding="utf-8"), re.MULTILINE)
    )
    found = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in vendor.iterdir()}
    assert {name: digest for name, digest in found.items() if name != "NOTICE.md"} == {
        name: digest for digest, name in told.items()
    }


def test_both_languages_say_the_same_things():
    english, chinese = (
        json.loads((static.STUDIO / "words" / f"{tag}.json").read_text(encoding="utf-8")) for tag in ("en", "zh")
    )
    assert list(english) == list(chinese)
    artists = json.loads((static.STUDIO / "words" / "artists-zh.json").read_text(encoding="utf-8"))
    assert set(artists) == set(styles.library())
    for key, words in english.items():
        assert set(re.findall(r"\{\w+\}", words)) == set(re.findall(r"\{\w+\}", chinese[key])), key
    page = (static.STUDIO / "index.html").read_text(encoding="utf-8")
    scripts = "".join(path.read_text(encoding="utf-8") for path in sorted((static.STUDIO / "page").glob("*.js")))
    used = set(re.findall(r'data-(?:word|title|hint|label)="(\w+)"', page)) | set(re.findall(r'say\("(\w+)"', scripts))
    assert used <= set(english)
    told = re.findall(r'data-word="(\w+)">\s*([^<]*?)\s*<', page)
    assert [(key, words) for key, words in told if words != english[key]] == []  # before a script has run
