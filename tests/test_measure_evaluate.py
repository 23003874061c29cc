"""`upbrush evaluate` as a user meets it: reports, interruptions, resuming, wrong input, weights that are missing."""

import csv
import json
import os
import re
import subprocess
import sys
import time

import numpy as np
import pytest
import torch
from measuring import picture, save, sets, write_vgg
from typer.testing import CliRunner

from upbrush import cli
from upbrush.measure import evaluate, learned, perceptual, pixels, plots
from upbrush.measure.instruments import Instruments, Settings
from upbrush.measure.rows import Row, Store

COUNT = 12


@pytest.fixture(scope="module")
def vgg(tmp_path_factory):
    return write_vgg(tmp_path_factory.mktemp("vgg") / "vgg.safetensors")


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return sets(tmp_path_factory.mktemp("sets"), COUNT)


@pytest.fixture(autouse=True)
def _alone(monkeypatch, vgg):
    monkeypatch.setenv("UPBRUSH_FEATURES", str(vgg))


def says(*words):
    """Weights that lie on the machine of whoever runs this do not count."""
    apart = CliRunner(env={"UPBRUSH_FACES": None, "TORCH_HOME": "/no/such/folder"})
    return apart.invoke(cli.app, [str(word) for word in words])


def both(made, out, *words):
    outputs = (f"sharp={made['sharp']}", f"blurred={made['blurred']}")
    return says("evaluate", *outputs, "--truth", made["truth"], "--low", made["low"], "-o", out, *words)


@pytest.fixture(scope="module")
def report(made, vgg, tmp_path_factory):
    out = tmp_path_factory.mktemp("report") / "report"
    found = both(
        made, out, "--features", vgg, "--speed", "sharp=0.06", "--speed", "blurred=0.001", "--title", "A <test>"
    )
    assert found.exit_code == 0, found.output
    return out, found.output


def test_a_report_says_who_is_better(report):
    tree = json.loads((report[0] / "report.json").read_text())
    assert tree["methods"] == ["sharp", "blurred"]
    assert tree["means"]["sharp"]["psnr_y"]["value"] > tree["means"]["blurred"]["psnr_y"]["value"] + 3
    assert tree["means"]["sharp"]["psnr_y"]["n"] == COUNT
    test = next(one for one in tree["comparisons"] if one["metric"] == "psnr_y")
    assert test["verdict"] == "sharp is better"
    assert (test["first"], test["second"], test["wins"], test["losses"]) == ("sharp", "blurred", COUNT, 0)
    assert test["p"] < test["p_holm"] < 0.05
    assert test["low"] < test["value"] < test["high"]


def test_a_report_tells_every_setting(report):
    settings = json.loads((report[0] / "report.json").read_text())["settings"]
    assert settings["crop_px"] == 4
    assert settings["weights"]["vgg19"] == re.search(r"vgg19 (\w+)", (report[0] / "report.html").read_text())[1]
    assert {"folders", "packages", "seed", "luma", "style_px", "upbrush", "when"} <= settings.keys()


def test_what_could_not_be_measured_is_told_with_the_reason(report):
    tree = json.loads((report[0] / "report.json").read_text())
    html = (report[0] / "report.html").read_text()
    for key in ("lpips", "dists", "identity"):
        assert "needs weights" in tree["not_measured"][key]
        assert key not in tree["means"]["sharp"]
    assert "LPIPS (AlexNet), DISTS, ARNIQA (KonIQ-10k): not measured, needs weights" in report[1]
    assert "needs weights" in html
    assert "mostly bias" in tree["sets"]["sharp"]["Fréchet distance (VGG19 relu5_1)"]
    assert tree["sets"]["sharp"]["KID (VGG19 relu5_1)"]["low"] < tree["sets"]["blurred"]["KID (VGG19 relu5_1)"]["high"]
    assert "FID" not in (report[0] / "report.json").read_text().replace("ArtFID", "")


