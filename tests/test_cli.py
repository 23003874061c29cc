"""The command line: exit codes, one-line errors, streams, interruptions, and a --help that loads nothing."""

import ast
import importlib.util
import io
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from conftest import draw
from PIL import Image
from tiny_model import IDENTITY, write_library
from typer.testing import CliRunner

import upbrush
from upbrush import cli, engine, picture, screen, styles
from upbrush.errors import ConfigError

HEAVY = ("numpy", "PIL", "onnxruntime", "openvino", "torch", "rich.progress")


@pytest.fixture(scope="module")
def model_dir(tmp_path_factory):
    return write_library(tmp_path_factory.mktemp("cli") / "model")


@pytest.fixture(autouse=True)
def _model(model_dir, monkeypatch):
    monkeypatch.setenv("UPBRUSH_MODEL", str(model_dir))


@pytest.fixture
def photo(tmp_path):
    Image.fromarray(draw(10, 12)).save(tmp_path / "photo.png")
    return tmp_path / "photo.png"


@pytest.fixture
def photos(tmp_path):
    folder = tmp_path / "photos"
    (folder / "trip").mkdir(parents=True)
    for name in ("a.png", "b.jpg", "trip/c.png"):
        Image.fromarray(draw(10, 12)).save(folder / name)
    return folder


def upbrush_says(*words, data=None):
    return CliRunner().invoke(cli.app, [str(word) for word in words], input=data, prog_name="upbrush")


def shape(path):
    return picture.read(path).pixels.shape[:2]


def program(*words, **options):
    """The real program, in a process of its own."""
    command = [sys.executable, "-m", "upbrush", *(str(word) for word in words)]
    return subprocess.run(command, capture_output=True, timeout=60, check=False, **options)


@pytest.mark.parametrize(
    "words", [["--help"], ["paint", "-h"], ["style", "make", "--help"], ["--version"], ["frobnicate"]]
)
def test_words_that_paint_nothing_load_nothing(words):
    script = (
        "import sys\nsys.argv = ['upbrush', *sys.argv[1:]]\nfrom upbrush import cli\n"
        "try: cli.main()\nexcept SystemExit: pass\n"
        f"print('loaded:', *[name for name in {HEAVY} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", script, *words], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "loaded:"


def test_the_program_says_what_is_wrong_as_its_commands_do():
    done = program("paint", "x.png")
    assert (done.returncode, done.stdout) == (2, b"")
    assert done.stderr.startswith(b"upbrush: ")
    assert done.stderr.count(b"\n") == 1


def test_the_version_is_the_packages():
    assert upbrush_says("--version").stdout == f"upbrush {upbrush.__version__}\n"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["paint"], "'IN'"),
        (["paint", "x.png"], "--out"),
        (["paint", "x.png", "-o", "y.png", "--strength", "1.5"], "--strength"),
        (["paint", "x.png", "-o", "y.png", "--fidelity", "-1"], "--fidelity"),
        (["paint", "x.png", "-o", "y.png", "--scale", "17"], "--scale"),
        (["paint", "x.png", "-o", "y.png", "--threads", "0"], "--threads"),
        (["paint", "x.png", "-o", "y.png", "--no-such-option"], "--no-such-option"),
        (["frobnicate"], "frobnicate"),
        (["style", "frobnicate"], "see `upbrush style -h`"),
        (["--no-such-option"], "see `upbrush -h`"),
    ],
)
def test_wrong_words_are_one_line_and_2(words, said):
    done = upbrush_says(*words)
    assert (done.exit_code, done.stdout) == (2, "")
    told = done.stderr
    assert told.startswith("upbrush: ")
    assert told.count("\n") == 1
    assert said in told


@pytest.mark.parametrize("words", [[], ["style"]])
def test_no_words_show_the_help(words):
    done = upbrush_says(*words)
    assert done.exit_code == 2
    assert "Commands:" in done.output


def test_a_picture_is_restored(photo, tmp_path):
    done = upbrush_says("paint", photo, "-o", tmp_path / "large.png")
    assert (done.exit_code, done.output) == (0, "")
    np.testing.assert_array_equal(picture.read(tmp_path / "large.png").pixels[::4, ::4], draw(10, 12))
    assert picture.read_note(tmp_path / "large.png")["model"] == IDENTITY


