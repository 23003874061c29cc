"""What a page says: the sentences, in words for somebody who looks at pictures and not at networks; pure."""

from upbrush.explain.findings import ALTERED, KEPT, VISIBLE, Account, Dependence, Judgement, StyleSource, half_area

LEVEL = "A level is 1/255 of the way from black to white: 2 are hard to see, 8 are plain, 30 make another shade."
VERDICTS = {
    "kept": "passes for the same person",
    "barely": "only just passes for the same person",
    "doubtful": "may pass for somebody else",
    "lost": "a face before, none that the detector finds in the output",
    "new": "a face in the output, none that the detector finds before",
}
WITNESSES = {
    "added": (
        "Added",
        "Fine detail beyond what a picture of the small size can hold. However sharp it looks, nothing in the small "
        "picture can confirm or refute it.",
    ),
    "unsteady": (
        "Unsteady",
        "How much the output changes when the small picture is mirrored before painting and the result mirrored back. "
        "What was read from the small picture does not depend on that.",
    ),
    "undecided": (
        "Undecided",
        "How much the output changes towards the most faithful and the sharpest setting (fidelity 1 and 0). The "
        "network holds all of them for possible.",
    ),
    "map": ("Invented, together", "The three as independent errors add up: the root of the sum of their squares."),
    "changed": (
        "Altered",
        "Something else: the output, made small again, against the small picture. So much of what was measured was not "
        "kept.",
    ),
}


def opening(account: Account) -> str:
    """What happened to the picture."""
    low, high = account.source, account.painted
    share = high.width * high.height / (low.width * low.height)
    sizes = f"{low.width} × {low.height} pixels, {low.width * low.height:,} in all"
    made = (
        f"A neural network enlarged this picture from {sizes}, to {high.width} × {high.height}. Of every {share:.0f} "
        f"pixels that you see, one could be measured; the other {share - 1:.0f} are the network's estimate."
    )
    if account.style is None:
        return made
    return (
        f"{made} It also repainted the picture in the style “{account.style}”, so colours and strokes are the "
        "network's, on purpose: what you see is a painting after the picture, not a better copy of it."
    )


def kept(account: Account) -> tuple[str, str, str, str]:
    """The first finding: (class, number, word, sentence)."""
    level = account.invention.level(account.invention.changed)
    number = f"{level:.1f} levels apart"
    if account.style is not None:
        return "warn" if level > KEPT else "good", number, "repainted", (
            "The output, made small again, is as far as this from the small picture: its colours, light and shade are "
            "the style's."
        )  # fmt: skip
    if level <= KEPT:
        word, sentence = "good", "The output, made small again, is the small picture, as good as exactly."
    elif level <= ALTERED:
        word, sentence = "warn", (
            "The output, made small again, is near the small picture but not the same. The network took noise, blur or "
            "compression for damage and removed it; small marks may have gone with them."
        )  # fmt: skip
    else:
        word, sentence = "bad", "The output, made small again, is visibly another picture. Do not use it as a copy."
    return (
        word,
        number,
        {
            "good": "what was measured is kept",
            "warn": "what was measured is cleaned",
            "bad": "what was measured is altered",
        }[word],
        sentence,
    )


def invented(account: Account) -> tuple[str, str, str, str]:
    """The second finding."""
    share = account.invention.share(VISIBLE)
    word = "good" if share < 0.02 else "warn"
    return word, f"{share:.0%} of the picture", "invented", (
        f"So much of the area has detail of {VISIBLE:g} levels or more that the small picture does not determine. "
        "The map below shows where."
    )  # fmt: skip


def ways(account: Account) -> str:
    """How much each way to ask, and each fidelity, moved the whole picture."""
    moved = ", ".join(f"{name} {level:.1f}" for name, level in account.invention.by_way.items())
    return f"One by one, levels over the whole picture: {moved}. A shift can change no more than the picture's edges."


