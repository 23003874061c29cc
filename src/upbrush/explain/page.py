"""One painting's account as one HTML page that needs nothing beside itself: no network, no other file."""

import json
from html import escape
from pathlib import Path
from typing import Any

from upbrush.explain import heat, pictures, words
from upbrush.explain.findings import Account, JudgedFace
from upbrush.picture import Picture

PAGES = Path(__file__).parent / "pages"
PAPERS = (
    ("Local attribution maps and their diffusion index", "Gu & Dong, CVPR 2021", "https://arxiv.org/abs/2011.11036"),
    ("Integrated gradients", "Sundararajan, Taly & Yan, ICML 2017", "https://arxiv.org/abs/1703.01365"),
    ("What a low picture leaves open: null space", "Wang, Yu & Zhang, ICLR 2023", "https://arxiv.org/abs/2212.00490"),
    ("Faces are found by YuNet", "Wu, Peng & Yu, Machine Intelligence Research 2023", ""),
    ("Faces are compared by MobileFaceNet", "Chen et al., CCBR 2018", "https://arxiv.org/abs/1804.07573"),
)


def page(account: Account, plot: str | None = None) -> str:
    """The page of an account. plot: an SVG of how its layers respond, where that was found out."""
    title = f"What is measured and what is invented: {account.name}"
    parts = [
        f"<h1>{escape(title)}</h1><p>{escape(words.opening(account))}</p>",
        _cards(account),
        _viewer(account),
        _map(account),
        _cautions(account),
        _faces(account),
        _dependence(account),
        _style(account),
        _layers(account, plot),
        _settings(account),
    ]
    style = (PAGES / "page.css").read_text(encoding="utf-8")
    script = (PAGES / "page.js").read_text(encoding="utf-8")
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{style}</style></head><body><main>{''.join(parts)}</main>"
        f'<script type="application/json" id="facts">{_in_script(_facts(account))}</script>'
        f'<script type="application/json" id="numbers">{_in_script(account.numbers())}</script>'
        f"<script>{script}</script></body></html>\n"
    )


def _cards(account: Account) -> str:
    cards = []
    for word, number, what, sentence in (words.kept(account), words.invented(account), words.people(account)):
        cards.append(
            f'<div class="card"><b>{escape(number)}</b><span class="word {word}">{escape(what)}</span>'
            f"<p><small>{escape(sentence)}</small></p></div>"
        )
    return f'<div class="cards">{"".join(cards)}</div><p class="soft">{words.LEVEL}</p>'


def _viewer(account: Account) -> str:
    kinds = "".join(
        f'<option value="{key}">{escape(words.WITNESSES[key][0])}</option>'
        for key in ("map", "added", "unsteady", "undecided", "changed")
    )
    rows, columns = pictures.page_cells(account.invention)
    boxes = "".join(_box(face) for face in account.judgement.faces) if account.judgement else ""
    width, height = account.painted.width, account.painted.height
    return (
        "<h2>Look</h2><noscript><p>The pictures below need no scripts; the slider does.</p></noscript>"
        '<div class="viewer noscript-hide"><div class="stage" id="stage">'
        f'<img id="stage-low" class="pixels" alt="" style="aspect-ratio:{width}/{height}">'
        '<img id="stage-output" alt=""><div class="edge" id="edge"></div>'
        f'<canvas id="heat" width="{columns}" height="{rows}"></canvas>'
        f'<svg viewBox="0 0 {width} {height}" aria-hidden="true">{boxes}</svg>'
        '<span class="tag" id="tag-low">small picture</span><span class="tag right" id="tag-output">output</span></div>'
        '<div class="knobs"><label for="wipe">small | output</label>'
        '<input id="wipe" type="range" min="0" max="100" value="50">'
        '<label for="opacity">map over it</label><input id="opacity" type="range" min="0" max="100" value="0">'
        f'<label for="kind">which map</label><select id="kind">{kinds}</select></div>'
        '<output id="here" class="soft">Move the pointer, or tap, to read the numbers of a place.</output></div>'
        '<div class="row">'
        + _figure("low", account.source, "The small picture, its pixels as squares: all that was measured.", "pixels")
        + _figure("output", account.painted, f"The output{_told_size(account.painted)}.", "")
        + f'<figure><img src="{pictures.uri(pictures.map_over(account))}" alt="The output in grey under the map.">'
        "<figcaption>What was invented: clear is none, dark red is much.</figcaption></figure></div>"
    )


def _map(account: Account) -> str:
    found, top = account.invention, heat.fitting_top(account.invention.map)
    stops = ", ".join(f"rgb({r:.0f} {g:.0f} {b:.0f} / {a:.2f}) {100 * share:.0f}%" for share, r, g, b, a in heat.RAMP)
    ticks = "".join(f"<span>{top * share:g}</span>" for share in (0, 0.25, 0.5, 0.75))
    rows = "".join(
        f'<tr><th scope="row">{escape(name)}</th><td class="number">{found.level(getattr(found, key)):.1f}</td>'
        f"<td>{escape(text)}</td></tr>"
        for key, (name, text) in words.WITNESSES.items()
    )
    truth = ""
    if account.truth is not None:
        truth = (
            f"<p>The true large picture was given. The output is {account.truth.error:.1f} levels from it on the "
            f"whole. The map ranks the places by their true error with a correlation of {account.truth.rank:.2f} "
            "(Spearman; 1 would be perfect, 0 is chance).</p>"
        )
    return (
        '<h2>What the map says</h2><div class="bar" '
        f'style="background:linear-gradient(to right,{stops}),#969696"></div>'
        f'<div class="scale">{ticks}<span>{top:g} levels or more</span></div>'
        "<table><thead><tr><th>map</th><th>levels</th><th>what it is</th></tr></thead>"
        f"<tbody>{rows}</tbody></table>{truth}"
        f'<p class="soft">{escape(words.ways(account))} Levels are root mean squares over all pixels and colours, of '
        "255. Making small is bicubic; how the small picture was really made is not known.</p>"
    )


