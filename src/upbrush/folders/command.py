"""`upbrush batch`: many pictures, on all cores of this machine or on a Ray cluster."""

import os
import time
from typing import TYPE_CHECKING, Annotated

import typer

from upbrush.console import (
    INTERRUPTED,
    SOME_FAILED,
    EngineName,
    Fidelity,
    FormatName,
    KeepColours,
    Model,
    Overwrite,
    Quality,
    Quiet,
    Scale,
    Size,
    Strength,
    Wrap,
    complain,
    need,
)
from upbrush.errors import ConfigError

if TYPE_CHECKING:
    from upbrush.folders.run import Run
    from upbrush.folders.split import Split

MOST_TOLD = 20  # pictures that somebody has changed, by name


In = Annotated[
    list[str],
    typer.Argument(metavar="IN", help="Folders, 'patterns/*.jpg', .tar shards, .csv or .parquet manifests."),
]
StyleWords = Annotated[
    str | None, typer.Option("--style", "-s", help="A name, a picture, a .style, random:7, monet:.7,klimt:.3")
]
Processes = Annotated[
    int | None, typer.Option(min=1, help="Here: processes, by trial if left out. With --ray: the most actors.")
]
Address = Annotated[
    str | None, typer.Option("--ray", metavar="ADDRESS", help="A cluster: host:port, ray://host:port, auto, local.")
]


def batch(
    inputs: In,
    out: Annotated[str, typer.Option("--out", "-o", help="The folder for the results, or its address.")],
    style: StyleWords = None,
    strength: Strength = None,
    fidelity: Fidelity = 0.5,
    keep_colours: KeepColours = False,
    scale: Scale = None,
    size: Size = None,
    wrap: Wrap = False,
    stereo: Annotated[str | None, typer.Option(help="Two eyes in one picture: side or over.")] = None,
    format: FormatName = None,
    quality: Quality = 95,
    processes: Processes = None,
    threads: Annotated[int | None, typer.Option(min=1, help="Of each process; by trial, or 1 with --ray.")] = None,
    memory: Annotated[str, typer.Option(help="About what painting may take in each process.")] = "1GB",
    ray: Address = None,
    gpus: Annotated[float, typer.Option(min=0, help="With --ray: of each actor; may be a part, as 0.5.")] = 0.0,
    engine: EngineName = "auto",
    model: Model = None,
    overwrite: Overwrite = False,
    quiet: Quiet = False,
) -> None:  # fmt: skip
    """Enlarge many pictures: restored, or repainted with --style; on all cores, or on a cluster with --ray.

    What was done is kept in a ledger in the output folder: the same command again paints what is missing, what failed
    and what has changed, be it a picture, a style or a knob.
    """
    from upbrush.folders.cluster import Pool, check_reachable
    from upbrush.folders.easel import Materials
    from upbrush.folders.local import Hands
    from upbrush.folders.run import Wanted, planned
    from upbrush.folders.task import Asked

    if ray is None and gpus:
        raise ConfigError("--gpus goes with --ray; on this machine give --engine cuda")
    if ray is not None:
        need("cluster", "ray", "pyarrow")
        check_reachable(ray, encrypted=os.environ.get("RAY_USE_TLS", "0") != "0")
    asked = Asked(style, strength, fidelity, keep_colours, scale, size, format, quality, wrap, stereo)
    chosen = "cuda" if gpus and engine == "auto" else engine
    materials = Materials(out, chosen, None if model is None else os.path.abspath(model), memory=memory)
    hands, pool = Hands(processes, threads), Pool(threads or 1, gpus, processes)
    with planned(Wanted(inputs, out, asked, materials, overwrite, hands, ray, pool), complain) as run:
        tell_kept(run)
        paint(run, quiet)


def tell_kept(run: "Run") -> None:
    """Name the results that somebody has changed: nobody should take them for ours."""
    from upbrush.folders.ledger import FOREIGN, KEPT

    number = 0
    for name, reason in run.ledger.troubles(KEPT):
        if reason != FOREIGN:
            number += 1
            if number <= MOST_TOLD:
                complain(f"{name}: {reason}")
    if number > MOST_TOLD:
        complain(f"and {number - MOST_TOLD} more that were changed by somebody")


def paint(run: "Run", quiet: bool) -> None:
    """Paint, show how far it is, and end with the exit code that is due."""
    from upbrush.screen import Notes, counter

    painted, failed, pixels = 0, run.counts.failed, 0
    begun = time.perf_counter()
    ways: list[str] = []

    def chosen(way: "Split", measured: bool) -> None:
        ways.append(f"{way} threads{', the quickest here' if measured else ''}")

    try:
        with counter(run.counts.waiting, quiet) as tick, Notes(tick):
            for done in run.paint(chosen):
                tick.end()
                for note in done.notes:
                    tick.complain(f"{done.name}: {note}")
                if done.error is None:
                    painted, pixels = painted + 1, pixels + done.pixels
                elif not done.full:
                    failed += 1
                    tick.complain(done.error)
    except KeyboardInterrupt:
        complain(f"stopped; {painted} of {run.counts.waiting} painted, the same command goes on from there")
        raise typer.Exit(INTERRUPTED) from None
    if failed or not quiet:
        seconds = time.perf_counter() - begun
        complain(", ".join(parts(run, painted, failed)) + (speed(painted, pixels, seconds, ways) if painted else ""))
    if failed:
        complain(f"what failed, and why, is in {run.where}; the same command tries it again")
        raise typer.Exit(SOME_FAILED)


def parts(run: "Run", painted: int, failed: int) -> list[str]:
    """What became of the pictures, in few words."""
    counts = run.counts
    found = [f"painted {painted}"]
    if counts.changed:
        found[0] += f" ({counts.changed} anew: changed since)"
    if counts.done:
        found.append(f"{counts.done} were done")
    if counts.kept:
        found.append(f"left {counts.kept} that the ledger did not make (--overwrite paints them)")
    if run.ignored:
        found.append(f"left out {run.ignored} (not pictures)")
    if failed:
        found.append(f"failed {failed}")
    return found


def speed(painted: int, pixels: int, seconds: float, ways: list[str]) -> str:
    """How fast it was."""
    how = f", {ways[0]}" if ways else ""
    return (
        f"; {seconds:.0f} s, {painted / seconds:.1f} pictures and {pixels / seconds / 1e6:.1f} megapixels a second{how}"
    )
