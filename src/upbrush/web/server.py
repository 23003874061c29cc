"""The application on a port, until the program is told to stop."""

import logging
import os
import signal
import socket
import sys
import tempfile
import threading
from types import FrameType

import uvicorn
from fastapi import FastAPI
from starlette.types import ASGIApp

from upbrush.web.app import create_app
from upbrush.web.connection import bounded
from upbrush.web.desk import Settings
from upbrush.web.guard import MOST_HEAD_BYTES
from upbrush.web.orders import Limits

MOST_FILES = 8192  # open at once
CLOSING_SECONDS = 3  # for answers that are under way; jobs go on another time
ENDING_SECONDS = 10.0  # for everything, from the signal on

logger = logging.getLogger(__name__)


def application(settings: Settings) -> FastAPI:
    """The application, with everything that is put aside for a moment, as large uploads are, in the data folder.

    Raises ConfigError where the queue cannot be had.
    """
    tempfile.tempdir = str(settings.data / "incoming")
    return create_app(settings)


def options(app: ASGIApp, limits: Limits) -> uvicorn.Config:
    """How uvicorn serves. Nothing about who asks is logged."""
    return uvicorn.Config(
        app, http=bounded(limits), h11_max_incomplete_event_size=MOST_HEAD_BYTES, ws="none", access_log=False,
        log_level="warning", server_header=False, proxy_headers=False, timeout_graceful_shutdown=CLOSING_SECONDS,
        timeout_keep_alive=30, lifespan="on",
    )  # fmt: skip


def run(app: FastAPI, limits: Limits, listening: socket.socket) -> None:
    """Serve until the program is told to stop."""
    _allow_files()
    _Server(options(app, limits)).run(sockets=[listening])


def _allow_files() -> None:
    """Let this process have as many files open as it may: each picture of a form may be one, each connection is."""
    if sys.platform == "win32":
        return
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = MOST_FILES if hard == resource.RLIM_INFINITY else min(MOST_FILES, hard)
    if soft != resource.RLIM_INFINITY and soft < most:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))


class _Server(uvicorn.Server):
    """Ends within its time, whatever hangs: what is written here is made to outlive a `kill -9`."""

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """What Ctrl-C and SIGTERM call."""
        if not self.should_exit:
            clock = threading.Timer(ENDING_SECONDS, _end, (sig,))
            clock.daemon = True
            clock.start()
        super().handle_exit(sig, frame)


def _end(number: int) -> None:
    """End at once. The workers see their pipes end, and end, too."""
    logger.warning("not ended %g seconds after %s: ended at once", ENDING_SECONDS, signal.Signals(number).name)
    os._exit(128 + number)
