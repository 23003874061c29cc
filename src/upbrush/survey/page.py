"""A report as one page that needs nothing else: for who reads it years later, without a network.

Pure: numbers in, HTML out. Everything that people or folders named is escaped.
"""

import base64
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from upbrush.survey.study import PAGES

MOST_PICTURES = 60
Report = Mapping[str, Any]


def html(report: Report, thumbnails: Mapping[str, bytes]) -> str:
    """The page. thumbnails: small WebP pictures by "method/item"."""
    style = (PAGES / "report.css").read_text(encoding="utf-8")
    study = report["study"]
    parts = [
        f"<h1>{escape(study['question'])}</h1>",
        f'<p class="faint">{escape(_crowd(report))}</p>',
        *(f'<p class="warn">{escape(line)}</p>' for line in report["warnings"]),
        *(f'<p class="told">{escape(line)}</p>' for line in sentences(report)),
    ]
    if "methods" in report:
        parts += _preference(report)
    if "ratings" in report:
        parts += _opinions(report)
    parts += _trust(report)
    if "pictures" in report:
        parts += _pictures(report, thumbnails)
    parts += _how(report)
    policy = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">'
        f"<title>{escape(study['question'])}</title><style>{style}</style></head>\n<body><main>\n"
        + "\n".join(parts)
        + "\n</main></body></html>\n"
    )


def sentences(report: Report) -> list[str]:
    """The result in words, one sentence for each two methods."""
    told = []
    for one in report.get("matchups", []):
        first, second = one["first"], one["second"]
        range_ = f"{one['share']:.0%} of {one['votes']} votes [{one['low']:.0%}, {one['high']:.0%}]"
        if one["p_holm"] < report["settings"]["level"]:
            told.append(f"{first} is preferred to {second}: {range_}, {p_value(one['p_holm'])}.")
            continue
        needed = f"about {one['votes_needed']:,} votes" if one["votes_needed"] else "more votes than anyone collects"
        told.append(
            f"{first} and {second}: no difference shown ({range_} for {first}, {p_value(one['p_holm'])}). "
            f"If that share is the true one, {needed} would show it."
        )
    return told


def p_value(p: float | None) -> str:
    """As people write it."""
    return "p undefined" if p is None else "p < 0.001" if p < 0.001 else f"p = {p:.3f}"


def _crowd(report: Report) -> str:
    people, study = report["people"], report["study"]
    left_out = f", {len(people['left_out'])} left out" if people["left_out"] else ""
    return (
        f"{people['used']} people count ({people['answered']} answered, {people['finished']} finished{left_out}); "
        f"{report.get('votes', 0)} votes on {study['pictures']} pictures of {len(study['methods'])} methods. "
        f"upbrush {report['upbrush']}, study {study['id']}."
    )


def _preference(report: Report) -> list[str]:
    study, names = report["study"], report["study"]["methods"]
    rows = [
        (one["name"], one["score"], one["low"], one["high"], (one["low_over_pictures"], one["high_over_pictures"]))
        for one in report["methods"]
    ]
    matchups = _table(
        [
            *("preferred", "to", "share", "95 %", "p (Holm)", "votes", "votes needed", "people needed"),
            "smallest share seen",
        ],
        [
            [
                one["first"], one["second"], f"{one['share']:.1%}", f"{one['low']:.0%} to {one['high']:.0%}",
                p_value(one["p_holm"]).removeprefix("p ").removeprefix("= "), one["votes"],
                f"{one['votes_needed']:,}" if one["votes_needed"] else "> 100,000",
                f"{one['people_needed']:,}" if one["people_needed"] else "–",
                f"{one['smallest_seen']:.0%}" if one["smallest_seen"] else "none",
            ]
            for one in report["matchups"]
        ],
    )  # fmt: skip
    wins = report["wins"]
    matrix = [
        [
            name,
            *("" if row == column else _share_of(wins[row][column], wins[column][row]) for column in range(len(names))),
        ]
        for row, name in enumerate(names)
    ]
    return [
        "<h2>Preference (Bradley–Terry)</h2>",
        f"<figure>{_dots(rows)}<figcaption>Scores with 95 % intervals: thick for other people before the same "
        "pictures, dashed for the same people before other pictures. One step of 1 is odds of 2.7 to 1, or 73 %."
        "</figcaption></figure>",
        "<h2>Each against each</h2>",
        matchups,
        '<p class="faint">Votes needed: for 4 of 5 such studies to show this share at 5 %, with people as alike as '
        "here. Smallest share seen: what as many votes as here would show so.</p>",
        "<h2>Wins</h2>",
        _table(["row preferred to column", *names], matrix),
        f'<p class="faint">{report["ties"]} ties count half each way.</p>' if study["ties"] else "",
    ]  # fmt: skip


