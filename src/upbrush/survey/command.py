"""`upbrush survey`: make a study, let people answer, sum it up; give out and delete what is kept of one person."""

import json
import sys
from pathlib import Path
from typing import IO, TYPE_CHECKING, Annotated

import typer

from upbrush.console import INTERRUPTED, Overwrite, complain, group, need
from upbrush.errors import ConfigError, DataError

if TYPE_CHECKING:
    from upbrush.survey.report import Report
    from upbrush.survey.store import Store

NEEDED = ("choix", "fastapi", "scipy", "uvicorn")
LEAST_INVITATION = 8  # letters: fewer could be tried out

survey_app = group("Ask people which pictures they prefer, blind, and report what they said.")

Folder = Annotated[Path, typer.Argument(metavar="STUDY", help="The folder of a study.")]
Someone = Annotated[str | None, typer.Option("--participant", help="The number that the page told at the end.")]


@survey_app.command("make")
def make_study(
    folders: Annotated[list[str], typer.Argument(metavar="METHOD...", help="Folders, one a method; or NAME=FOLDER.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="The study's folder, to be made.")],
    question: Annotated[str | None, typer.Option(help="What people are asked of each pair.")] = None,
    rating_question: Annotated[str | None, typer.Option(help="What they are asked of each single picture.")] = None,
    consent: Annotated[str | None, typer.Option(help="What they agree to before they begin.")] = None,
    reference: Annotated[Path | None, typer.Option(help="A folder of pictures to show beside each pair.")] = None,
    votes: Annotated[int, typer.Option(min=0, max=1000, help="Pairs for each person.")] = 20,
    ratings: Annotated[int, typer.Option(min=0, max=1000, help="Single pictures to rate, the same for all.")] = 12,
    checks: Annotated[int, typer.Option(min=0, max=100, help="Attention checks: a picture and its blurred copy.")] = 6,
    repeats: Annotated[int, typer.Option(min=0, max=100, help="Pairs shown again with sides swapped.")] = 2,
    ties: Annotated[bool, typer.Option("--ties", help="Let people say that there is no difference.")] = False,
    pictures: Annotated[int | None, typer.Option(min=1, help="Draw so many of the pictures; all if left out.")] = None,
    seed: Annotated[int | None, typer.Option(min=0, help="Of what is drawn and of everyone's order.")] = None,
    overwrite: Overwrite = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Show no progress.")] = False,
) -> None:  # fmt: skip
    """Make a study from folders of the same pictures by different methods.

    Experts choose: --ratings 0. Users rate: --votes 0. All texts can be edited or translated in STUDY/words.json.
    """
    from upbrush.screen import ticker
    from upbrush.survey import making
    from upbrush.survey import study as studies

    methods = making.named(folders)
    words = studies.read_words()
    given = {"question": question, "rating_question": rating_question, "consent": consent}
    words |= {name: text for name, text in given.items() if text is not None}
    design = making.Design(votes, ratings, checks, repeats, ties, pictures, seed)
    studies.check_words(words, "the command line")
    try:
        with ticker(1, quiet) as tick:
            tick.begin("pictures")
            study = making.make(methods, out, design, words, reference=reference, overwrite=overwrite, told=tick.tile)
    except KeyboardInterrupt:
        complain("stopped; nothing was written")
        raise typer.Exit(INTERRUPTED) from None
    shown = study.votes + study.repeats + len(study.checks)
    equal = len(study.items) * len(methods) * (len(methods) - 1) // 2 - len(study.pairs)
    if equal:
        complain(f"{equal} pairs are left out, as both methods gave the same picture")
    typer.echo(
        f"{out}: {len(study.items)} pictures of {', '.join(study.methods)}; each person sees {shown} pairs "
        f"({study.votes} votes, {len(study.checks)} checks, {study.repeats} repeats) and rates "
        f"{len(study.rated) * len(methods)} pictures\ntry it: upbrush survey serve {out}"
    )


@survey_app.command("serve")
def serve_study(
    folder: Folder,
    host: Annotated[str, typer.Option(help="The address to listen at.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 takes any that is free.")] = 8765,
    token: Annotated[
        str | None, typer.Option(envvar="UPBRUSH_SURVEY_TOKEN", help="Only who has the link with this word takes part.")
    ] = None,
    public: Annotated[bool, typer.Option("--public", help="Whoever finds the address may take part.")] = False,
    kiosk: Annotated[bool, typer.Option("--kiosk", help="One device for several people.")] = False,
    most_people: Annotated[int, typer.Option(min=1, help="Take no more people in.")] = 1000,
) -> None:  # fmt: skip
    """Show a study in the browser and keep the answers; Ctrl-C stops, the same command goes on."""
    need("survey", *NEEDED)
    from upbrush import address
    from upbrush.survey import server
    from upbrush.survey import study as studies
    from upbrush.survey.store import Store

    study, words = studies.load(folder), studies.read_words(folder)
    local = address.is_loopback(host)
    if not local and not (public or token):
        raise ConfigError(
            f"--host {host} lets other machines in, and whoever finds the address could answer, and answer often; "
            "add --token WORD to let in only those with the link, or --public to let in everyone"
        )
    if token is not None and len(token) < LEAST_INVITATION:
        raise ConfigError(f"--token of {len(token)} letters can be guessed; take {LEAST_INVITATION} at least")
    with (
        Store(folder / studies.ANSWERS, study.id, create=True) as store,
        address.listen(host, port) as listening,
    ):
        desk = server.Desk(study, words, folder, store, token, kiosk, most_people)
        hosts = ["localhost", "127.0.0.1", "[::1]", host] if local and not public else None
        shown = f"[{host}]" if ":" in host else host
        typer.echo(f"http://{shown}:{listening.getsockname()[1]}/{f'#invitation={token}' if token else ''}")
        sys.stdout.flush()
        try:
            server.run(server.create_app(desk, hosts), listening)
        except KeyboardInterrupt:  # the usual end
            finished = sum(bool(person.finished) for person in store.people())
            complain(f"stopped; {finished} people have finished, all answers are in {folder / studies.ANSWERS}")


@survey_app.command("report")
def report_study(
    folder: Folder,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="A folder; STUDY/report if left out.")] = None,
    overwrite: Overwrite = False,
) -> None:
    """Sum the answers up: report.json, report.csv and report.html. People may go on answering meanwhile."""
    need("survey", *NEEDED)
    from upbrush.survey import making, page, report
    from upbrush.survey import study as studies

    study, words = studies.load(folder), studies.read_words(folder)
    with _answers(folder, study.id) as store:
        summed: Report = report.summed_up(study, words, store.people())
    target = folder / "report" if out is None else out
    paths = report.write(summed, target, making.thumbnails(study, folder), overwrite=overwrite)
    for line in [*page.sentences(summed), *(f"note: {line}" for line in summed["warnings"])]:
        typer.echo(line)
    typer.echo(f"look at {paths[-1]}")


