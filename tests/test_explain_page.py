"""The page and the command: it stands alone, says what is so, escapes what it is given, and refuses in one line."""

import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest
from conftest import FakeEngine, draw
from PIL import Image
from tiny_model import write_library
from typer.testing import CliRunner

from upbrush import cli, picture
from upbrush.engine import MODEL_DIR
from upbrush.explain import inquiry, page, words
from upbrush.explain.findings import JudgedFace, Judgement, Question
from upbrush.painter import Painter

VOID = {"meta", "img", "br", "input"}
MODEL_IS_HERE = all((MODEL_DIR / name).is_file() for name in ("weights.safetensors", "renderer.onnx"))


class Reader(HTMLParser):
    """Collects what a page loads, its text, and elements that are not closed."""

    def __init__(self, text):
        super().__init__()
        self.loads, self.links, self.text, self.open, self.images, self.ids = [], [], "", [], 0, []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.see(tag, attributes)
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.see(tag, attributes)

    def see(self, tag, attributes):
        given = dict(attributes)
        if "id" in given:
            self.ids.append(given["id"])
        if tag == "a":
            self.links.append(given["href"])
        else:
            self.loads += [given[name] for name in ("src", "href", "xlink:href") if name in given]
        if tag == "img":
            self.images += 1
            assert "alt" in given

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open[-1:] not in (["style"], ["script"]):
            self.text += data


def read(path):
    reader = Reader(path.read_text(encoding="utf-8"))
    assert not reader.open
    assert all(load.startswith(("data:", "#")) for load in reader.loads)
    return reader


def numbers_of(path):
    return json.loads(path.read_text(encoding="utf-8"))


def upbrush_says(*given):
    return CliRunner().invoke(cli.app, [str(word) for word in given], env={"UPBRUSH_FACES": None})


@pytest.fixture(scope="module")
def model_dir(tmp_path_factory):
    return write_library(tmp_path_factory.mktemp("page") / "model")


@pytest.fixture
def photo(tmp_path, model_dir, monkeypatch):
    monkeypatch.setenv("UPBRUSH_MODEL", str(model_dir))
    Image.fromarray(draw(20, 24)).save(tmp_path / "photo.png")
    return tmp_path / "photo.png"


def test_a_page_stands_alone(photo, tmp_path):
    out = tmp_path / "photo.html"
    done = upbrush_says("explain", photo, "-o", out, "--no-gradients")
    assert (done.exit_code, done.output) == (0, "")
    shown = read(out)
    assert shown.images >= 5
    assert "from 24 × 20 pixels, 480 in all, to 96 × 80" in shown.text
    assert "set UPBRUSH_FACES" in shown.text
    assert inquiry.NO_GRADIENTS in shown.text
    assert "model tiny-0" in shown.text
    assert "http" not in re.sub(
        r'href="https://arxiv.org/abs/[\d.]+"|http://www.w3.org/\S+', "", out.read_text("utf-8")
    )
    numbers = numbers_of(tmp_path / "photo.json")
    assert numbers["size"]["low"] == [24, 20]
    assert numbers["invented"]["changed"] < 10
    assert numbers["missing"]["faces"] == inquiry.NO_FACES
    assert picture.read_note(tmp_path / "photo.explain.png")["explains"] == "invented detail"


def test_names_cannot_break_the_page(photo, tmp_path):
    bad = tmp_path / "a<script>alert(1)<&\"'.png"
    photo.rename(bad)
    assert upbrush_says("explain", bad, "-o", tmp_path / "x.html", "--no-gradients").exit_code == 0
    text = (tmp_path / "x.html").read_text("utf-8")
    assert "<script>alert" not in text
    assert bad.name in read(tmp_path / "x.html").text
    assert json.loads(re.search(r'id="numbers">(.*?)</script>', text)[1])["picture"] == bad.name


