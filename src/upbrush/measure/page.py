"""A report as one HTML page: nothing is fetched, so it can be mailed, archived and opened without a network."""

from collections.abc import Mapping, Sequence
from html import escape
from importlib.resources import files

from upbrush.measure.catalogue import BY_KEY, METRICS, Metric, badness, shown, signed
from upbrush.measure.distributions import Estimate
from upbrush.measure.gallery import Shown
from upbrush.measure.intervals import Mean
from upbrush.measure.plots import colour
from upbrush.measure.summary import Comparison, Summary

GROUPS = {
    "distortion": "Distance from the truth",
    "perception": "As eyes and networks see it",
    "repaint": "Repainting",
    "faces": "Faces",
    "artefacts": "Artefacts",
}
ARROWS = {"higher": "↑", "lower": "↓", "zero": "→ 0"}


def render(
    title: str,
    summary: Summary,
    plots: Mapping[str, str],
    cases: Sequence[Shown],
    settings: Mapping[str, str],
    rank: str,
) -> str:
    """The page. settings: how it was measured, in words. rank: the metric that cases are shown by."""
    count = len(summary.cases)
    few = count < 30 and f" With {count} pictures most differences are not to be told from chance: mind the intervals."
    parts = [
        f"<h1>{escape(title)}</h1>",
        f'<p class="faint">{escape(settings["measured"])}</p>',
        f"<p>Means over {count} picture{'s' * (count > 1)}, with 95 % intervals below. ↑ higher is better, ↓ lower is "
        f"better{', the best of a row is bold' * (len(summary.methods) > 1)}.{few or ''}</p>",
        _means(summary),
        _sets(summary),
        _comparisons(summary),
        "<h2>Plots</h2>" + _plots(plots),
        _gallery(summary, cases, rank),
        _settings(settings),
        _definitions(),
    ]
    return document(title, "".join(parts))


def document(title: str, body: str) -> str:
    """A page with the reports' style and script in it."""
    here = files("upbrush.measure")
    css, script = ((here / name).read_text(encoding="utf-8") for name in ("page.css", "page.js"))
    return (
        f'<!doctype html>\n<html lang="en"><meta charset="utf-8"><title>{escape(title)}</title>'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<style>\n{css}</style>\n<body>\n{body}\n<script>\n{script}</script></body></html>\n"
    )


def metric_name(metric: Metric) -> str:
    """A metric's title with its meaning on hover, its unit and its good side."""
    unit = f" <small style='display:inline'>{metric.unit}</small>" if metric.unit else ""
    return f'<abbr title="{escape(metric.meaning)}">{escape(metric.title)}</abbr>{unit} {ARROWS[metric.better]}'


def _heads(summary: Summary) -> str:
    dots = (
        f'<span class="swatch" style="background:{colour(summary.methods, one)}"></span>' for one in summary.methods
    )
    return "".join(f"<th>{dot}{escape(one)}</th>" for dot, one in zip(dots, summary.methods, strict=True))


def _means(summary: Summary) -> str:
    order = ["repaint", "faces", "artefacts", "perception", "distortion"]
    if not summary.repaints:
        order = [group for group in GROUPS if group != "repaint"]
    body = []
    width = len(summary.methods) + 1
    for group in order:
        title = GROUPS[group]
        if summary.repaints and group in ("perception", "distortion"):
            title += " (from the unpainted truth: a repaint is meant to differ)"
        body.append(f'<tr class="group"><td colspan="{width}">{title}</td></tr>')
        for metric in (one for one in METRICS if one.group == group):
            if metric.key in summary.missing:
                reason = escape(summary.missing[metric.key])
                cells = f'<td colspan="{width - 1}" class="words">{reason}</td>'
                body.append(f'<tr class="missing"><td>{metric_name(metric)}</td>{cells}</tr>')
            else:
                found = [summary.means[method].get(metric.key) for method in summary.methods]
                numbers = _cells(metric, found, metric.repaint or not summary.repaints)
                fewest = min((mean.n for mean in found if mean is not None), default=0)
                of = f"<small>of {fewest} pictures</small>" if fewest < len(summary.cases) else ""
                body.append(f"<tr><td>{metric_name(metric)}{of}</td>{''.join(numbers)}</tr>")
    return (
        f'<div class="scroll"><table><thead><tr><th></th>{_heads(summary)}</tr></thead>'
        f"<tbody>{''.join(body)}</tbody></table></div>" + _faces_note(summary)
    )


def _faces_note(summary: Summary) -> str:
    verified = summary.verified
    if verified is None:
        return ""
    rate = f"{100 * verified.false_accepts:.2g} %" if verified.false_accepts else "none"
    return (
        f"<p class='faint'>Faces verified: a cosine above {verified.threshold:.3f} is accepted, which takes {rate} of "
        f"{verified.impostors} pairs of different truths for the same person.</p>"
    )


def best_of(metric: Metric, found: Sequence[float | None]) -> set[int]:
    """Which of several means are the best as they are shown; none where there is nothing to compare."""
    bad = {i: badness(metric, value) for i, value in enumerate(found) if value is not None}
    if len(bad) < 2:
        return set()
    top = shown(metric, found[min(bad, key=lambda i: bad[i])])
    return {i for i in bad if shown(metric, found[i]) == top}


def _cells(metric: Metric, found: Sequence[Mean | None], is_judge: bool) -> list[str]:
    """is_judge: whether the metric says which of such pictures are better, so that the best is marked."""
    best = best_of(metric, [None if one is None else one.value for one in found]) if is_judge else set()
    cells = []
    for index, mean in enumerate(found):
        if mean is None:
            cells.append("<td>–</td>")
            continue
        value = shown(metric, mean.value)
        value = f'<b class="best">{value}</b>' if index in best else value
        interval = "" if mean.low is None else f"{shown(metric, mean.low)} … {shown(metric, mean.high)}"
        cells.append(f"<td>{value}<small>{interval}</small></td>")
    return cells