def test_a_picture_is_repainted(photo, tmp_path):
    words = ["paint", photo, "-s", "klimt", "--strength", 0.5, "--fidelity", 0, "-o", tmp_path / "large.jpg"]
    assert upbrush_says(*words).exit_code == 0
    note = picture.read_note(tmp_path / "large.jpg")
    assert (note["style"], note["strength"], note["fidelity"]) == ("Klimt", "0.5", "0")
    ochre = picture.read(tmp_path / "large.jpg").pixels.reshape(-1, 3).mean(0) - draw(10, 12).reshape(-1, 3).mean(0)
    assert ochre[0] > 20
    assert ochre[2] < -20


def test_sizes_are_exact(photo, tmp_path):
    assert upbrush_says("paint", photo, "-o", tmp_path / "a.png", "--scale", 2.5).exit_code == 0
    assert shape(tmp_path / "a.png") == (25, 30)
    assert upbrush_says("paint", photo, "-o", tmp_path / "b.png", "--size", "long:77").exit_code == 0
    assert shape(tmp_path / "b.png")[1] == 77


def test_a_seed_draws_the_same_style_again(photo, tmp_path):
    for name in ("a", "b"):
        words = ["paint", photo, "-s", "random", "--seed", 7, "-o", tmp_path / f"{name}.png"]
        assert upbrush_says(*words).exit_code == 0
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
    assert picture.read_note(tmp_path / "a.png")["style"] == "random:7"


def test_a_folder_goes_on_where_it_was(photos, tmp_path):
    out = tmp_path / "out"
    assert upbrush_says("paint", photos / "a.png", photos / "b.jpg", "-o", out).exit_code == 0
    done = upbrush_says("paint", photos, "-o", out)
    assert done.exit_code == 0
    assert done.stderr == "upbrush: painted 1, skipped 2 (there already; --overwrite paints them again)\n"
    before = (out / "a.png").stat().st_mtime_ns
    assert upbrush_says("paint", photos, "-o", out).stderr.startswith("upbrush: painted 0, skipped 3")
    assert (out / "a.png").stat().st_mtime_ns == before
    assert upbrush_says("paint", photos, "-o", out, "--overwrite").stderr == "upbrush: painted 3\n"
    assert (out / "a.png").stat().st_mtime_ns > before


def test_a_batch_with_a_bad_file_ends_with_1_and_names_it(photos, tmp_path):
    (photos / "bad.png").write_text("no picture")
    (photos / "notes.txt").write_text("no picture")
    done = upbrush_says("paint", photos, "-o", tmp_path / "out")
    assert done.exit_code == 1
    first, last = done.stderr.splitlines()
    assert first.startswith("upbrush: ")
    assert "bad.png" in first
    assert last == "upbrush: painted 3, left out 1 (not pictures), failed 1"
    quiet = upbrush_says("paint", photos, "-o", tmp_path / "out2", "--quiet")
    assert (quiet.exit_code, quiet.stderr) == (1, done.stderr)  # failures are never hushed


def test_quiet_says_nothing_when_all_went_well(photos, tmp_path):
    assert upbrush_says("paint", photos, "-o", tmp_path / "out", "-q").output == ""


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["missing.png", "-o", "out.png"], "missing.png"),
        (["photo.png", "-o", "out.xyz"], "cannot write 'xyz' files"),
        (["photo.png", "-o", "taken.png"], "is there already"),
        (["photo.png", "-o", "photo.png"], "its own painting"),
        (["photo.png", "-o", "photo.png/x.png"], "cannot be made"),
        (["photo.png", "-o", "out.png", "-s", "kilmt"], "did you mean klimt?"),
        (["photo.png", "-o", "out.png", "-s", "nothing.jpg"], "no such file"),
        (["photo.png", "-o", "out.png", "-s", ""], "no style is called ''"),
        (["cut.png", "-o", "out.png"], "damaged or cut short"),
        (["photo.png", "-o", "out.png", "-s", "foreign.style"], "belongs to model other"),
        (["photo.png", "-o", "out.png", "--strength", "0.5"], "--strength goes with a style"),
        (["photo.png", "-o", "out.png", "--keep-colours"], "--keep-colours goes with a style"),
        (["photo.png", "-o", "out.png", "--seed", "1"], "--seed goes with a style"),
        (["photo.png", "-o", "out.png", "-s", "monet", "--seed", "1"], "goes with --style random"),
        (["photo.png", "-o", "out.png", "--size", "huge"], "'huge' is not a size"),
        (["photo.png", "-o", "out.png", "--size", "10x10", "--scale", "2"], "both given"),
        (["photo.png", "-o", "out.png", "--memory", "lots"], "not a memory size"),
        (["photo.png", "-o", "out.png", "--engine", "tensorflow"], "engine 'tensorflow' is unknown"),
        (["photo.png", "-o", "out.png", "--model", "nowhere"], "encoder.onnx, modulator.onnx, renderer.onnx not found"),
        (["photo.png", "-o", "out.png", "--format", "jpeg"], "drop one of them"),
    ],
)
def test_a_mistake_is_one_line_and_2_and_writes_nothing(photo, monkeypatch, words, said):
    monkeypatch.chdir(photo.parent)
    (photo.parent / "taken.png").touch()
    (photo.parent / "cut.png").write_bytes(photo.read_bytes()[:-60])
    styles.write(styles.Style("x", np.zeros(256), "other"), "foreign.style")
    before = sorted(photo.parent.iterdir())
    done = upbrush_says("paint", *words)
    assert done.exit_code == 2
    assert done.stdout == ""
    assert said in done.stderr
    assert done.stderr.startswith("upbrush: ")
    assert done.stderr.count("\n") == 1
    assert sorted(photo.parent.iterdir()) == before


