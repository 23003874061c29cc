"""The styles and knobs that `upbrush video` was asked for."""

from upbrush import styles
from upbrush.console import style_wanted
from upbrush.errors import ConfigError
from upbrush.knobs import Knobs
from upbrush.painter import Painter
from upbrush.video import along
from upbrush.video.along import Timeline
from upbrush.video.asked import Asked


def chosen(asked: Asked, painter: Painter) -> tuple[Knobs, Timeline | None]:
    """What is painted with, and the styles along the clip where there are several."""
    if asked.style is None and (asked.mask or asked.only):
        raise ConfigError(f"--{'mask' if asked.mask else 'only'} goes with a style; give one, as in --style monet")
    timeline = None
    if asked.style is not None and along.is_timeline(asked.style):
        if asked.seed is not None:
            raise ConfigError(f"--seed {asked.seed} goes with --style random; within --style write random:{asked.seed}")
        timeline = along.read(asked.style, painter.engine)
        chosen = timeline.keys[0].style
    else:
        wanted = style_wanted(asked.style, asked.seed, asked.strength, asked.keep_colours)
        chosen = styles.resolve(wanted, painter.engine) if wanted is not None else None
    strength = 1.0 if asked.strength is None else asked.strength
    if chosen is None and timeline is None:
        strength = 0.0
    return Knobs(
        chosen, strength, asked.fidelity, asked.keep_colours, asked.scale, asked.size, asked.wrap, asked.stereo
    ), timeline  # fmt: skip