def test_the_table_has_a_row_for_each_picture(report, made):
    rows = list(csv.DictReader((report[0] / "report.csv").read_text().splitlines()))
    assert [(row["method"], row["name"]) for row in rows[:2]] == [("sharp", "000"), ("sharp", "001")]
    assert len(rows) == 2 * COUNT
    tree = json.loads((report[0] / "report.json").read_text())
    mean = np.mean([float(row["vgg"]) for row in rows if row["method"] == "blurred"])
    assert mean == pytest.approx(tree["means"]["blurred"]["vgg"]["value"])
    assert rows[0]["output"] == str(made["sharp"] / "000.png")


def test_texture_is_told_of_the_pictures_as_they_are(report, made, vgg):
    row = next(csv.DictReader((report[0] / "report.csv").read_text().splitlines()))
    eye = perceptual.Eye(vgg)
    seen = [perceptual.moments(eye.look(pixels.read(made[kind] / "000.png"))) for kind in ("sharp", "truth")]
    assert float(row["texture"]) == pytest.approx(perceptual.style_error(*seen), rel=1e-4)


def test_large_pictures_are_looked_at_in_tiles_with_the_same_result(report, made, vgg, tmp_path, monkeypatch):
    whole = next(csv.DictReader((report[0] / "report.csv").read_text().splitlines()))
    monkeypatch.setattr(perceptual, "WHOLE_PX", 10)
    monkeypatch.setattr(evaluate.Seen, "look_with", lambda *_: pytest.fail("looked at whole"))
    assert both(made, tmp_path / "tiled", "--features", vgg).exit_code == 0
    tiled = next(csv.DictReader((tmp_path / "tiled/report.csv").read_text().splitlines()))
    for key in ("vgg", "texture"):
        assert float(tiled[key]) == pytest.approx(float(whole[key]), rel=1e-4)


def test_the_page_needs_nothing_but_itself(report):
    html = (report[0] / "report.html").read_text()
    links = re.findall(r"(?:src|href|url)\s*[=(]\s*[\"']?([^\"')> ]{1,40})", html)
    assert links
    assert all(link.startswith(("data:", "#")) for link in links), links
    assert "A &lt;test&gt;" in html
    for title in ("Distributions", "Distortion against perception", "Sharpness spectrum", "Quality against speed"):
        assert title in html
    assert html.count("data:image/webp") == 4 * len(re.findall('class="case"', html))


def test_a_report_is_not_replaced_unasked_and_rows_are_not_measured_twice(report, made, monkeypatch):
    before = (report[0] / "report.json").stat().st_mtime_ns
    refused = both(made, report[0])
    assert (refused.exit_code, refused.output.count("\n")) == (2, 1)
    assert "--overwrite" in refused.output
    assert (report[0] / "report.json").stat().st_mtime_ns == before
    monkeypatch.setattr(evaluate.Measurer, "measure", lambda *_: pytest.fail("measured again"))
    assert both(made, report[0], "--overwrite").exit_code == 0
    assert (report[0] / "report.json").stat().st_mtime_ns > before


def test_an_output_that_changed_is_measured_again_and_no_other(tmp_path, monkeypatch):
    made = sets(tmp_path, 3)
    job = evaluate.Job({"sharp": made["sharp"]}, made["truth"])
    seen, measure = [], evaluate.Measurer.measure
    monkeypatch.setattr(evaluate.Measurer, "measure", lambda s, case, m: seen.append(case.name) or measure(s, case, m))

    def run(crop):
        settings = Settings(crop)
        rows = evaluate.run(job.cases(), evaluate.Measurer(settings, Instruments()), tmp_path)
        return {row.name: row.values["psnr_y"] for row in rows}

    first = run(4)
    save(picture(70), made["sharp"] / "001.png")
    second = run(4)
    assert seen == ["000", "001", "002", "001"]
    assert [name for name in first if first[name] != second[name]] == ["001"]
    run(5)  # another setting: all of them
    assert seen[4:] == ["000", "001", "002"]


def test_a_row_written_by_half_is_dropped(tmp_path):
    store = Store(tmp_path / "rows.jsonl")
    store.append(Row("a", "m", "x", {"psnr_y": 1.5, "down": None}, {"face": np.arange(3, dtype=np.float32)}))
    store.append(Row("old", "m", "y", {}))
    with open(store.path, "a") as file:
        file.write('{"key": "b", "meth')
    rows = store.load(["a", "b"])
    assert list(rows) == ["a"]
    assert rows["a"].values == {"psnr_y": 1.5, "down": None}
    assert rows["a"].vectors["face"].tolist() == [0, 1, 2]
    assert store.path.read_text().count("\n") == 1
    store.append(Row("b", "m", "x", {}))
    assert set(store.load(["a", "b"])) == {"a", "b"}