def _cautions(account: Account) -> str:
    items = "".join(f"<li>{text}</li>" for text in words.cautions(account))
    return f'<h2>What not to conclude</h2><div class="caution"><ul>{items}</ul></div>'


def _faces(account: Account) -> str:
    judgement = account.judgement
    if judgement is None:
        return f"<h2>Faces</h2><p>{escape(account.missing['faces'])}.</p>"
    if not judgement.faces:
        return "<h2>Faces</h2><p>None found, before or after.</p>"
    cards = "".join(_face(account, face) for face in judgement.faces)
    return f'<h2>Faces</h2><p>{escape(words.identity(judgement))}</p><div class="faces">{cards}</div>'


def _face(account: Account, face: JudgedFace) -> str:
    before, after = pictures.face_pair(account, face)
    word = "bad" if face.flagged else "warn" if face.verdict == "barely" else "good"
    cosine = "" if face.cosine is None else f"cosine {face.cosine:.2f}: "
    return (
        f'<figure><div class="pair"><img src="{pictures.uri(before)}" alt="The face before."><img '
        f'src="{pictures.uri(after)}" alt="The face in the output."></div>'
        f'<figcaption>before, and in the output<br><b class="{word}">{cosine}{words.VERDICTS[face.verdict]}</b>'
        "</figcaption></figure>"
    )


def _dependence(account: Account) -> str:
    one = account.dependence
    head = "<h2>Where one place was drawn from</h2>"
    if one is None:
        return f"{head}<p>{escape(account.missing['dependence'])}.</p>"
    texts = "".join(f"<p>{escape(text)}</p>" for text in words.drawn_from(one, account))
    return (
        f'{head}<div class="row"><figure><img src="{pictures.uri(pictures.dependence_map(account.source, one))}" '
        'alt="Part of the small picture in grey, the pixels that mattered in colour.">'
        f"<figcaption>The small picture around the place, {one.window.width} × {one.window.height} pixels.</figcaption>"
        f"</figure><div>{texts}</div></div>"
    )


def _style(account: Account) -> str:
    head = "<h2>Where the style came from</h2>"
    source = account.style_source
    if account.style is None:
        return ""
    if source is None:
        return f"{head}<p>{escape(account.missing['style'])}.</p>"
    texts = "".join(f"<p>{escape(text)}</p>" for text in words.style_from(source))
    captions = (("The style's picture.", None), ("What moves the code.", source.code),
                ("What arrives in this painting.", source.painting))  # fmt: skip
    shown = "".join(
        f'<figure><img src="{pictures.uri(pictures.style_part(source, cells))}" alt="{caption}">'
        f"<figcaption>{caption}</figcaption></figure>"
        for caption, cells in captions
    )
    return f'{head}{texts}<div class="row">{shown}</div>'


def _layers(account: Account, plot: str | None) -> str:
    head = "<h2>Which layers of the network responded</h2>"
    if account.response is None or plot is None:
        return f"{head}<p>{escape(account.missing['layers'])}.</p>"
    knob = account.response.knob
    return (
        f"{head}<p>The network has {len(account.response.layers)} layers and a colour matrix. Left: how much the "
        f"output of each layer changes as {knob} goes from 0 to 1. Right: what is seen in the picture if that layer "
        f'alone goes to {knob} 1.</p><div class="plot">{plot}</div>'
    )


def _settings(account: Account) -> str:
    rows = "".join(
        f'<tr><th scope="row">{escape(key)}</th><td>{escape(value)}</td></tr>'
        for key, value in account.settings.items()
    )
    papers = "".join(
        f"<li>{what}: {f'<a href={chr(34)}{link}{chr(34)}>{who}</a>' if link else who}</li>"
        for what, who, link in PAPERS
    )
    return (
        f"<h2>How it was made</h2><table><tbody>{rows}</tbody></table><details><summary>Where the methods come from"
        f"</summary><ul>{papers}</ul></details><p class=soft>All numbers are also in this page as JSON, in the element "
        "<code>numbers</code>.</p>"
    )


def _figure(name: str, shown: Picture, caption: str, kind: str) -> str:
    picture = pictures.within(pictures.eight_bits(shown))
    return (
        f'<figure><img id="{name}" class="{kind}" src="{pictures.uri(picture)}" alt="{escape(caption)}">'
        f"<figcaption>{escape(caption)}</figcaption></figure>"
    )


def _told_size(shown: Picture) -> str:
    if max(shown.width, shown.height) <= pictures.MOST_PX:
        return ""
    return f", here reduced to {pictures.MOST_PX} pixels: the page would be too large"


def _box(face: JudgedFace) -> str:
    left, top, width, height = (round(number, 1) for number in face.box)
    return (
        f'<rect x="{left}" y="{top}" width="{width}" height="{height}" fill="none" vector-effect="non-scaling-stroke" '
        f'stroke="{"#ff4d5e" if face.flagged else "#7CFC9A"}" stroke-width="2"/>'
    )


def _facts(account: Account) -> dict[str, Any]:
    """What the script needs."""
    found = account.invention
    top = heat.fitting_top(found.map)
    values, most = pictures.values(found, top)
    return {
        "cells": pictures.page_cells(found),
        "top": top,
        "most": most,
        "values": pictures.uri(values),
        "ramp": heat.RAMP.tolist(),
    }


def _in_script(value: Any) -> str:
    """JSON that cannot end the element it stands in."""
    return json.dumps(value, ensure_ascii=False).replace("<", "\\u003c")