def test_a_folder_goes_on_where_it_was(photo, tmp_path):
    folder = tmp_path / "in"
    (folder / "deep").mkdir(parents=True)
    for name in ("a.png", "deep/b.png"):
        shutil.copy(photo, folder / name)
    (folder / "bad.png").write_bytes(b"no picture")
    done = upbrush_says("explain", folder, "-o", tmp_path / "out", "--no-gradients")
    assert done.exit_code == 1
    assert "bad.png" in done.stderr.splitlines()[0]
    assert "explained 2, failed 1" in done.stderr
    assert (tmp_path / "out" / "deep" / "b.html").is_file()
    before = (tmp_path / "out" / "a.html").stat().st_mtime_ns
    done = upbrush_says("explain", folder / "a.png", folder / "deep", "-o", tmp_path / "out", "--no-gradients")
    assert "explained 1, skipped 1" in done.stderr  # deep/ given by itself gives b.html beside a.html
    assert (tmp_path / "out" / "a.html").stat().st_mtime_ns == before


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["--strength", "0.5"], "--strength goes with a style"),
        (["--region", "5"], "expected left,top or left,top,width,height"),
        (["--region", "a,b"], "in whole output pixels"),
        (["--weights", "none.safetensors"], "none.safetensors: cannot be read"),
        ([], "weights.safetensors: not found, and gradients need it"),
        (["--truth", "photo.png", "--no-gradients"], "is 24x20, the output is 96x80"),
        (["--region", "8,8", "--no-gradients"], "drop one of the two"),
        (["--faces", "nowhere", "--no-gradients"], "not found"),
        (["--style", "nobody"], "no style is called"),
        (["-o", "x.png"], "a page is called something.html"),
        (["-o", "there.html"], "is there already"),
    ],
)
def test_mistakes_are_one_line_and_2(photo, tmp_path, monkeypatch, given, said):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "there.html").write_text("mine")
    done = upbrush_says("explain", "photo.png", "-o", "new.html", *given)
    assert done.exit_code == 2
    assert done.stderr.count("\n") == 1
    assert said in done.stderr
    assert not (tmp_path / "new.html").exists()
    assert (tmp_path / "there.html").read_text() == "mine"


def test_without_gradients_no_torch_is_loaded(photo, tmp_path):
    script = (
        "import sys\nfrom typer.testing import CliRunner\nfrom upbrush import cli\n"
        "done = CliRunner().invoke(cli.app, sys.argv[1:])\nassert done.exit_code == 0, done.output\n"
        "assert not {'torch', 'captum', 'matplotlib', 'cv2'} & set(sys.modules)"
    )
    given = ["explain", photo, "-o", tmp_path / "x.html", "--no-gradients"]
    environment = {key: value for key, value in os.environ.items() if key != "UPBRUSH_FACES"}
    subprocess.run([sys.executable, "-c", script, *map(str, given)], check=True, env=environment)


@pytest.fixture
def account(photo):
    question = Question(Painter(FakeEngine()), None, 0.0, 0.5)
    return inquiry.inquire(photo, question)


def test_the_truth_is_told(photo, tmp_path):
    true = Painter(FakeEngine()).paint(draw(20, 24))
    Image.fromarray(true).save(tmp_path / "true.png")
    found = inquiry.inquire(photo, Question(Painter(FakeEngine()), None, 0.0, 0.5), truth=tmp_path / "true.png").truth
    assert found.error == 0
    Image.fromarray(255 - true).save(tmp_path / "true.png")
    found = inquiry.inquire(photo, Question(Painter(FakeEngine()), None, 0.0, 0.5), truth=tmp_path / "true.png").truth
    assert found.error > 30


def test_rank_correlation_is_spearmans():
    values = np.random.default_rng(0).random(50)
    assert inquiry.rank_correlation(values, np.exp(9 * values)) == pytest.approx(1)
    assert inquiry.rank_correlation(values, -values) == pytest.approx(-1)
    stats = pytest.importorskip("scipy.stats")
    other = np.random.default_rng(1).random(50)
    assert inquiry.rank_correlation(values, other) == pytest.approx(stats.spearmanr(values, other).statistic)


def judgement(verdict, before="truth"):
    return Judgement((JudgedFace((4, 4, 40, 40), verdict, 0.5),), before, 0.39, 0.001, 0.53)