def test_what_is_lost_is_told_with_the_pictures_name(tmp_path):
    Image.new("RGBA", (8, 8)).save(tmp_path / "clear.png")
    done = upbrush_says("paint", tmp_path / "clear.png", "-o", tmp_path / "large.jpg")
    assert done.exit_code == 0
    assert done.stderr == f"upbrush: {tmp_path / 'clear.png'}: JPEG has no transparency: laid on white\n"


def test_a_terminal_is_not_sent_a_picture(photo, monkeypatch):
    monkeypatch.setattr(cli.sys.stdout, "isatty", lambda: True, raising=False)
    with pytest.raises(ConfigError, match="not for a terminal"):
        cli.paint([str(photo)], "-")


def test_streams(photo):
    done = program("paint", "-", "-o", "-", "--format", "webp", input=photo.read_bytes())
    assert (done.returncode, done.stderr) == (0, b"")
    image = Image.open(io.BytesIO(done.stdout))
    assert (image.format, image.size) == ("WEBP", (48, 40))
    done = program("paint", "-", "-o", "-", input=b"no picture")
    assert (done.returncode, done.stdout) == (2, b"")
    assert done.stderr.startswith(b"upbrush: standard input: ")


def test_a_pipe_that_closes_early_is_no_traceback(photo):
    read, write = os.pipe()
    os.close(read)
    command = [sys.executable, "-m", "upbrush", "paint", str(photo), "-o", "-"]
    done = subprocess.run(command, stdout=write, stderr=subprocess.PIPE, timeout=60, check=False)
    os.close(write)
    assert done.returncode != 0
    assert b"Traceback" not in done.stderr


def test_an_interruption_in_the_middle_ends_with_130(photos, tmp_path, monkeypatch):
    render = engine.OnnxEngine.render
    calls = iter(range(9))

    def interrupted(self, low, mods):
        if next(calls) == 1:
            raise KeyboardInterrupt
        return render(self, low, mods)

    monkeypatch.setattr(engine.OnnxEngine, "render", interrupted)
    done = upbrush_says("paint", photos, "-o", tmp_path / "out")
    assert done.exit_code == 130
    assert done.stderr == "upbrush: stopped; 1 of 3 painted, the same command goes on from there\n"
    assert [path.name for path in (tmp_path / "out").rglob("*.*")] == ["a.png"]


@pytest.mark.skipif(os.name == "nt", reason="signals are of another kind there")
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_leaves_only_whole_files(tmp_path, number, code):
    folder, out = tmp_path / "in", tmp_path / "out"
    folder.mkdir()
    grain = np.random.default_rng(0).integers(0, 256, (150, 150, 3), np.uint8)
    for index in range(200):
        Image.fromarray(grain).save(folder / f"{index:03}.png", compress_level=0)
    running = subprocess.Popen([sys.executable, "-m", "upbrush", "paint", folder, "-o", out], stderr=subprocess.PIPE)
    end = time.monotonic() + 60
    while not (out / "000.png").exists() and time.monotonic() < end:
        time.sleep(0.01)
    running.send_signal(number)
    said = running.communicate(timeout=60)[1]
    assert running.returncode == code
    assert b"Traceback" not in said
    written = sorted(out.iterdir())
    assert 0 < len(written) < 200
    assert [path.name for path in written] == [f"{index:03}.png" for index in range(len(written))]
    assert {shape(path) for path in written} == {(600, 600)}


