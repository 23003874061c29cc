"""What the documents say is so: commands parse, examples run, links lead somewhere, versions agree."""

import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import numpy as np
import pytest
import typer.main
import web_service
from PIL import Image

import upbrush
from upbrush import cli, styles
from upbrush.engine import FILES, MODEL_DIR

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
PAGES = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "benchmarks/README.md")]
PAGES += sorted((ROOT / "docs").glob("*.md"))

MODEL_IS_HERE = all((MODEL_DIR / f"{name}.onnx").is_file() for name in FILES) and (MODEL_DIR / "random.npz").is_file()
needs_model = pytest.mark.skipif(not MODEL_IS_HERE, reason="the shipped model is not in src/upbrush/model")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", README, re.MULTILINE | re.DOTALL)


def commands(program: str) -> list[str]:
    lines = "\n".join(blocks("bash")).replace("\\\n", " ").splitlines()
    return [line for line in lines if line.startswith(f"{program} ")]


def parse(words: list[str]) -> None:
    """Parse a command line as the program would, down to its last option, without running it."""
    command, context = typer.main.get_command(cli.app), None
    while True:
        context = command.make_context(command.name or "upbrush", list(words), parent=context)
        if not hasattr(command, "resolve_command"):
            return
        _, command, words = command.resolve_command(context, [*context._protected_args, *context.args])


def photograph(path: Path) -> Path:
    """A small picture drawn by code."""
    rows, columns = np.mgrid[0:24, 0:36]
    Image.fromarray(np.stack([rows * 9, columns * 6, (rows + columns) * 4], -1).astype(np.uint8)).save(path)
    return path


def test_readme_shows_the_main_commands():
    assert {shlex.split(line)[1] for line in commands("upbrush")} >= {"paint", "styles", "style", "train", "export"}


@pytest.mark.parametrize("line", commands("upbrush"))
def test_readme_commands_parse(line):
    parse(shlex.split(line, comments=True)[1:])


@pytest.mark.parametrize("line", ["paint a.jpg --no-such-option", "paint", "no-such-command", "style make"])
def test_parsing_refuses_what_the_program_refuses(line):
    with pytest.raises(Exception, match=r"(?i)no such|missing"):
        parse(shlex.split(line))


@needs_model
def test_styles_named_in_the_readme_are_in_the_library():
    specs = re.findall(r"--style \"?([\w:.,-]+)", README) + re.findall(r"style=\"(.*?)\"", README)
    names = {part.split(":")[0] for spec in specs if "." not in spec.split(":")[0] for part in spec.split(",")}
    assert "monet" in names
    assert names - {"random"} <= set(styles.library())


@needs_model
@pytest.mark.parametrize("block", blocks("python"))
def test_readme_python_runs(block, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    exec(compile(block, "README.md", "exec"), {"__name__": "readme"})


def run_example(name: str, *words: object) -> None:
    command = [sys.executable, "-W", "error", ROOT / "examples" / name, *words]
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_example_own_engine(tmp_path):
    low = photograph(tmp_path / "low.png")
    run_example("own_engine.py", low, tmp_path / "high.png")
    with Image.open(low) as small, Image.open(tmp_path / "high.png") as large:
        assert large.size == (small.width * 4, small.height * 4)
        expected = np.asarray(small.resize(large.size, Image.Resampling.BICUBIC), int)
        assert np.abs(np.asarray(large, int) - expected).max() <= 2


@needs_model
def test_example_strengths(tmp_path):
    run_example("strengths.py", photograph(tmp_path / "low.png"), "random:1", tmp_path / "ladder.png")
    with Image.open(tmp_path / "ladder.png") as ladder:
        assert ladder.size == (5 * 36 * 4, 24 * 4)
        steps = np.asarray(ladder, float).reshape(96, 5, 144, 3).transpose(1, 0, 2, 3)
    change = [np.abs(step - steps[0]).mean() for step in steps]
    assert change == sorted(change)
    assert change[-1] > 1


@needs_model
def test_example_one_look(tmp_path):
    photographs = tmp_path / "photographs"
    photographs.mkdir()
    low = photograph(photographs / "one.png")
    (photographs / "words.txt").write_text("no picture", encoding="utf-8")
    run_example("one_look.py", photographs, low, photograph(tmp_path / "style.png"), tmp_path / "painted")
    assert {path.name for path in (tmp_path / "painted").iterdir()} == {"one.png", "look.style"}


def test_example_service_client(tmp_path):
    pytest.importorskip("huey")
    with web_service.running(web_service.settings(tmp_path, workers=1)) as client:
        pictures = [photograph(tmp_path / name) for name in ("one.png", "two.png")]
        run_example("service_client.py", client.base_url, tmp_path / "single", "monet", pictures[0])
        run_example("service_client.py", client.base_url, tmp_path / "several", "monet", *pictures)
        if shutil.which("curl"):
            script = [
                "bash",
                ROOT / "examples" / "service_client.sh",
                f"{str(client.base_url).rstrip('/')}/",  # as `upbrush serve` prints it
                tmp_path / "curl",
            ]
            done = subprocess.run([*script, "monet", *pictures], capture_output=True, text=True, check=False)
            assert done.returncode == 0, done.stdout + done.stderr
            assert {path.name for path in (tmp_path / "curl").iterdir()} == {"first.jpg", "all.zip"}
    several = sorted((tmp_path / "several").iterdir())
    assert [path.name for path in several] == ["one.png", "two.png"]
    assert several[0].read_bytes() == (tmp_path / "single" / "one.png").read_bytes()


def test_every_example_is_tested():
    tested = set(re.findall(r"run_example\(\"(\w+\.py)\"", Path(__file__).read_text(encoding="utf-8")))
    assert {path.name for path in (ROOT / "examples").glob("*.py")} == tested


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page):
    text = page.read_text(encoding="utf-8")
    links = re.findall(r"\]\(([^)#\s]+)", text) + re.findall(r"(?:src|href)=\"([^\"#]+)", text)
    missing = [link for link in links if "://" not in link and not (page.parent / link).exists()]
    assert not missing


def test_make_words_exist():
    words = {
        word for page in PAGES for word in re.findall(r"(?:^|`)make ([a-z]+)", page.read_text("utf-8"), re.MULTILINE)
    }
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    assert {"demo", "test"} <= words <= targets


def test_map_names_every_room_and_only_what_is_there():
    sketch = README.split("## Map", 1)[1].split("```")[1]
    assert set(re.findall(r"\b(\w+\.py)\b", sketch)) == {
        path.name for path in (ROOT / "src" / "upbrush").glob("[!_]*.py")
    }
    folders = re.findall(r"^(\w+)/|  (\w+)/", sketch, re.MULTILINE)
    missing = [a or b for a, b in folders if not (ROOT / (a or b)).is_dir() and not (MODEL_DIR.parent / b).is_dir()]
    assert not missing


def test_changelog_and_version_agree():
    headings = re.findall(r"^## \[(.+?)\]", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert headings[0] == "Unreleased"
    assert headings[1] == upbrush.__version__


def test_version_has_one_source_and_constraints_cover_every_requirement():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["dynamic"] == ["version"]
    asked = [*project["dependencies"], *(name for extra in project["optional-dependencies"].values() for name in extra)]
    pinned = re.findall(r"^([\w.-]+)==", (ROOT / "constraints.txt").read_text(encoding="utf-8"), re.MULTILINE)
    missing = {re.split(r"[<>=\[;\s]", name)[0].lower() for name in asked} - {name.lower() for name in pinned}
    assert not missing
