"""A report's plots as SVG: distributions, the distortion-perception plane, the spectrum, quality against speed."""

import io
import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from upbrush.measure.catalogue import BY_KEY, Metric
from upbrush.measure.summary import Summary

# Okabe and Ito's colours, told apart by nearly everybody.
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#8c6d31", "#666666")
RESTORE_PANELS = ("psnr_y", "ssim_y", "vgg", "lpips", "texture", "identity", "grid", "sharpness", "down")
REPAINT_PANELS = ("style", "content", "identity", "grid", "vgg", "arniqa")
QUALITY = ("style", "lpips", "vgg")  # told beside the seconds, the first that there is
STYLE: dict[Any, Any] = {
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "svg.hashsalt": "upbrush",
}


def colour(methods: Sequence[str], method: str) -> str:
    """A method's colour in every plot and table of a report."""
    return COLOURS[list(methods).index(method) % len(COLOURS)]


def draw(summary: Summary, seconds: Mapping[str, float]) -> dict[str, str]:
    """Every plot that there are numbers for: title -> SVG. seconds: what a picture takes, by method."""
    plots = {"Distributions": distributions(summary)}
    x, y = plane_axes(summary)
    if x in summary.means[summary.methods[0]] and y in summary.means[summary.methods[0]]:
        name = "Style against content" if summary.repaints else "Distortion against perception"
        plots[name] = plane(summary, x, y)
    plots["Sharpness spectrum"] = spectra(summary)
    timed = {method: seconds[method] for method in summary.methods if method in seconds}
    quality = next((key for key in (*QUALITY, x) if key in summary.means[summary.methods[0]]), None)
    if quality and len(timed) > 1:
        plots["Quality against speed"] = against_speed(summary, quality, timed)
    return plots


def plane_axes(summary: Summary) -> tuple[str, str]:
    """The metrics of the plane: across and up.

    What compares a picture with its truth place by place is a distortion, LPIPS, too; perception is how far outputs as
    such are from truths as such (Blau & Michaeli, CVPR 2018). Of what a picture has, texture is nearest to that.
    """
    return ("content", "style") if summary.repaints else ("psnr_y", "texture")