def test_styles_are_listed_and_shown_on_a_sheet(tmp_path):
    done = upbrush_says("styles", "--sheet", tmp_path / "sheet.png")
    assert done.exit_code == 0
    lines = done.stdout.splitlines()
    assert [line.split()[0] for line in lines[:4]] == ["style", "klimt", "monet", "van-gogh"]
    assert "Gustav Klimt" in lines[1]
    assert done.stdout.count("CC0-1.0") == 1  # the same for all
    assert shape(tmp_path / "sheet.png")[1] > 3 * 128
    again = upbrush_says("styles", "--sheet", tmp_path / "sheet.png")
    assert (again.exit_code, again.stdout) == (2, "")
    assert "there already" in again.stderr


def test_a_style_is_made_shown_and_painted_with(photo, tmp_path):
    out = tmp_path / "mine.style"
    words = ["style", "make", photo, photo, "-o", out, "--name", "Mine", "--artist", "Me", "--licence", "CC0-1.0"]
    done = upbrush_says(*words)
    assert (done.exit_code, done.stdout) == (0, f"{out}: Mine, of 2 pictures\n")
    made = styles.read(out)
    assert (made.name, made.artist, made.licence, made.model) == ("Mine", "Me", "CC0-1.0", IDENTITY)
    assert made.preview
    shown = upbrush_says("style", "show", out, "--preview", tmp_path / "preview.png").stdout
    assert "Mine" in shown
    assert "klimt" in shown
    assert shape(tmp_path / "preview.png") == (128, 128)
    assert upbrush_says("paint", photo, "-s", out, "-o", tmp_path / "large.png").exit_code == 0
    again = upbrush_says("style", "make", photo, "-o", out)
    assert again.exit_code == 2
    assert "is there already" in again.stderr
    assert "name it mine.style" in upbrush_says("style", "make", "nowhere.png", "-o", tmp_path / "mine.txt").stderr
    assert upbrush_says("style", "make", photo, "-o", out, "--overwrite").exit_code == 0
    assert styles.read(out).name == "mine"


def test_a_blend_is_kept(tmp_path, model_dir):
    out = tmp_path / "both.style"
    assert upbrush_says("style", "blend", "monet:3,klimt:1", "-o", out).exit_code == 0
    library = styles.library(model_dir)
    expected = 0.75 * library["monet"].code + 0.25 * library["klimt"].code
    np.testing.assert_allclose(styles.read(out).code, expected, atol=1e-6)
    assert upbrush_says("style", "blend", "random:3", "-o", tmp_path / "r.style", "--name", "Lucky").exit_code == 0
    assert styles.read(tmp_path / "r.style").name == "Lucky"


def test_the_doctor_tells_what_there_is(monkeypatch):
    from upbrush import doctor

    monkeypatch.setattr(doctor, "TILE_PX", 16)
    monkeypatch.setattr(doctor, "MOST_SECONDS", 0.01)
    done = upbrush_says("doctor")
    assert done.exit_code == 0
    for word in (upbrush.__version__, IDENTITY, "renderer.onnx", "3 styles", "megapixels", "all is well"):
        assert word in done.stdout
    ill = upbrush_says("doctor", "--model", "nowhere")
    assert ill.exit_code == 2
    assert "encoder.onnx" in ill.stdout
    assert ill.stderr.startswith("upbrush: nowhere: encoder.onnx")


def test_the_demo_says_where_to_look(tmp_path, monkeypatch):
    from upbrush import demo, photographs

    with monkeypatch.context() as patched:
        patched.setattr(photographs, "photograph", lambda name, side_px: photographs.drawing(side_px))
        patched.setattr(demo, "LOW_PX", 16)
        done = upbrush_says("demo", "-o", tmp_path / "demo", "-q")
    assert done.exit_code == 0
    assert done.stdout.startswith(f"look at {tmp_path / 'demo' / 'sheet.png'}\n")
    assert done.stderr == ""
    monkeypatch.setattr(photographs, "find_spec", lambda name: None)
    missing = upbrush_says("demo", "-o", tmp_path / "demo2")
    assert missing.exit_code == 2
    assert "upbrush[demo]" in missing.stderr


