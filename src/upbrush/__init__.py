"""Enlarge a picture four times, restored as it is or repainted in the style of another.

    import upbrush
    painter = upbrush.Painter()
    large = painter.paint(image)                                # restored
    painted = painter.paint(image, style="monet", strength=0.8)  # repainted

`image` is a PIL image, a numpy array or a Picture, and so is what comes back. Names are loaded when first used, so
that importing the package costs nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from upbrush.engine import open_engine
    from upbrush.errors import (
        ClipError,
        ConfigError,
        DataError,
        OutOfMemoryError,
        PictureError,
        StyleError,
        UpbrushError,
        WeightsError,
    )
    from upbrush.painter import Painter
    from upbrush.picture import Picture, read, write
    from upbrush.styles import Style

__version__ = "0.1.0"

_ROOMS = {
    "engine": ["open_engine"],
    "errors": [
        *("ClipError", "ConfigError", "DataError", "OutOfMemoryError", "PictureError", "StyleError"),
        *("UpbrushError", "WeightsError"),
    ],
    "painter": ["Painter"],
    "picture": ["Picture", "read", "write"],
    "styles": ["Style"],
}
_HOMES = {name: room for room, names in _ROOMS.items() for name in names}

__all__ = [
    "ClipError",
    "ConfigError",
    "DataError",
    "OutOfMemoryError",
    "Painter",
    "Picture",
    "PictureError",
    "Style",
    "StyleError",
    "UpbrushError",
    "WeightsError",
    "__version__",
    "open_engine",
    "read",
    "write",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'upbrush' has no attribute {name!r}")
    value = getattr(import_module(f"upbrush.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
