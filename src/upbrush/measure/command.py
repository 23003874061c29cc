"""`upbrush evaluate` and `upbrush compare` as the command line has them: words in, one call out."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from upbrush.console import INTERRUPTED, EngineName, Model, Overwrite, Threads, complain, need
from upbrush.errors import ConfigError

if TYPE_CHECKING:
    from upbrush.measure.summary import Summary
    from upbrush.screen import Ticker

PACKAGES = ("torch", "scipy", "skimage", "cv2", "matplotlib", "torchmetrics", "safetensors", "pydantic")

Features = Annotated[
    Path | None, typer.Option(envvar="UPBRUSH_FEATURES", help="VGG19 as safetensors; torch's own if left out.")
]
FaceNetworks = Annotated[
    Path | None, typer.Option("--faces", envvar="UPBRUSH_FACES", help="Folder of the face networks, for identity.")
]
Inception = Annotated[Path | None, typer.Option(help="Inception's weights as torch-fidelity keeps them, for FID.")]
Download = Annotated[bool, typer.Option("--download", help="Fetch weights that are missing: VGG19, LPIPS, DISTS…")]
Crop = Annotated[int, typer.Option(min=0, help="Border that PSNR and SSIM leave out, in pixels.")]
FalseAccepts = Annotated[float, typer.Option(min=0, max=0.5, help="Share of strangers that a face verifier lets in.")]
Seed = Annotated[int, typer.Option(min=0, help="Of the bootstrap.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Say nothing but errors and where to look.")]


def evaluate(
    outputs: Annotated[list[str], typer.Argument(metavar="OUT", help="Folder of a method's outputs, or NAME=FOLDER.")],
    truth: Annotated[Path, typer.Option(help="Folder of the true high pictures, of the same names.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="The folder for the report.")],
    style: Annotated[Path | None, typer.Option(help="Style pictures of repaints: a folder, or one picture.")] = None,
    low: Annotated[Path | None, typer.Option(help="Folder of the low pictures that were enlarged.")] = None,
    pairs: Annotated[Path | None, typer.Option(help="CSV with truth (or content), style, output, low.")] = None,
    crop: Crop = 4,
    features: Features = None,
    faces: FaceNetworks = None,
    inception: Inception = None,
    download: Download = False,
    false_accepts: FalseAccepts = 0.01,
    speed: Annotated[list[str] | None, typer.Option(help="As NAME=0.065: seconds a picture, for the plot.")] = None,
    title: Annotated[str, typer.Option(help="What the report is called.")] = "",
    seed: Seed = 0,
    threads: Threads = None,
    overwrite: Overwrite = False,
    quiet: Quiet = False,
) -> None:  # fmt: skip
    """Measure outputs of one method or more against the truth.

    Several methods are compared with the first, picture by picture. A run that was stopped goes on where it was.
    """
    need("measure", *PACKAGES)
    from upbrush.measure import evaluate, pairing, report
    from upbrush.measure.instruments import Settings, open_all

    methods = pairing.methods(outputs)
    job = evaluate.Job(methods, truth, style, low, pairs, title, seconds_of(speed or [], list(methods)))
    cases = job.cases()
    report.refuse_old(out, overwrite)
    limit_threads(threads)
    measurer_settings = Settings(crop, features, faces, inception, download, false_accepts, seed)
    measurer = evaluate.Measurer(measurer_settings, open_all(measurer_settings))
    rows = []
    with going(len(cases) * len(methods), quiet) as tick:
        for row in evaluate.run(cases, measurer, out, begun=naming(tick), done=tick.end):
            rows.append(row)
        summary = evaluate.finish(job, cases, rows, measurer, out)
    tell(summary)
    typer.echo(f"look at {out / report.FILES[2]}")


def compare(
    plan: Annotated[Path, typer.Argument(help="What is compared, as benchmarks/rivals.toml.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="The folder for tables and reports.")],
    data: Annotated[Path | None, typer.Option(envvar="UPBRUSH_DATA", help="What data/ in the plan stands for.")] = None,
    rivals: Annotated[Path | None, typer.Option(help="What rivals/ in the plan stands for.")] = None,
    ours: Annotated[Path | None, typer.Option(help="Outputs of ours, a folder a set; painted if left out.")] = None,
    only: Annotated[str, typer.Option(help="Sets of the plan, comma between; all if left out.")] = "",
    bench: Annotated[bool, typer.Option("--bench", help="Measure speed and memory first: about half an hour.")] = False,
    readme: Annotated[Path | None, typer.Option(help="A Markdown file to put the tables into.")] = None,
    engine: EngineName = "auto",
    model: Model = None,
    features: Features = None,
    faces: FaceNetworks = None,
    inception: Inception = None,
    download: Download = False,
    seed: Seed = 0,
    threads: Threads = None,
    overwrite: Overwrite = False,
    quiet: Quiet = False,
) -> None:  # fmt: skip
    """Compare the model with its rivals on every set of a plan, and make the README's tables."""
    need("measure", *PACKAGES)
    from upbrush.engine import open_engine
    from upbrush.measure import compare
    from upbrush.measure import plan as plans
    from upbrush.measure.instruments import Settings
    from upbrush.painter import Painter

    roots = {name: path for name, path in (("data", data), ("rivals", rivals)) if path is not None}
    chosen = plans.load(plan, roots, [word for word in only.split(",") if word])
    compare.refuse_old(out, readme, overwrite)
    painter = None if ours else Painter(open_engine(engine, model, threads))
    if bench:
        compare.run_benchmarks(plan.parent)
    limit_threads(threads)
    settings = Settings(features=features, faces=faces, inception=inception, download=download, seed=seed)
    comparison = compare.Comparison(chosen, plan.parent, out, settings, painter, ours)
    with going(comparison.count(), quiet) as tick:
        comparison.run(naming(tick), tick.end)
        written = comparison.write(readme)
    for path in written:
        typer.echo(f"written {path}")