@pytest.mark.parametrize(
    "words", [["train", "r.toml", "--data", "x", "-o", "y"], ["export", "w.safetensors", "-o", "y"]]
)
def test_training_says_what_to_install(words, monkeypatch):
    find_spec = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "torch" else find_spec(name))
    done = upbrush_says(*words)
    assert done.exit_code == 2
    assert done.stderr == 'upbrush: torch: not installed; this needs pip install "upbrush[train]"\n'


@pytest.fixture
def heavy(monkeypatch):
    """Stand-ins for the heavy rooms, as importing torch takes longer than all of these tests; their calls, noted."""
    calls = []

    def stand_in(room, function, result):
        source = ast.parse((Path(upbrush.__file__).parent / f"{room}.py").read_text(encoding="utf-8"))
        [real] = [node for node in source.body if isinstance(node, ast.FunctionDef) and node.name == function]
        names = [given.arg for given in (*real.args.args, *real.args.kwonlyargs)]

        def called(*given, **named):
            assert named.keys() <= set(names[len(given) :])
            calls.append((f"{room}.{function}", dict(zip(names, given, strict=False)) | named))
            return result

        module = ModuleType(f"upbrush.{room}")
        setattr(module, function, called)
        monkeypatch.setitem(sys.modules, module.__name__, module)
        monkeypatch.setattr(upbrush, room, module, raising=False)

    stand_in("config", "load", "the settings")
    stand_in("train", "run", Path("out/weights.safetensors"))
    stand_in("export", "export", [Path(__file__)])
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: name)
    return calls


def test_training_hands_its_words_on(heavy):
    words = ["train", "r.toml", "--data", "a", "--data", "b", "-o", "out", "--minutes", 2, "--set", "train.lr=0.5"]
    done = upbrush_says(*words, "--from", "w", "--features", "vgg", "--faces", "nets")
    assert (done.exit_code, done.stdout) == (0, f"{Path('out/weights.safetensors')}\n")
    (_, load), (_, run) = heavy
    assert load == {"path": Path("r.toml"), "changes": ["train.lr=0.5"]}
    assert run == {
        "config": "the settings", "data": ["a", "b"], "out": Path("out"),
        "features": Path("vgg"), "faces": Path("nets"), "start": Path("w"), "minutes": 2, "devices": None, "nodes": 1,
    }  # fmt: skip


def test_training_without_a_recipe_wants_weights_to_tune():
    done = upbrush_says("train", "--data", "a", "-o", "out")
    assert done.exit_code == 2
    assert done.stderr == "upbrush: no recipe, and no weights to tune; give a recipe.toml, or --from shipped\n"


def test_exporting_tells_the_files(heavy):
    done = upbrush_says("export", "w.safetensors", "-o", "out")
    assert done.exit_code == 0
    assert str(Path(__file__)) in done.stdout
    assert [list(given.values()) for _, given in heavy] == [[Path("w.safetensors"), Path("out")]]


def test_what_would_steer_a_terminal_is_not_shown():
    assert screen.one_line("a\x1b[31m\nb\u202e") == "upbrush: a?[31m b?"


def test_a_person_sees_a_bar(photos, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(screen.sys.stderr, "isatty", lambda: True, raising=False)
    with screen.ticker(2, quiet=False) as tick:
        tick.begin("a.png")
        tick.tile(0, 3)
        tick.tile(3, 3)
        tick.complain("b.png: broken")
        tick.end()
    assert "upbrush: b.png: broken" in capsys.readouterr().err


def test_the_shipped_model_paints_in_a_process_of_its_own(photo, tmp_path):
    if not (engine.MODEL_DIR / "renderer.onnx").is_file():
        pytest.skip("there is no shipped model yet")
    environment = {name: value for name, value in os.environ.items() if name != "UPBRUSH_MODEL"}
    done = program("paint", photo, "-o", tmp_path / "large.png", env=environment)
    assert (done.returncode, done.stderr) == (0, b"")
    assert shape(tmp_path / "large.png") == (40, 48)
    small = np.asarray(Image.open(tmp_path / "large.png").resize((12, 10), Image.Resampling.BOX)).astype(float)
    assert np.abs(small - draw(10, 12)).mean() < 12  # down(out) is about what went in
