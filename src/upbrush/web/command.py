"""`upbrush serve`: the studio and the API, one process, on this machine unless told otherwise."""

import os
import re
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from upbrush.console import EngineName, Model, Overwrite, complain, need
from upbrush.errors import ConfigError

if TYPE_CHECKING:
    from upbrush.web.desk import Settings

NEEDED = ("fastapi", "filelock", "huey", "multipart", "prometheus_client", "uvicorn")
LEAST_TOKEN = 16  # letters: fewer could be tried out
MOST_WORKERS = 4  # by default; a worker has threads of its own


def serve(
    data: Annotated[
        Path | None, typer.Option(envvar="UPBRUSH_SERVE_DATA", help="For jobs and own styles; ~/.upbrush by default.")
    ] = None,
    host: Annotated[str, typer.Option(help="The address to listen at.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 takes any that is free.")] = 8766,
    token: Annotated[
        str | None, typer.Option(envvar="UPBRUSH_SERVE_TOKEN", help="Only who has this word is served.")
    ] = None,
    public: Annotated[bool, typer.Option("--public", help="Serve whoever finds the address.")] = False,
    behind_tls: Annotated[
        str | None, typer.Option(metavar="NAME", help="The name that a proxy which speaks TLS serves it by.")
    ] = None,
    workers: Annotated[int | None, typer.Option(min=1, max=64, help="Processes that paint.")] = None,
    threads: Annotated[int | None, typer.Option(min=1, help="Threads of each; by default the cores, divided.")] = None,
    memory: Annotated[str, typer.Option(help="About what painting may take in each worker.")] = "1GB",
    engine: EngineName = "auto",
    model: Model = None,
    redis: Annotated[str | None, typer.Option(help="Keep the queue of jobs there, as redis://host:6379/0.")] = None,
    ray: Annotated[bool, typer.Option("--ray", help="Serve on a Ray cluster: RAY_ADDRESS, or this machine.")] = False,
    replicas: Annotated[str, typer.Option(help="With --ray: how many, the least and the most.")] = "1:4",
    limits: Annotated[
        list[str] | None, typer.Option("--limit", help="As pixels=20000000; again for more. docs/service.md has them.")
    ] = None,
    static: Annotated[
        Path | None, typer.Option(help="Write the studio as a folder for any web server, and stop.")
    ] = None,
    overwrite: Overwrite = False,
) -> None:  # fmt: skip
    """Open the studio in the browser, and the API for programs; Ctrl-C stops, jobs go on when started again."""
    from upbrush.engine import MODEL_DIR

    model_dir = model or MODEL_DIR
    if static is not None:
        from upbrush.web import static as statics

        statics.write(static, model_dir, overwrite)
        typer.echo(f"{static}: serve this folder with any web server")
        return
    need("serve", *NEEDED)
    os.environ.pop("UPBRUSH_SERVE_TOKEN", None)  # the workers, which open strange files, need not know it
    from upbrush import address
    from upbrush.engine import open_engine
    from upbrush.web import orders
    from upbrush.web.desk import Settings

    local = address.is_loopback(host)
    _check_open(host, local, token, public, behind_tls)
    found = open_engine(engine, model_dir, 1)  # what is wrong with the model is told at once, and not by workers
    cores = os.cpu_count() or 1
    workers = workers or min(MOST_WORKERS, max(2, cores))
    folder = _made(data or Path.home() / ".upbrush")
    bench = orders.Bench(
        str(model_dir), str(folder / "styles"), engine, threads or max(1, cores // workers), threads or cores, memory,
        orders.limits_of(limits or []),
    )  # fmt: skip
    hosts = _names(host, behind_tls) if local and not public else None
    settings = Settings(folder, bench, found.identity, found.scale, workers, token, hosts, redis, behind_tls)
    _serve_on_ray(settings, replicas, host, port) if ray else _serve_here(settings, host, port)


def _serve_here(settings: "Settings", host: str, port: int) -> None:
    from upbrush import address
    from upbrush.web import server

    with address.listen(host, port) as listening:
        app = server.application(settings)
        typer.echo(_place(host, listening.getsockname()[1], settings.token))
        sys.stdout.flush()
        try:
            server.run(app, settings.limits, listening)
        except KeyboardInterrupt:  # the usual end
            complain(f"stopped; jobs that are not done go on when it is started again with --data {settings.data}")


def _serve_on_ray(settings: "Settings", replicas: str, host: str, port: int) -> None:
    need("cluster", "ray")
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nothing is sent anywhere
    os.environ.setdefault("RAY_SERVE_PROXY_READY_CHECK_TIMEOUT_S", "60")  # 5 seconds are too few on a busy machine
    from upbrush.web import cluster

    with cluster.serving(settings, cluster.Replicas.of(replicas), host, port):
        typer.echo(_place(host, port, settings.token))
        sys.stdout.flush()
        try:
            cluster.wait()
        except KeyboardInterrupt:
            complain("stopped; jobs that are not done go on when it is started again")


def _names(host: str, behind_tls: str | None) -> tuple[str, ...]:
    """What a browser on this machine, or a proxy there, may call the service."""
    return ("localhost", "127.0.0.1", "[::1]", host, *([behind_tls] if behind_tls else []))


def _place(host: str, port: int, token: str | None) -> str:
    """What to open in a browser."""
    shown = f"[{host}]" if ":" in host else host
    return f"http://{shown}:{port}/{f'#token={token}' if token else ''}"


def _check_open(host: str, local: bool, token: str | None, public: bool, behind_tls: str | None) -> None:
    """Refuse to let in everyone by mistake."""
    if behind_tls is not None and not re.fullmatch(r"[A-Za-z0-9.-]+", behind_tls):
        raise ConfigError(f"--behind-tls {behind_tls}: expected a name and nothing else, as in paint.example.org")
    if not (local and behind_tls is None) and not (public or token):
        opened = f"--host {host}" if behind_tls is None else f"--behind-tls {behind_tls}"
        raise ConfigError(
            f"{opened} lets other machines in, and whoever finds the address could paint, and fill the disk; add "
            "--token WORD to let in only those who have it, or --public to let in everyone"
        )
    if token is not None and not (len(token) >= LEAST_TOKEN and re.fullmatch(r"[!-~]+", token)):
        raise ConfigError(
            f"--token of {len(token)} letters can be guessed or not be sent; take {LEAST_TOKEN} at least, as of "
            "`python -c 'import secrets; print(secrets.token_urlsafe())'`"
        )


def _made(folder: Path) -> Path:
    """The data folder, ready to be written to; what libraries put aside goes there, too."""
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)  # people's pictures will lie in it
        (folder / "incoming").mkdir(exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise ConfigError(f"{folder}: cannot be written to ({error.strerror}); choose another --data") from None
    return folder.resolve()
