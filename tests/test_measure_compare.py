"""`upbrush compare`: painted, measured and told, losses beside wins; a readme changed between its marks only."""

import json
import re

import numpy as np
import pytest
from measuring import save, sets, write_vgg
from PIL import Image
from tiny_model import write_model
from typer.testing import CliRunner

from upbrush import cli, picture
from upbrush.errors import ConfigError
from upbrush.measure import evaluate, plan, tables
from upbrush.painter import Painter

COUNT = 12
PLAN = """
note = "*Italics: quoted.*"
networks = { upbrush = "upbrush", blurred = "SRVGG 64x16" }

[[set]]
id = "clean"
name = "clean input"
truth = "data/truth"
low = "data/low"
fidelity = 1.0
rivals = { sharp = "rivals/sharp", blurred = "rivals/blurred" }
quoted.another = { psnr_y = 99.5, ssim_y = 0.5 }

[[set]]
id = "painted"
name = "repaints"
truth = "data/truth"
low = "data/low"
style = "data/truth"
pairs = "data/pairs.csv"

[[table]]
title = "Restored"
sets = ["clean"]
metrics = ["psnr_y", "ssim_y"]
methods = ["bicubic", "upbrush", "sharp", "blurred", "another"]

[[table]]
title = "Repainted"
sets = ["painted"]
metrics = ["style", "content", "identity"]
methods = ["upbrush"]
"""
SPEED = {
    "circumstances": {"threads": 2, "processor": "a CPU", "commit": "abc", "quiet": False, "load_before": 1.5},
    "results": [
        {"low": "128x128", "engine": "onnxruntime", "network": name, "seconds": {"median": seconds, "iqr": 0.002},
         "ours_over_it": {"median": 0.06 / seconds}}
        for name, seconds in (("upbrush", 0.06), ("SRVGG 64x16", 0.05))
    ],
}  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Everything that a comparison needs, run once."""
    folder = tmp_path_factory.mktemp("compare")
    sets(folder / "data", COUNT)
    (folder / "data" / "pairs.csv").write_text("content,style\n000,001\n000,002\n001,002\n")
    (folder / "plan.toml").write_text(PLAN)
    (folder / "results").mkdir()
    (folder / "results" / "speed.json").write_text(json.dumps(SPEED))
    memory = {"networks": [{"network": "SRVGG 64x16", "low": "128x128", "peak_bytes": 71_000_000}]}
    (folder / "results" / "memory.json").write_text(json.dumps(memory))
    (folder / "README.md").write_text(f"# mine\n{tables.BEGIN}\nold\n{tables.END}\nend\n")
    write_vgg(folder / "vgg.safetensors")
    write_model(folder / "model")
    found = says(folder, "--readme", folder / "README.md")
    assert found.exit_code == 0, found.output
    return folder


def says(folder, *words):
    roots = ("--data", folder / "data", "--rivals", folder / "data", "--features", folder / "vgg.safetensors")
    words = ("compare", folder / "plan.toml", "-o", folder / "out", *roots, "--model", folder / "model", "-q", *words)
    return CliRunner(env={"UPBRUSH_FACES": None}).invoke(cli.app, [str(word) for word in words])


def cells(text, first):
    """The cells of a Markdown table's row that begins so."""
    return next(
        [c.strip() for c in line.split("|")[1:-1]] for line in text.splitlines() if line.startswith(f"| {first}")
    )


def test_tables_tell_what_was_measured(folder):
    text = (folder / "out" / "tables.md").read_text()
    report = json.loads((folder / "out" / "clean" / "report.json").read_text())
    assert report["methods"] == ["upbrush", "bicubic", "sharp", "blurred"]
    sharp = report["means"]["sharp"]["psnr_y"]["value"]
    assert cells(text, "sharp") == ["sharp", f"{sharp:.2f}", f"**{report['means']['sharp']['ssim_y']['value']:.4f}**"]
    assert cells(text, "another") == ["another", "***99.5***", "*0.5*"]
    assert cells(text, "upbrush")[1] != "–"
    repaints = text.split("## Repainted")[1]
    assert cells(repaints, "upbrush")[3] == "–"  # no face networks, so no identity
    assert "Italics" in text


def test_losses_stand_beside_wins(folder):
    report = json.loads((folder / "out" / "clean" / "report.json").read_text())
    row = cells((folder / "out" / "tables.md").read_text(), "clean input: against sharp")
    test = next(t for t in report["comparisons"] if (t["second"], t["metric"]) == ("sharp", "psnr_y"))
    assert test["verdict"] == "sharp is better"
    assert f"PSNR-Y {test['value']:.2f}" in row[3]
    assert row[1] == "–"