def _share_of(won: float, lost: float) -> str:
    return f"{won / (won + lost):.0%} of {won + lost:.0f}" if won + lost else "–"


def _opinions(report: Report) -> list[str]:
    ratings = report["ratings"]
    rejected = (
        f"{len(ratings['rejected'])} rejected by the screening of BT.500" if ratings["rejected"] else "none rejected"
    )
    rows = [
        [one["first"], one["second"], f"{one['mean']:+.2f}", _range(one, "+.2f"), p_value(one["p_holm"])]
        for one in ratings["differences"]
    ]
    means = [
        [one["name"], f"{one['mean']:.2f}", _range(one), f"{one['recovered']['mean']:.2f}", _range(one["recovered"])]
        for one in ratings["methods"]
    ]
    return [
        "<h2>Satisfaction with single pictures (MOS)</h2>",
        f'<p>{escape(report["study"]["rating_question"])} <span class="faint">{ratings["people"]} people who rated all '
        f'{report["study"]["ratings_each"]} pictures; {ratings["incomplete"]} did not, {rejected}.</span></p>',
        f"<figure>{_bars(ratings['methods'])}</figure>",
        _table(["method", "MOS", "95 %", "recovered (P.910)", "95 %"], means),
        "<p>Differences as the same people rated them:</p>",
        _table(["method", "above", "by", "95 %", "p (Holm)"], rows),
    ]  # fmt: skip


def _range(one: Report, form: str = ".2f") -> str:
    return "–" if one.get("low") is None else f"{one['low']:{form}} to {one['high']:{form}}"


def _trust(report: Report) -> list[str]:
    entries: list[tuple[str, str]] = []
    if "agreement" in report:
        entries.append(("Agreement on choices", _alpha(report["agreement"])))
        repeats, sides, looking = report["repeats"], report["sides"], report["looking"]
        if repeats["shown"]:
            told = f"{repeats['same']:.0%} of {repeats['shown']} repeated pairs answered as before (chance: 50 %)"
            entries.append(("Agreement with oneself", told))
        if sides["left"] is not None:
            told = f"{sides['left']:.1%} left [{sides['low']:.0%}, {sides['high']:.0%}], {p_value(sides['p'])}"
            entries.append(("Liking for a side", told))
        told = (
            f"{looking['median_seconds']:.1f} s a choice, {looking['median_scale']:.1f} screen pixels for one of the "
            f"picture (medians); {looking['share_below_full_size']:.0%} of pairs shown smaller than they are"
        )
        entries.append(("Looking", told))
    if "ratings" in report:
        entries.append(("Agreement on ratings", _alpha(report["ratings"])))
    final = report["satisfaction"]
    if "mean" in final:
        entries.append(
            ("At the end", f"{final['mean']:.2f} of 5 all in all, {final['people']} answers ({_range(final)})")
        )
    entries.append(("Comments", f"{final['comments']}; `upbrush survey export` tells them"))
    left_out = report["people"]["left_out"]
    told = "; ".join(f"{one['id']} {', '.join(one['why'])}" for one in left_out) or "nobody"
    entries.append(("Left out", told))
    listed = "".join(f"<dt>{escape(name)}</dt><dd>{escape(told)}</dd>" for name, told in entries)
    return ["<h2>How far to trust this</h2>", f"<dl>{listed}</dl>"]


def _alpha(found: Report) -> str:
    if found["alpha"] is None:
        return "cannot be told: nothing was judged by two people, or everything alike"
    low_high = f" [{found['interval'][0]:.2f}, {found['interval'][1]:.2f}]" if found["interval"] else ""
    return f"Krippendorff's alpha {found['alpha']:.2f}{low_high}: 1 is full agreement, 0 what chance gives"


def _pictures(report: Report, thumbnails: Mapping[str, bytes]) -> list[str]:
    best = report["methods"][0]["name"]
    shown = [one for one in report["pictures"] if one["share"][best] is not None]
    shown = sorted(shown, key=lambda one: one["share"][best])
    cut = ""
    if len(shown) > MOST_PICTURES:
        half = MOST_PICTURES // 2
        shown, cut = shown[:half] + shown[-half:], f" The {half} lowest and highest; report.csv has all."
    rows = []
    for one in shown:
        cells = [f"<td>{escape(one['name'])}</td><td class=n>{one['votes']}</td>"]
        for name in report["study"]["methods"]:
            share, small = one["share"][name], thumbnails.get(f"{name}/{one['name']}")
            cells.append(f"<td>{_image(small)}{'–' if share is None else f'{share:.0%}'}</td>")
        rows.append(f"<tr>{''.join(cells)}</tr>")
    head = "".join(f"<th>{escape(name)}</th>" for name in report["study"]["methods"])
    return [
        "<h2>Picture by picture</h2>",
        f'<p class="faint">Share of a picture\'s votes that went to each method, lowest of {escape(best)} first. '
        f"Few votes each: read it for where to look, not as a result.{cut}</p>",
        f'<div class="wide"><table><tr><th>picture</th><th class=n>votes</th>{head}</tr>{"".join(rows)}</table></div>',
    ]