@pytest.mark.slow
def test_killed_it_goes_on_where_it_was(tmp_path, vgg):
    made, out = sets(tmp_path, 40, 128, 128), tmp_path / "report"
    words = [sys.executable, "-m", "upbrush", "evaluate", made["sharp"], "--truth", made["truth"], "-o", out, "-q"]
    process = subprocess.Popen(list(map(str, words)), env=os.environ | {"UPBRUSH_FEATURES": str(vgg)})
    rows = out / evaluate.ROWS
    while not rows.exists() or rows.read_text().count("\n") < 3:
        assert process.poll() is None, "it was done before it could be killed"
        time.sleep(0.01)
    process.kill()
    process.wait()
    kept = rows.read_bytes()
    assert not (out / "report.json").exists()
    subprocess.run(list(map(str, words)), env=os.environ | {"UPBRUSH_FEATURES": str(vgg)}, check=True)
    assert rows.read_bytes().startswith(kept[: kept.rindex(b"\n") + 1])
    assert json.loads((out / "report.json").read_text())["pictures"] == 40


def test_interrupted_it_says_how_to_go_on(made, tmp_path, monkeypatch):
    def stop(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(evaluate.Measurer, "measure", stop)
    found = both(made, tmp_path / "report")
    assert found.exit_code == 130
    assert "the same command goes on" in found.output


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--features", "/no/such.safetensors"], "cannot be read"),
        (["--faces", "/no/such"], "not found; give the folder"),
        (["--inception", "/no/such.pth"], "not found"),
        (["--speed", "blurred=fast"], "expected NAME=SECONDS"),
        (["--pairs", "/no/such.csv"], "cannot be read"),
        (["--style", "/no/such"], "not found"),
        (["--crop", "-1"], "crop"),
    ],
)
def test_wrong_words_are_one_line_and_exit_code_two(made, tmp_path, words, told):
    found = both(made, tmp_path / "report", *words)
    assert (found.exit_code, found.output.count("\n")) == (2, 1), found.output
    assert told in found.output
    assert not (tmp_path / "report" / "report.json").exists()


def test_repaints_are_judged_by_style_and_content(made, tmp_path):
    """One method paints nothing, the other paints nothing but the style."""
    names = [(f"{content:03}", style) for content in range(4) for style in ("005", "009")]
    (tmp_path / "pairs.csv").write_text("content,style\n" + "".join(f"{c},{s}\n" for c, s in names))
    for content, style in names:
        save(picture(int(content)), tmp_path / "nothing" / f"{content}_{style}.png")
        save(picture(int(style)), tmp_path / "style" / f"{content}_{style}.png")
    words = (
        "--truth",
        made["truth"],
        "--style",
        made["truth"],
        "--pairs",
        tmp_path / "pairs.csv",
        "-o",
        tmp_path / "r",
    )
    found = says("evaluate", tmp_path / "nothing", tmp_path / "style", *words)
    assert found.exit_code == 0, found.output
    tree = json.loads((tmp_path / "r" / "report.json").read_text())
    means = {
        (method, key): tree["means"][method][key]["value"] for method in tree["means"] for key in ("style", "content")
    }
    assert means["nothing", "content"] == means["style", "style"] == 0
    assert min(means["nothing", "style"], means["style", "content"]) > 0.01
    assert "psnr_y" not in {one["metric"] for one in tree["comparisons"]}  # a repaint is meant to differ
    assert "2 different pictures are too few" in tree["sets"]["style"]["KID (VGG19 relu5_1)"]
    assert "under 2000" in tree["sets"]["style"]["ArtFID"]
    assert "Style against content" in (tmp_path / "r" / "report.html").read_text()