def test_speed_comes_from_the_last_benchmark(folder):
    text = (folder / "out" / "tables.md").read_text()
    assert cells(text, "SRVGG 64x16") == ["SRVGG 64x16", "50 (2)", "1.20", "71"]
    assert cells(text.split("## Speed")[1], "upbrush")[1:] == ["60 (2)", "", "–"]
    assert "not quiet" in text
    assert "Quality against speed" in (folder / "out" / "clean" / "report.html").read_text()


def test_only_the_marked_part_of_a_readme_changes(folder):
    text = (folder / "README.md").read_text()
    assert text.startswith(f"# mine\n{tables.BEGIN}\n")
    assert text.endswith(f"{tables.END}\nend\n")
    assert "\nold\n" not in text
    assert "### Restored" in text


def test_the_index_leads_to_every_report(folder):
    html = (folder / "out" / "index.html").read_text()
    links = re.findall(r'<a href="([^"]+)"', html)
    assert links == ["clean/report.html", "painted/report.html"]
    assert all((folder / "out" / link).is_file() for link in links)
    assert "<b><i>99.5</i></b>" in html.replace("<i><b>", "<b><i>").replace("</b></i>", "</i></b>")


def test_bicubic_is_pillows(folder):
    with Image.open(folder / "data" / "low" / "003.png") as low:
        expected = np.asarray(low.resize((64, 64), Image.Resampling.BICUBIC))
    assert np.array_equal(picture.read(folder / "out" / "clean" / "bicubic" / "003.png").pixels, expected)


def test_what_is_painted_by_the_same_model_and_knobs_is_not_painted_again(folder, monkeypatch):
    assert picture.read_note(folder / "out" / "painted" / "upbrush" / "000_002.png")["style"] == "002"
    refused = says(folder)
    assert (refused.exit_code, "--overwrite" in refused.output) == (2, True)
    before = {path: path.stat().st_mtime_ns for path in (folder / "out").rglob("*.png")}
    monkeypatch.setattr(Painter, "paint", lambda *_, **__: pytest.fail("painted again"))
    monkeypatch.setattr(evaluate.Measurer, "measure", lambda *_: pytest.fail("measured again"))
    assert says(folder, "--overwrite").exit_code == 0
    assert {path: path.stat().st_mtime_ns for path in (folder / "out").rglob("*.png")} == before


@pytest.mark.slow
def test_given_outputs_are_taken(folder, tmp_path):
    for number in range(COUNT):
        truth = picture.read(folder / "data" / "truth" / f"{number:03}.png").pixels
        save(truth.astype(float), tmp_path / "ours" / "clean" / f"{number:03}.png")
    found = says(folder, "--ours", tmp_path / "ours", "--only", "clean", "-o", tmp_path / "out")
    assert found.exit_code == 0, found.output
    assert cells((tmp_path / "out" / "tables.md").read_text(), "upbrush")[1] == "**148.13**"


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (("[[set]]", "[[sets]]"), "set: Field required"),
        (('metrics = ["psnr_y", "ssim_y"]', 'metrics = ["psnr"]'), "no set or metric is called psnr"),
        (('sets = ["clean"]', 'sets = ["dirty"]'), "no set or metric is called dirty"),
        (("fidelity = 1.0", "fidelity = 2.0"), "fidelity"),
        (('note = "', "note = '"), "is not TOML"),
        (('truth = "data/truth"', 'truth = "data/elsewhere"'), None),
    ],
)
def test_plans_that_are_no_good(tmp_path, change, told):
    path = tmp_path / "plan.toml"
    path.write_text(PLAN.replace(*change))
    roots = {"data": tmp_path, "rivals": tmp_path}
    if told is None:
        assert plan.load(path, roots).set[0].truth == tmp_path / "elsewhere"
        return
    with pytest.raises(ConfigError, match=told):
        plan.load(path, roots)


def test_a_root_that_is_not_given_is_asked_for(tmp_path):
    (tmp_path / "plan.toml").write_text(PLAN)
    with pytest.raises(ConfigError, match="say with --rivals where"):
        plan.load(tmp_path / "plan.toml", {"data": tmp_path})


def test_a_readme_without_marks_is_left_alone(folder, tmp_path):
    (tmp_path / "README.md").write_text("# mine\n")
    found = says(folder, "--readme", tmp_path / "README.md", "-o", tmp_path / "out")
    assert (found.exit_code, found.output.count("\n")) == (2, 1)
    assert "no place for the tables" in found.output
    assert (tmp_path / "README.md").read_text() == "# mine\n"


def test_the_shipped_plan_is_good(tmp_path):
    from pathlib import Path

    shipped = Path(__file__).parent.parent / "benchmarks" / "rivals.toml"
    found = plan.load(shipped, {"data": tmp_path, "rivals": tmp_path})
    named = {name for table in found.table for name in table.sets}
    assert named == {one.id for one in found.set}