def _image(content: bytes | None) -> str:
    if content is None:
        return ""
    return f'<img alt="" src="data:image/webp;base64,{base64.b64encode(content).decode()}">'


def _how(report: Report) -> list[str]:
    study, settings = report["study"], report["settings"]
    lines = [
        f"Each person saw {study['votes_each']} of {study['pairs']} pairs, {study['checks_each']} attention checks (a "
        f"picture beside a blurred copy), {study['repeats_each']} pairs again with sides swapped, and "
        f"{study['ratings_each']} single pictures to rate; sides and order at random, balanced, methods never named.",
        settings["rules"],
        "Bradley–Terry strengths by maximum likelihood (choix), half a vote added each way to every two methods; "
        f"intervals by a bootstrap of {settings['bootstrap_rounds']:,} rounds over people, or the model's own where "
        "wider, with Student's t.",
        "Shares of votes: Wilson's interval at the number of votes divided by the design effect; p-values by flipping "
        "the signs of whole people, adjusted for their number by Holm's method. MOS: Student's t over people's means, "
        "after the screening of observers of ITU-R BT.500. Recovered: the model of ITU-T P.910, annex E, which leaves "
        "nobody out, shifts the strict and the mild back, and lets those who rate at random count little.",
    ]
    return ["<h2>How it was done</h2>", *(f"<p>{escape(line)}</p>" for line in lines)]


def _table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    heads = "".join(f"<th>{escape(word)}</th>" for word in head)
    body = "".join("<tr>" + "".join(f"<td>{escape(str(cell))}</td>" for cell in row) + "</tr>" for row in rows)
    return f'<div class="wide"><table><tr>{heads}</tr>{body}</table></div>'


def _dots(rows: Sequence[tuple[str, float, float, float, tuple[float, float]]]) -> str:
    """Scores on one axis, each with its two intervals."""
    low = min(min(row[2], row[4][0]) for row in rows)
    high = max(max(row[3], row[4][1]) for row in rows)
    left, right, step, top = 190, 700, 38, 14
    height = top + step * len(rows) + 26

    def x(value: float) -> float:
        return round(left + (value - low) / ((high - low) or 1) * (right - left), 1)

    parts = []
    for tick in _ticks(low, high):
        parts.append(f'<line class="axis" x1="{x(tick)}" x2="{x(tick)}" y1="{top}" y2="{height - 24}"/>')
        parts.append(f'<text class="faint" x="{x(tick)}" y="{height - 8}" text-anchor="middle">{tick:g}</text>')
    for index, (name, score, start, end, (first, last)) in enumerate(rows):
        y = top + step * index + step / 2
        parts.append(f'<line class="thin" x1="{x(first)}" x2="{x(last)}" y1="{y + 8}" y2="{y + 8}"/>')
        parts.append(f'<line class="bar" x1="{x(start)}" x2="{x(end)}" y1="{y}" y2="{y}"/>')
        parts.append(f'<circle class="dot" cx="{x(score)}" cy="{y}" r="5"/>')
        parts.append(f'<text x="0" y="{y + 5}">{escape(_short(name))}</text>')
    return f'<svg viewBox="0 0 720 {height}" role="img" aria-label="Scores">{"".join(parts)}</svg>'


def _ticks(low: float, high: float) -> list[float]:
    step = next(step for step in (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100) if (high - low) / step <= 9 or step == 100)
    return [
        round(step * index, 1)
        for index in range(int(low / step) - 1, int(high / step) + 2)
        if low <= step * index <= high
    ]


def _bars(methods: Sequence[Report]) -> str:
    """How often each of the five ratings was given, as shares of one bar for each method."""
    left, right, step = 190, 700, 38
    parts = []
    for index, one in enumerate(methods):
        y, x = 6 + step * index, float(left)
        parts.append(f'<text x="0" y="{y + 19}">{escape(_short(one["name"]))}</text>')
        for value, count in enumerate(one["counts"], 1):
            width = count / sum(one["counts"]) * (right - left)
            if not width:
                continue
            parts.append(f'<rect class="part{value}" x="{x:.1f}" y="{y}" width="{width:.1f}" height="26"/>')
            if width > 16:
                place = f'x="{x + width / 2:.1f}" y="{y + 18}" text-anchor="middle"'
                parts.append(f'<text class="on on{value}" {place}>{value}</text>')
            x += width
    return f'<svg viewBox="0 0 720 {step * len(methods) + 6}" role="img" aria-label="Ratings">{"".join(parts)}</svg>'


def _short(name: str) -> str:
    return name if len(name) <= 24 else name[:23] + "…"