def test_flagged_faces_are_said_first(account, tmp_path):
    faces = (JudgedFace((4, 4, 40, 40), "doubtful", 0.21), JudgedFace((60, -5, 40, 40), "new", None))
    judged = replace(account, judgement=Judgement(faces, "bicubic", 0.39, 0.001, 0.53), missing={**account.missing})
    (tmp_path / "x.html").write_text(page.page(judged), encoding="utf-8")
    shown = read(tmp_path / "x.html")
    assert "2 of 2" in shown.text
    assert "faces flagged" in shown.text
    assert "cosine 0.21: may pass for somebody else" in shown.text
    assert "one in 1,000 pairs" in shown.text
    kept = replace(judged, judgement=Judgement((JudgedFace((4, 4, 40, 40), "kept", 0.9),), "truth", 0.39, 0.001, 0.53))
    assert words.people(kept)[2] == "faces pass"
    assert words.people(replace(kept, judgement=judgement("barely")))[2] == "faces pass, 1 only just"
    assert "the true large picture" in words.identity(kept.judgement)


def test_a_region_is_chosen_where_most_is_invented(account):
    account.invention.added[:] = 0
    account.invention.unsteady[:] = 0
    account.invention.undecided[:] = 0
    account.invention.added[17, 21] = 200
    box = inquiry.choose_region(account.invention, None, (80, 96))
    assert box.top <= 4 * 17 < box.bottom <= 80
    assert box.left <= 4 * 21 < box.right <= 96
    face = Judgement((JudgedFace((0, 0, 40, 40), "kept", 1.0),), "bicubic", 0.39, 0.001, 0.53)
    account.invention.added[3, 4] = 20
    inside = inquiry.choose_region(account.invention, face, (80, 96))
    assert inside.top <= 12 < inside.bottom


@pytest.mark.skipif(not MODEL_IS_HERE, reason="the shipped model is not in src/upbrush/model")
def test_the_shipped_model_explains_itself(tmp_path):
    pytest.importorskip("captum")
    Image.fromarray(draw(20, 24)).save(tmp_path / "low.png")
    low, styled = tmp_path / "low.png", ["-s", "random:3", "--threads", "1"]
    done = upbrush_says("explain", low, "-o", tmp_path / "out.html", *styled, "--region", "40,30")
    assert (done.exit_code, done.output) == (0, "")
    shown = read(tmp_path / "out.html")
    for sentence in ("were drawn from the small picture's coloured pixels", "which have no places to point at"):
        assert sentence in shown.text
    assert len(numbers_of(tmp_path / "out.json")["layers"]["alone"]) == 16
    lam = numbers_of(tmp_path / "out.json")["dependence"]
    assert lam["edges attributed"] == pytest.approx(lam["edges gained"], rel=0.1)
    assert lam["region"] == {"top": 30, "left": 40, "bottom": 46, "right": 56}
    assert (tmp_path / "out.lam.png").is_file()
    done = upbrush_says("explain", low, "-o", tmp_path / "b.html", *styled, "--region", "90,0")
    assert (done.exit_code, "leaves the output, which is 96x80" in done.stderr) == (2, True)


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("chromium") is None, reason="chromium is not installed")
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_works_in_a_browser(photo, tmp_path, scheme):
    sync_api = pytest.importorskip("playwright.sync_api")
    assert upbrush_says("explain", photo, "-o", tmp_path / "x.html", "--no-gradients").exit_code == 0
    with sync_api.sync_playwright() as browsers:
        browser = browsers.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        shown = browser.new_page(viewport={"width": 360, "height": 700}, color_scheme=scheme)
        said = []
        shown.on("console", lambda message: said.append(message.text))
        shown.on("pageerror", lambda error: said.append(str(error)))
        shown.on("request", lambda request: said.append(request.url) if request.url.startswith("http") else None)
        shown.goto((tmp_path / "x.html").as_uri())
        shown.wait_for_timeout(300)
        shown.hover("#stage", position={"x": 30, "y": 30})
        assert "Here: invented" in shown.inner_text("#here")
        assert shown.evaluate("document.documentElement.scrollWidth") <= 360
        shown.fill("#wipe", "0")
        assert (
            shown.evaluate("getComputedStyle(document.getElementById('stage-output')).clipPath")
            == "inset(0px 0px 0px 0%)"
        )
        browser.close()
    assert said == []