def _sets(summary: Summary) -> str:
    titles = list(dict.fromkeys(title for sets in summary.sets.values() for title in sets))
    body = []
    for title in titles:
        cells = [_estimate(summary.sets[method].get(title)) for method in summary.methods]
        if isinstance(summary.sets[summary.methods[0]].get(title), str) and len(set(cells)) == 1:
            cells = [cells[0].replace("<td", f'<td colspan="{len(cells)}"', 1)]  # one reason for all
        body.append(f"<tr><td>{escape(title)} ↓</td>{''.join(cells)}</tr>")
    against = "style pictures" if summary.repaints else "truths"
    return (
        f"<h2>All outputs against all {against}</h2><p>Distances between sets of pictures. A picture is never "
        "compared with what it was made from, and an unbiased estimate may be below 0; that is as good as 0.</p>"
        f'<div class="scroll"><table><thead><tr><th></th>{_heads(summary)}</tr></thead>'
        f"<tbody>{''.join(body)}</tbody></table></div>"
    )


def _estimate(found: Estimate | float | str | None) -> str:
    if isinstance(found, Estimate):
        return f"<td>{found.value:.4f}<small>{found.low:.4f} … {found.high:.4f}</small></td>"
    if isinstance(found, float):
        return f"<td>{found:.3f}</td>"
    return f'<td class="words faint">{escape(found or "–")}</td>'


def _comparisons(summary: Summary) -> str:
    if not summary.comparisons:
        return ""
    parts = [
        f"<h2>{escape(summary.methods[0])} against the others</h2><p>Picture by picture. p: how often chance alone "
        "would give so large a difference, had either method made either picture (two-sided sign-flip test over "
        "truths); the verdict is at 5 % after Holm's correction for all tests on this page.</p>"
    ]
    for second in summary.methods[1:]:
        rows = [_comparison(one) for one in summary.comparisons if one.second == second]
        heads = ("metric", "difference", "95 % interval", "better in", "worse in", "p", "p, Holm", "verdict")
        row = "".join(f"<th{' class=words' * (head == 'verdict')}>{head}</th>" for head in heads)
        parts.append(
            f"<h3>{escape(summary.methods[0])} minus {escape(second)}</h3>"
            f'<div class="scroll"><table><thead><tr>{row}</tr></thead><tbody>{"".join(rows)}</tbody></table></div>'
        )
    return "".join(parts)


def _comparison(one: Comparison) -> str:
    metric, found = BY_KEY[one.metric], one.found
    interval = "–" if found.low is None else f"{signed(metric, found.low)} … {signed(metric, found.high)}"
    p = ["–" if value is None else "< .0001" if value < 1e-4 else f"{value:.4f}" for value in (found.p, one.adjusted)]
    kind = "faint" if one.verdict.startswith("no") else "better" if found.better < 0 else "worse"
    cells = [signed(metric, found.value), interval, f"{found.wins} of {found.n}", str(found.losses), *p]
    return (
        f"<tr><td>{metric_name(metric)}</td>{''.join(f'<td>{cell}</td>' for cell in cells)}"
        f'<td class="words {kind}">{escape(one.verdict)}</td></tr>'
    )


def _plots(plots: Mapping[str, str]) -> str:
    figures = (f"<figure><h3>{escape(title)}</h3>{svg}</figure>" for title, svg in plots.items())
    return f'<div class="plots">{"".join(figures)}</div>'


def _gallery(summary: Summary, cases: Sequence[Shown], rank: str) -> str:
    if not cases:
        return ""
    keys = [rank, "content" if summary.repaints else "psnr_y", "identity", "grid"]
    parts = [
        f"<h2>Worst, median and best</h2><p>By {escape(BY_KEY[rank].title)}. Point at a picture to see all of its row "
        "four times larger about the same place.</p>"
    ]
    for one in cases:
        figures = []
        for name, uri in one.pictures.items():
            tint = ""
            numbers = ""
            if name in summary.methods:
                tint = f'<span class="swatch" style="background:{colour(summary.methods, name)}"></span>'
                told = {BY_KEY[key].title: summary.values[name][key][one.index] for key in keys}
                keyed = {BY_KEY[key].title: BY_KEY[key] for key in keys}
                numbers = " · ".join(f"{title} {shown(keyed[title], v)}" for title, v in told.items() if v is not None)
            apart, low = ' data-apart="1"' * (name == "style"), ' class="low"' * (name == "low")
            figures.append(
                f'<figure><div class="frame"{apart}><img{low} src="{uri}" alt="{escape(name)}"></div>'
                f'<figcaption>{tint}{escape(name)}<br><span class="faint">{escape(numbers)}</span></figcaption>'
                "</figure>"
            )
        reduced = " (shown smaller than it is)" * one.reduced
        parts.append(
            f'<section class="case"><header><b>{escape(one.case.name)}</b> <span class="faint">'
            f'{escape(", ".join(one.why))}{reduced}</span></header><div class="row">{"".join(figures)}</div></section>'
        )
    return "".join(parts)


def _settings(settings: Mapping[str, str]) -> str:
    rows = "".join(f"<dt>{escape(key)}</dt><dd>{escape(value)}</dd>" for key, value in settings.items())
    return f"<h2>How it was measured</h2><dl>{rows}</dl>"


def _definitions() -> str:
    rows = "".join(f"<dt>{escape(metric.title)}</dt><dd>{escape(metric.meaning)}</dd>" for metric in METRICS)
    return f"<details><summary>What each number means</summary><dl>{rows}</dl></details>"