@contextmanager
def going(pictures: int, quiet: bool) -> Iterator["Ticker"]:
    """A bar over pictures; Ctrl-C ends with a word on how to go on."""
    from upbrush.screen import ticker

    try:
        with ticker(pictures, quiet) as tick:
            yield tick
    except KeyboardInterrupt:
        complain("stopped; what was measured is kept, the same command goes on from there")
        raise typer.Exit(INTERRUPTED) from None


def naming(tick: "Ticker") -> Callable[[str], None]:
    """Show a picture's name as the one that is being worked on."""

    def begin(name: str) -> None:
        tick.begin(name)
        tick.tile(0, 1)

    return begin


def seconds_of(words: list[str], methods: list[str]) -> dict[str, float]:
    """NAME=SECONDS as numbers. Raises ConfigError for a name that is no method and for what is no time."""
    found = {}
    for word in words:
        name, _, text = word.rpartition("=")
        try:
            found[name] = float(text)
        except ValueError:
            found[name] = 0.0
        if name not in methods or not found[name] > 0:
            raise ConfigError(f"--speed {word}: expected NAME=SECONDS with a name of {', '.join(methods)}")
    return found


def limit_threads(threads: int | None) -> None:
    """Let torch use so many threads."""
    import torch

    if threads is not None:
        torch.set_num_threads(threads)


def tell(summary: "Summary") -> None:
    """The means, in a table, and what was not measured."""
    from rich.console import Console
    from rich.table import Table

    from upbrush.measure.catalogue import BY_KEY, METRICS, shown

    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column(f"{len(summary.cases)} pictures")
    for method in summary.methods:
        table.add_column(method, justify="right", overflow="fold")
    for metric in METRICS:
        found = [summary.means[method].get(metric.key) for method in summary.methods]
        if any(found):
            unit = f", {metric.unit}" if metric.unit else ""
            cells = (shown(metric, None if mean is None else mean.value) for mean in found)
            table.add_row(f"{metric.title}{unit}", *cells)
    Console(highlight=False).print(table)
    for reason in dict.fromkeys(summary.missing.values()):
        titles = ", ".join(BY_KEY[key].title for key, why in summary.missing.items() if why == reason)
        typer.echo(f"{titles}: not measured, {reason}")
