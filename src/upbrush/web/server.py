"""The application on a port, until the program is told to stop."""

import socket
import tempfile

import uvicorn
from fastapi import FastAPI

from upbrush.web.app import create_app
from upbrush.web.desk import Settings

MOST_CONNECTIONS = 512  # below what a process may usually have open
CLOSING_SECONDS = 3  # for answers that are under way; jobs go on another time


def application(settings: Settings) -> FastAPI:
    """The application, with everything that is put aside for a moment, as large uploads are, in the data folder.

    Raises ConfigError where the queue cannot be had.
    """
    tempfile.tempdir = str(settings.data / "incoming")
    return create_app(settings)


def run(app: FastAPI, listening: socket.socket) -> None:
    """Serve. Nothing about who asks is logged."""
    options = uvicorn.Config(
        app, access_log=False, log_level="warning", server_header=False, proxy_headers=False,
        timeout_graceful_shutdown=CLOSING_SECONDS, timeout_keep_alive=30, limit_concurrency=MOST_CONNECTIONS,
        lifespan="on",
    )  # fmt: skip
    uvicorn.Server(options).run(sockets=[listening])
