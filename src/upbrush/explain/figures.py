"""Plots for the page, as SVG that takes the page's own colours, so that they can be read in light and in dark."""

import io
import re
from typing import Any

import matplotlib as mpl
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

from upbrush.explain.findings import Response

INK, FAINT = "#010203", "#040506"  # stand-ins, replaced by the page's colours
SHADES = ("#dfa055", "#d9702a", "#c8454f", "#9d5bc0")  # of settings, weak to strong; all are seen on white and on black
STYLE: dict[Any, Any] = {
    "figure.facecolor": "none",
    "axes.facecolor": "none",
    "svg.fonttype": "none",  # letters stay letters: they can be searched, and take the page's font
    "svg.hashsalt": "upbrush",
    "font.family": "sans-serif",
    "font.size": 10,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": FAINT,
    "xtick.color": INK,
    "ytick.color": INK,
    "grid.color": FAINT,
    "grid.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "legend.frameon": False,
}


def response_plot(response: Response) -> str:
    """Which layers obey the knob (left) and what each alone does to the picture (right): an SVG element."""
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(7, 5.7), layout="constrained")
        obey, does = figure.subplots(1, 2, sharey=True)
        rows = range(len(response.layers))
        for number, setting in enumerate(response.settings[1:]):
            shares = 100 * response.activations[number + 1]
            obey.plot(shares, rows, "o-", ms=4, lw=1, color=SHADES[number], label=f"{response.knob} {setting:g}")
        figure.legend(loc="outside lower center", ncols=4, fontsize=9)
        obey.set_title("how much each layer changes", fontsize=10, loc="left")
        obey.set_xlabel(f"% of what it gives at {response.knob} 0")
        names = [*response.layers, "colour matrix"]
        does.hlines(range(len(names)), 0, response.alone, color=SHADES[2], lw=1)
        does.plot(response.alone, range(len(names)), "o", ms=5, color=SHADES[2])
        does.axvline(response.whole, color=INK, lw=1, ls="--")
        all_together = {"textcoords": "offset points", "ha": "right", "va": "center", "fontsize": 9}
        does.annotate("all together", (response.whole, -0.7), (-4, 0), **all_together)
        does.set_title("what it alone does to the picture", fontsize=10, loc="left")
        does.set_xlabel("levels of 255")
        does.set_xscale("symlog", linthresh=max(0.1, response.whole / 10))
        does.xaxis.set_major_formatter("{x:g}")
        does.tick_params(axis="y", length=0)
        obey.set_yticks(range(len(names)), names)
        obey.set_ylim(len(names) - 0.5, -1.2)
        for axes in (obey, does):
            axes.set_xlim(left=0)
            axes.grid(visible=True, axis="x")
        return to_svg(figure)


def to_svg(figure: Figure) -> str:
    """The figure as an element to stand in a page: no size of its own, no background, the page's colours."""
    stored = io.StringIO()
    metadata = {"Date": None, "Creator": None, "Format": None, "Type": None}
    FigureCanvasSVG(figure).print_svg(stored, metadata=metadata)  # type: ignore[no-untyped-call]
    text = stored.getvalue()
    text = text[text.index("<svg") :]
    head, rest = text.split(">", 1)
    text = re.sub(r' (?:width|height)="[^"]*"', "", head) + ">" + rest
    return text.replace(INK, "currentColor").replace(FAINT, "var(--line)")
