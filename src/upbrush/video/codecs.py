"""Codecs that clips are written in: what each holds, and what is sensible where nobody chose; pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from upbrush.errors import ConfigError
from upbrush.video.clip import Pixels

ANIMATIONS = {".gif": "gif", ".webp": "webp", ".png": "png", ".apng": "png"}
MPEG4_FAMILY = (".mp4", ".m4v", ".mov")
TRANSPORT = (".ts", ".m2ts")
# Where each frame keeps its time, at any rate and coded in any order: FLV, AVI and others move it.
CONTAINERS = (*MPEG4_FAMILY, ".mkv", ".webm", *TRANSPORT)


@dataclass(frozen=True)
class Codec:
    """A codec. encoder: FFmpeg's. crf: the usual quality, None for codecs without; worst_crf: the largest.

    pixels: FFmpeg's names of the formats it takes, the plainest first. odd_sides: does it take any size?
    """

    name: str
    title: str
    encoder: str
    pixels: tuple[str, ...]
    crf: int | None = None
    worst_crf: int = 51
    options: Mapping[str, str] = field(default_factory=dict)
    odd_sides: bool = False


_YUV8, _YUV10 = ("yuv420p", "yuv422p", "yuv444p"), ("yuv420p10le", "yuv422p10le", "yuv444p10le")
_YUV12 = ("yuv420p12le", "yuv422p12le", "yuv444p12le")
_RGB = ("bgr0", "bgra", "gbrp10le", "gbrp12le", "gbrp16le", "gbrap10le", "gbrap12le", "gbrap16le")

CODECS = {
    codec.name: codec
    for codec in (
        Codec("h264", "H.264", "libx264", (*_YUV8, *_YUV10), 16, options={"preset": "veryfast"}),
        Codec(
            "hevc", "HEVC", "libx265", (*_YUV8, *_YUV10, *_YUV12), 20,
            options={"preset": "fast", "x265-params": "log-level=error:frame-threads=2:pools=2"},
        ),
        Codec(
            "av1", "AV1", "libsvtav1", ("yuv420p", "yuv420p10le"), 24, 63,
            options={"preset": "8", "svtav1-params": "lp=2"},
        ),
        Codec("vp9", "VP9", "libvpx-vp9", (*_YUV8,), 24, 63, {"deadline": "good", "cpu-used": "4", "b": "0"}, True),
        Codec("prores", "ProRes", "prores_ks", ("yuv422p10le", "yuv444p10le", "yuva444p10le")),
        Codec(
            "ffv1", "FFV1", "ffv1", (
                *_YUV8, *_YUV10, *_YUV12, "yuv420p16le", "yuv422p16le", "yuv444p16le", *_RGB,
                "yuva420p", "yuva422p", "yuva444p", "yuva420p10le", "yuva422p10le", "yuva444p10le",
            ), options={"level": "3", "slicecrc": "1", "g": "1"}, odd_sides=True,
        ),
    )
}  # fmt: skip
# Where players look for them: FFmpeg would put FFV1 into an .mp4, too, and nothing would show it.
HOMES = {"ffv1": (".mkv",), "prores": (".mov", ".mkv"), "vp9": (".webm", ".mkv", ".mp4")}
UNLISTED = ("h264", "hevc")  # what containers take that do not say what they take, as .ts
ALIASES = {"h.264": "h264", "avc": "h264", "x264": "h264", "h265": "hevc", "h.265": "hevc", "x265": "hevc"}
DEEP_DEFAULT, DEFAULT = "hevc", "h264"


def named(word: str) -> Codec:
    """The codec of a name, as people write it. Raises ConfigError for one that is not known here."""
    wanted = word.strip().lower()
    codec = CODECS.get(ALIASES.get(wanted, wanted))
    if codec is None:
        raise ConfigError(f"codec {word!r} is not one that can be written here; expected {', '.join(CODECS)}")
    return codec


def usual(suffix: str, source: str, pixels: Pixels, held: Sequence[str]) -> Codec:
    """What to write where nobody chose: the source's own codec where that is possible.

    suffix: of the output. source: the source's codec by FFmpeg's name. held: names of CODECS that the container holds.
    Raises ConfigError where it holds none of them.
    """
    held = [name for name in held if suffix in HOMES.get(name, (suffix,))]
    if pixels.alpha:
        wishes = ["prores", "ffv1", DEFAULT] if suffix in MPEG4_FAMILY else ["ffv1", "prores", DEFAULT]
    elif suffix == ".webm":
        wishes = ["av1", "vp9"]
    elif source in held and not (source == "h264" and pixels.bits > 8):
        wishes = [source]
    else:
        wishes = [DEEP_DEFAULT if pixels.bits > 8 else DEFAULT]
    found = next((CODECS[wish] for wish in [*wishes, *held] if wish in held), None)
    if found is None:
        raise ConfigError(f"a {suffix} file holds none of {', '.join(CODECS)}; choose .mp4, .mov, .mkv or .webm")
    return found


def fitting(codec: Codec, pixels: Pixels) -> str:
    """The pixel format of a codec that loses least of what a clip has, the smallest where several lose nothing.

    RGB stays RGB where the codec loses nothing itself, and becomes 4:2:0 elsewhere: players show little else.
    """
    lossless = codec.name == "ffv1"
    chroma = pixels.chroma if not pixels.rgb else (1, 1) if codec.name == "prores" else (2, 2)

    def loss(name: str) -> tuple[int, ...]:
        told = described(name)
        columns, rows = told.chroma
        return (
            pixels.alpha and not told.alpha,
            lossless and pixels.rgb and not told.rgb,
            told.rgb and not pixels.rgb,
            max(0, pixels.bits - told.bits),
            max(0, columns - chroma[0]) + max(0, rows - chroma[1]) if not told.rgb else 0,
            told.alpha and not pixels.alpha,
            told.bits,
            -columns * rows,
        )  # fmt: skip

    return min(codec.pixels, key=loss)


def described(name: str) -> Pixels:
    """What one of the formats above stores."""
    rgb = name.startswith(("bgr", "gbr"))
    bits = next((bits for bits in (10, 12, 16) if f"p{bits}le" in name), 8)
    chroma = (2, 2) if "420" in name else (2, 1) if "422" in name else (1, 1)
    return Pixels(name, bits, chroma, rgb, name.startswith(("yuva", "bgra", "gbra")))


def even_sides(codec: Codec, pixels: Pixels) -> tuple[int, int]:
    """(columns, rows) that the encoder wants the sides to be multiples of."""
    return (1, 1) if codec.odd_sides else pixels.chroma
