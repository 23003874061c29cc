"""The studio as a folder that any static host can serve, and what the page must know of a model to run it itself."""

import base64
import io
import json
import shutil
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from upbrush import __version__, photographs, styles
from upbrush.engine import FILES, MODEL_DIR, open_engine
from upbrush.errors import ConfigError, StyleError

STUDIO = Path(__file__).parent / "studio"
EXAMPLES = ("cat", "coffee", "astronaut")
EXAMPLE_PX = 240
LIST = "examples.json"
HAS_SERVER = '<meta name="upbrush-server" content="yes">'
# A static host sends no such header, so the page says itself what it may do: nothing beyond its own folder.
POLICY = (
    "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; worker-src 'self'; style-src 'self'; "
    "img-src 'self' blob: data:; media-src 'self' blob:; connect-src 'self' blob: data:; base-uri 'none'; "
    "form-action 'none'"
)


def facts(model_dir: Path | None = None) -> bytes:
    """What the page must know of a model: JSON with its identity, scale and overlap, the library, random styles.

    Codes and the summary for random styles are base64 of little-endian float32, row by row.
    Raises WeightsError where the model cannot be opened, StyleError for a damaged library.
    """
    engine = open_engine(model_dir=model_dir, threads=1)
    library = styles.library(model_dir)
    told = {
        "version": __version__,
        "identity": engine.identity,
        "scale": engine.scale,
        "overlap_px": engine.overlap_px,
        "code_size": engine.code_size,
        "styles": [_entry(name, style) for name, style in library.items() if style.model == engine.identity],
        "random": _spread((model_dir or MODEL_DIR) / "random.npz", engine.identity),
    }
    return json.dumps(told, ensure_ascii=False, separators=(",", ":")).encode()


@cache
def examples() -> dict[str, bytes]:
    """Pictures for who has none at hand, as names and PNGs; photographs where scikit-image is, else a drawing."""
    names = EXAMPLES if photographs.are_here() else ("drawing",)
    return {f"{name}.png": _example(name) for name in names}


def write(folder: Path, model_dir: Path | None = None, overwrite: bool = False) -> None:
    """Write the studio and the model into a folder, whole or not at all; it then needs no server but for files.

    overwrite: whether a folder that was written before may be replaced; anything else is never touched.
    Raises ConfigError for a folder that is there, and what `facts` raises.
    """
    if folder.exists() and not (folder.is_dir() and not any(folder.iterdir())):
        if not (folder / "model" / "model.json").is_file() or not (folder / "index.html").is_file():
            raise ConfigError(f"{folder}: is there already, and is no studio; give the name of a folder to be made")
        if not overwrite:
            raise ConfigError(f"{folder}: is there already; choose another name, or give --overwrite")
    told = facts(model_dir)
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{folder.name}-", dir=folder.parent) as work:
            made = Path(work) / "studio"
            _fill(made, told, model_dir or MODEL_DIR)
            if folder.exists():
                folder.rename(Path(work) / "before")
            made.rename(folder)
    except OSError as error:
        raise ConfigError(f"{folder}: cannot be written ({error.strerror}); choose another place") from None


def _fill(folder: Path, told: bytes, model_dir: Path) -> None:
    shutil.copytree(STUDIO, folder)
    page = (folder / "index.html").read_text(encoding="utf-8")
    if HAS_SERVER not in page:
        raise AssertionError("index.html does not say that there is a server")
    policy = f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">'
    alone = HAS_SERVER.replace("yes", "no")
    (folder / "index.html").write_text(page.replace(HAS_SERVER, f"{policy}\n    {alone}"), encoding="utf-8")
    (folder / "model").mkdir()
    (folder / "model" / "model.json").write_bytes(told)
    for name in FILES:
        shutil.copyfile(model_dir / f"{name}.onnx", folder / "model" / f"{name}.onnx")
    (folder / "examples").mkdir()
    (folder / "examples" / LIST).write_text(json.dumps(list(examples())))
    for name, stored in examples().items():
        (folder / "examples" / name).write_bytes(stored)
    (folder / ".nojekyll").touch()  # GitHub Pages would leave files out that its blog engine does not know


def _example(name: str) -> bytes:
    file = io.BytesIO()
    pixels = photographs.drawing(EXAMPLE_PX) if name == "drawing" else photographs.photograph(name, EXAMPLE_PX)
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


def _entry(name: str, style: styles.Style) -> dict[str, Any]:
    """A style of the library as the page knows it."""
    return {
        "name": name,
        "title": style.name,
        "artist": style.artist,
        "source": style.source,
        "licence": style.licence,
        "code": _text(style.code),
        "preview": base64.b64encode(style.preview).decode() if style.preview else None,
    }


def _spread(path: Path, identity: str) -> dict[str, str] | None:
    """The summary that random styles are drawn from; None where the model has none of its own."""
    try:
        with open(path, "rb") as file, np.load(file, allow_pickle=False) as stored:
            if str(stored["identity"]) != identity:
                return None
            return {key: _text(stored[key]) for key in ("mean", "directions", "spread")}
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, EOFError) as error:
        raise StyleError(f"{path}: is damaged ({error}); reinstall upbrush or export the model anew") from None


def _text(values: np.ndarray) -> str:
    return base64.b64encode(values.astype("<f4").tobytes()).decode()