def distributions(summary: Summary) -> str:
    """Every picture as a dot, and the quartiles, for the main metrics."""
    wanted = REPAINT_PANELS if summary.repaints else RESTORE_PANELS
    keys = [key for key in wanted if key in summary.means[summary.methods[0]]]
    columns = min(3, len(keys))
    rows = -(-len(keys) // columns)
    with rc_context(STYLE):
        height = rows * (0.75 + 0.32 * len(summary.methods))
        figure = Figure((10.5, height), layout="constrained")
        rng = np.random.default_rng(0)
        for place, key in enumerate(keys, 1):
            axes = figure.add_subplot(rows, columns, place)
            for line, method in enumerate(summary.methods):
                _strip(axes, summary, method, key, line, rng)
            axes.set_yticks(
                range(len(summary.methods)), list(summary.methods) if place % columns == 1 % columns else []
            )
            axes.set_ylim(len(summary.methods) - 0.4, -0.6)
            axes.set_title(_label(BY_KEY[key]), loc="left", fontsize=9)
            axes.tick_params(axis="y", length=0)
        return _svg(figure)


def _strip(axes: Axes, summary: Summary, method: str, key: str, line: int, rng: np.random.Generator) -> None:
    values = np.array([value for value in summary.values[method][key] if value is not None])
    if not len(values):
        return
    tint = colour(summary.methods, method)
    places = line + rng.uniform(-0.22, 0.22, len(values))
    axes.scatter(values, places, 7, tint, alpha=0.35, linewidths=0, rasterized=len(values) > 400)
    low, middle, high = np.quantile(values, [0.25, 0.5, 0.75])
    axes.plot([low, high], [line, line], color=tint, linewidth=4, solid_capstyle="butt", alpha=0.6)
    axes.plot([middle, middle], [line - 0.28, line + 0.28], color="black", linewidth=1.4)


def plane(summary: Summary, x: str, y: str) -> str:
    """Means with their intervals in two metrics (Blau & Michaeli, CVPR 2018); best is up and to the right.

    Methods that are called alike but for a number, as "fidelity 0.25", are places of one knob: a curve joins them.
    """
    with rc_context(STYLE):
        figure = Figure((6.2, 4.2), layout="constrained")
        axes = figure.add_subplot()
        for method in summary.methods:
            across, up = summary.means[method][x], summary.means[method][y]
            tint = colour(summary.methods, method)
            axes.errorbar(
                across.value, up.value, _arms(up.value, up.low, up.high), _arms(across.value, across.low, across.high),
                "o", color=tint, capsize=3, elinewidth=1, markersize=6, label=method,
            )  # fmt: skip
        for stops in knobs(summary.methods):
            points = [(summary.means[method][x].value, summary.means[method][y].value) for method in stops]
            axes.plot(*zip(*points, strict=True), color="#999999", linewidth=1, zorder=0)
        for key, limits in ((x, axes.invert_xaxis), (y, axes.invert_yaxis)):
            if BY_KEY[key].better == "lower":
                limits()
        axes.set_xlabel(f"{_label(BY_KEY[x])}, better to the right")
        axes.set_ylabel(f"{_label(BY_KEY[y])}, better upwards")
        figure.legend(loc="outside right upper", frameon=False, fontsize=8)
        return _svg(figure)


def knobs(methods: Sequence[str]) -> list[list[str]]:
    """Methods that are three or more places of one knob: called alike but for a number at the end, by which they go."""
    places: dict[str, list[tuple[float, str]]] = {}
    for method in methods:
        if found := re.fullmatch(r"(.*[^\d.])(\d+(?:\.\d+)?)", method):
            places.setdefault(found[1], []).append((float(found[2]), method))
    return [[method for _, method in sorted(stops)] for stops in places.values() if len(stops) > 2]


def spectra(summary: Summary) -> str:
    """Power of Y over the truth's, by frequency: where detail is missing and where it is too much."""
    with rc_context(STYLE):
        figure = Figure((6.2, 3.6), layout="constrained")
        axes = figure.add_subplot()
        axes.axhline(0, color="black", linewidth=1)
        for method, level in summary.spectra.items():
            frequency = (np.arange(len(level)) + 0.5) / (2 * len(level))
            axes.plot(frequency, level, color=colour(summary.methods, method), label=method, linewidth=1.6)
        axes.axvline(0.125, color="#999999", linewidth=0.8, linestyle=":")
        axes.annotate(
            "×4 low picture ends", (0.125, 1), (4, -10), ("data", "axes fraction"), "offset points", fontsize=8
        )
        axes.set_xlabel("cycles per pixel")
        axes.set_ylabel("power over the truth's, dB")
        axes.legend(frameon=False, fontsize=8)
        return _svg(figure)


def against_speed(summary: Summary, key: str, seconds: Mapping[str, float]) -> str:
    """One metric against the time that a picture takes."""
    with rc_context(STYLE):
        figure = Figure((6.2, 4), layout="constrained")
        axes = figure.add_subplot()
        for method, time in seconds.items():
            mean = summary.means[method][key]
            tint = colour(summary.methods, method)
            arms = _arms(mean.value, mean.low, mean.high)
            axes.errorbar(1000 * time, mean.value, arms, fmt="o", color=tint, capsize=3, elinewidth=1, label=method)
        axes.set_xscale("log")
        axes.invert_xaxis()
        if BY_KEY[key].better == "lower":
            axes.invert_yaxis()
        axes.set_xlabel("milliseconds a picture (log), faster to the right")
        axes.set_ylabel(f"{_label(BY_KEY[key])}, better upwards")
        figure.legend(loc="outside right upper", frameon=False, fontsize=8)
        return _svg(figure)


def _label(metric: Metric) -> str:
    return f"{metric.title}, {metric.unit}" if metric.unit else metric.title


def _arms(value: float, low: float | None, high: float | None) -> list[list[float]] | None:
    return None if low is None or high is None else [[max(0, value - low)], [max(0, high - value)]]


def _svg(figure: Figure) -> str:
    text = io.StringIO()
    figure.savefig(text, format="svg", metadata={"Date": None}, dpi=110)
    return text.getvalue()[text.getvalue().index("<svg") :]