@survey_app.command("export")
def export_answers(
    folder: Folder,
    participant: Someone = None,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="A .json file; standard output if left out.")] = None,
    overwrite: Overwrite = False,
) -> None:
    """Give out everything that is kept, of all people or of one, as JSON with the methods' names."""
    need("survey", *NEEDED)
    from upbrush import saving
    from upbrush.survey import report
    from upbrush.survey import study as studies

    study = studies.load(folder)
    with _answers(folder, study.id) as store:
        people = [person for person in store.people() if participant in (None, person.id)]
    if participant is not None and not people:
        raise DataError(f"{folder}: nobody has the number {participant}; `upbrush survey export` without it tells all")
    text = json.dumps(report.export(study, people), indent=1, ensure_ascii=False)
    if out is None:
        typer.echo(text)
    else:

        def save(file: IO[bytes]) -> None:
            file.write(text.encode() + b"\n")

        saving.store(out, save, overwrite)


@survey_app.command("delete")
def delete_answers(
    folder: Folder,
    participant: Annotated[str, typer.Option("--participant", help="The number that the page told at the end.")],
) -> None:
    """Delete everything that is kept of one person, for good."""
    need("survey", *NEEDED)
    from upbrush.survey import study as studies

    study = studies.load(folder)
    with _answers(folder, study.id) as store:
        if not store.delete(participant):
            raise DataError(
                f"{folder}: nobody has the number {participant}; `upbrush survey export` tells those there are"
            )
    typer.echo(f"deleted {participant}; a report or an export that was made before still has these answers")


def _answers(folder: Path, study_id: str) -> "Store":
    from upbrush.survey import study as studies
    from upbrush.survey.store import Store

    return Store(folder / studies.ANSWERS, study_id, create=False)
