"""What would a million pictures take, and a film of two hours? Measures nothing: reckons from the last results.

    python benchmarks/plan.py [docs/folders.md] [--price 0.04]

Pictures are reckoned from `folders.py`, films from `video.py`, whose clips are decoded, steadied and encoded, too.
"""

import argparse
import json
import math
import statistics
import textwrap
from pathlib import Path
from typing import Any

import record
from folders import losses, rates, speed_up

CORES_EACH, HOURS = 16, 10  # a machine's cores, and how long it may take
FPS = 24
CLIPS = "upbrush video, restored"
MARKS = ("<!-- made by benchmarks/plan.py -->", "<!-- end of what benchmarks/plan.py made -->")


def read(name: str) -> dict[str, Any]:
    """What a benchmark found last."""
    path = record.RESULTS / f"{name}.json"
    if not path.exists():
        raise SystemExit(f"{path}: not there; run {name}.py first")
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found


def circumstances(facts: dict[str, Any]) -> str:
    """Where it was measured, in few words."""
    return f"{facts['cores']} cores of an {facts['processor']}{'' if facts['quiet'] else ' (not quiet)'}"


def of_pictures(kept: dict[str, Any]) -> tuple[float, list[str]]:
    """Low pixels a second of one core, and what was measured."""
    facts, settings, found = kept["circumstances"], kept["settings"], rates(kept)
    local = {name.removeprefix("here, "): rate for name, rate in found.items() if name.startswith("here")}
    rate = max(local.values()) * settings["side"] ** 2 / facts["cores"]
    ways = ", ".join(f"{name} {number:.1f}" for name, number in local.items())
    bytes_out = f"other bytes in {', '.join(losses(kept))}" if losses(kept) else "the same bytes in every way"
    return rate, [
        f"Measured on {circumstances(facts)}, {settings['pictures']} pictures of about {settings['side']}×"
        f"{settings['side']}, ×4: {ways} pictures a second (processes × threads), beside {kept['ceiling']:.1f} of bare "
        f"engines on all cores, which write nothing. So one core paints {rate / 1e3:,.0f} thousand low pixels a "
        f"second, reading and writing included. Planning takes {1e6 / kept['rows a second'] / 60:.1f} minutes for a "
        "million rows.",
        "",
        f"On Ray, a node of one core, on which the head of the cluster runs, too: {found['Ray, 1 x 1 core']:.1f} "
        f"pictures a second. Two such nodes: {found['Ray, 2 x 1 core']:.1f}, {speed_up(kept):.2f} times as many "
        f"({speed_up(kept) / 2:.0%} of twice). With {kept['workers killed']['kills']} workers killed here, and with "
        f"{kept['a node killed']['kills']} worker and a whole node killed there: {bytes_out}.",
    ]


def of_clips(kept: dict[str, Any]) -> tuple[float, str]:
    """Low pixels a second of one core, and what was measured."""
    facts, size = kept["circumstances"], kept["settings"]["size"]
    frames = statistics.median(kept["results"]["rates"][CLIPS])
    width, height = map(int, size.split("x"))
    rate = frames * width * height / facts["cores"]
    return rate, (
        f"Clips of {size} on {circumstances(facts)}: {frames:.1f} frames a second, {rate / 1e3:,.0f} thousand low "
        "pixels for each core, steadying and encoding in H.264 included."
    )


def main() -> None:
    """Reckon, print, and put the tables into a page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("page", nargs="?", type=Path, help="a page with our marks, whose tables are replaced")
    parser.add_argument("--price", type=float, default=0.04, help="of one core for an hour")
    args = parser.parse_args()
    pictures, lines = of_pictures(read("folders"))
    clips, told = of_clips(read("video"))
    lines += [
        *("", told, ""),
        f"| | low pixels | core hours | at {args.price:g} a core and hour | machines of {CORES_EACH} cores, {HOURS} "
        "hours |",
        "|---|---|---|---|---|",
    ]
    film = 2 * 3600 * FPS
    for name, pixels, rate in (
        ("a million pictures of 256×256 → 1024×1024", 1e6 * 256 * 256, pictures),
        ("a million pictures of 640×480 → 2560×1920", 1e6 * 640 * 480, pictures),
        (f"two hours at {FPS} frames/s, 480×270 → 1920×1080", film * 480 * 270, clips),
        (f"two hours at {FPS} frames/s, 960×540 → 3840×2160", film * 960 * 540, clips),
    ):
        hours = pixels / rate / 3600
        machines = max(1, math.ceil(hours / CORES_EACH / HOURS))
        lines.append(f"| {name} | {pixels / 1e9:,.0f} × 10⁹ | {hours:,.0f} | {hours * args.price:,.0f} | {machines} |")
    print("\n".join(lines))
    if args.page is not None:
        before, _, rest = args.page.read_text(encoding="utf-8").partition(MARKS[0])
        after = rest.partition(MARKS[1])[2]
        page = "\n".join([f"{before}{MARKS[0]}", *wrapped(lines), f"{MARKS[1]}{after}"])
        args.page.write_text(page, encoding="utf-8")


def wrapped(lines: list[str]) -> list[str]:
    """Sentences in lines of a page's width; rows of a table as they are."""
    return [part for line in lines for part in (textwrap.wrap(line, 120) if line[:1] not in ("", "|") else [line])]


if __name__ == "__main__":
    main()