def people(account: Account) -> tuple[str, str, str, str]:
    """The third finding."""
    judgement = account.judgement
    if judgement is None:
        return "warn", "faces", "not looked at", f"{account.missing['faces']}."
    faces = judgement.faces
    if not faces:
        return "good", "no face", "found", (
            "The detector finds none, before or after. It can miss faces that are small, turned away or covered."
        )  # fmt: skip
    flagged = sum(face.flagged for face in faces)
    if not flagged:
        barely = sum(face.verdict == "barely" for face in faces)
        word, what = ("warn", f"faces pass, {barely} only just") if barely else ("good", "faces pass")
        return word, f"{len(faces)} of {len(faces)}", what, (
            "By a face-recognition network, each passes for the same person as before. See below what that is worth."
        )  # fmt: skip
    return "bad", f"{flagged} of {len(faces)}", "faces flagged", (
        "By a face-recognition network: changed, gone, or not there before. See below, and compare by eye."
    )  # fmt: skip


def cautions(account: Account) -> list[str]:
    """What not to conclude."""
    said = [
        "<b>Pale does not mean true.</b> The map shows where the network added detail or wavered. Where it is sure and "
        "wrong, and where detail is missing, the map stays pale. Against known originals the true error was mostly one "
        "to two and a half times the map's number, and in one place of ten three to five times.",
        "<b>Do not read what was invented.</b> Letters, numbers, a signature, the weave of a canvas, a crack, a "
        "lesion, an eyelash: where the map is strong, its shape is the network's guess and may be wrong.",
        "<b>Not for diagnosis, evidence or attribution.</b> Decide on the small picture, or on a better photograph. "
        "This page tells what to distrust; it cannot tell what to trust.",
        "<b>Damage looks like content.</b> Dust, noise and compression in the small picture may have been sharpened "
        "into something that looks real.",
    ]
    if account.style is not None:
        said.insert(0, (
            "<b>A repaint is a painting.</b> Every stroke is invented, also where the map is pale. Do not judge a "
            "face, a material or a place by it."
        ))  # fmt: skip
    return said


def identity(judgement: Judgement) -> str:
    """What the faces' numbers are."""
    before = "the true large picture" if judgement.before == "truth" else "the small picture, plainly enlarged"
    return (
        f"Each face is compared with the same place in {before}. The number is the cosine of two face embeddings: "
        f"1 is alike, near 0 is strangers. Below {judgement.threshold:.2f} a face is flagged: only one in "
        f"{1 / judgement.false_accepts:,.0f} pairs of different people came higher, none above {judgement.surest:.2f}. "
        "Passing is weak evidence: relatives pass, and a small blurred face is like many. It says nothing about "
        "expression, skin or age."
    )


def drawn_from(one: Dependence, account: Account) -> list[str]:
    """What the local attribution says."""
    region, through = one.region, account.through
    said = [
        f"The {region.width} × {region.height} output pixels from {region.left}, {region.top} on (white frame) were "
        "drawn from the small picture's coloured pixels: red ones gave them edges, blue ones took edges away. Pixels "
        "without colour had no say.",
        f"Diffusion index {one.diffusion:.1f} of 100, counted over {one.window.width} × {one.window.height} small "
        "pixels: 0 would be one pixel alone, 100 all alike. The less a place was drawn from, the more of it is habit.",
    ]
    if "through" in account.missing:
        said.append(f"{account.missing['through']}.")
    if through is not None and through.share is not None:
        said.append(
            "For this the network's overall settings, which it takes from a thumbnail of the whole picture, are held "
            f"as they are. Followed, too, {1 - through.share:.0%} of the influence comes from the rest of the picture."
        )
    said.append(
        f"Check: the pixels' shares sum to {one.total:.2f}; the edges that they account for are {one.gained:.2f} "
        "(these should be equal)."
    )
    return said


def style_from(source: StyleSource) -> list[str]:
    """What the style's attribution says."""
    part = source.part
    return [
        "Red parts of the style picture pull towards what came out, blue ones pull away. Left: what moves the code, "
        "the 256 numbers that the style is summed up in. Right: what of it arrives in this painting "
        f"(a part of {part.width} × {part.height} small pixels). Half of the pull comes from "
        f"{half_area(source.code):.0%} of the area for the code, and from {half_area(source.painting):.0%} for the "
        "painting.",
        f"Check: against a plain grey picture the reference moves the code by {source.code_moved:.2f} (the parts' "
        f"shares sum to {float(source.code.sum()):.2f}), and this part of the painting by "
        f"{source.painting_moved:.1f} levels ({float(source.painting.sum()):.1f}).",
    ]