def test_without_vgg_the_rest_is_measured(made, tmp_path, monkeypatch):
    monkeypatch.delenv("UPBRUSH_FEATURES")
    found = says("evaluate", made["sharp"], "--truth", made["truth"], "-o", tmp_path / "r", "-q")
    assert found.exit_code == 0, found.output
    tree = json.loads((tmp_path / "r" / "report.json").read_text())
    assert "needs weights: VGG19" in tree["not_measured"]["vgg"]
    assert tree["means"]["sharp"]["ssim_y"]["n"] == COUNT


def test_repaints_without_vgg_are_measured_by_the_rest(made, tmp_path, monkeypatch):
    monkeypatch.delenv("UPBRUSH_FEATURES")
    words = ("--truth", made["truth"], "--style", made["truth"] / "001.png", "-o", tmp_path / "r", "-q")
    found = says("evaluate", made["sharp"], *words)
    assert found.exit_code == 0, found.output
    assert "needs weights: VGG19" in json.loads((tmp_path / "r" / "report.json").read_text())["not_measured"]["style"]


def test_places_of_one_knob_are_joined_in_their_order():
    assert plots.knobs(["fidelity 1", "RFDN", "fidelity 0.25", "fidelity 0"]) == [
        ["fidelity 0", "fidelity 0.25", "fidelity 1"]
    ]
    assert plots.knobs(["bicubic", "v1", "v2"]) == []


@pytest.fixture
def backbone(monkeypatch, tmp_path):
    """torchvision's AlexNet in little, where torchmetrics looks for it, and a checkpoint where torch would put it."""
    from types import SimpleNamespace

    from torch import nn
    from torchmetrics.functional.image import lpips as theirs
    from torchmetrics.image import lpip

    def alexnet(weights=None):
        torch.manual_seed(0)
        widths, layers = (3, 64, 192, 384, 256, 256), []
        for i, (a, b) in enumerate(zip(widths, widths[1:], strict=False)):
            layers += [nn.Conv2d(a, b, 3, 2 if i == 0 else 1, 1), nn.ReLU()] + [nn.MaxPool2d(2)] * (i in (0, 1))
        return SimpleNamespace(features=nn.Sequential(*layers))

    stand_in = SimpleNamespace(models=SimpleNamespace(alexnet=alexnet, AlexNet_Weights=SimpleNamespace(DEFAULT=None)))
    monkeypatch.setitem(sys.modules, "torchvision", stand_in)
    for module in (theirs, lpip):
        monkeypatch.setattr(module, "_TORCHVISION_AVAILABLE", True)
    monkeypatch.setattr(learned, "find_spec", lambda name: True)
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints" / learned.CHECKPOINTS["lpips"][0]).touch()


@pytest.mark.usefixtures("backbone")
@pytest.mark.filterwarnings("ignore")
def test_lpips_is_torchmetrics_where_its_backbone_is_here():
    judges, missing = learned.open_judges(download=False)
    assert set(judges) == {"lpips"}
    assert "vgg16-397923af.pth not in torch's cache; --download fetches it" in missing["dists"]
    truth = picture(1)
    noisy = truth + np.random.default_rng(0).normal(0, 20, truth.shape)
    assert judges["lpips"](truth, truth) == 0
    first = judges["lpips"](noisy.clip(0, 255), truth)
    assert 0 < first == judges["lpips"](noisy.clip(0, 255), truth)  # it remembers no picture


def test_artfid_is_left_to_its_authors(tmp_path, monkeypatch):
    from types import ModuleType

    package = ModuleType("art_fid.art_fid")

    def compute(outputs, styles, truths, batch, device, mode, num_workers):
        names = [sorted(os.listdir(folder)) for folder in (outputs, styles, truths)]
        assert names[0] == names[1] == names[2] == ["000000.png", "000001.png"]
        return 31.5

    package.compute_art_fid = compute
    monkeypatch.setitem(sys.modules, "art_fid", ModuleType("art_fid"))
    monkeypatch.setitem(sys.modules, "art_fid.art_fid", package)
    files = [save(picture(i), tmp_path / f"{i}.webp") for i in range(2)]
    assert learned.art_fid(files, [files[0]] * 2, files) == 31.5
    assert "under 2000" in learned.art_fid_missing(800, download=True)
    monkeypatch.setattr(learned, "find_spec", lambda name: None)
    assert "needs weights" in learned.art_fid_missing(2000, download=True)
