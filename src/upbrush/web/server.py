"""The application on a port, until the program is told to stop."""

import logging
import os
import signal
import socket
import tempfile
import threading
from types import FrameType

import uvicorn
from fastapi import FastAPI

from upbrush.web.app import create_app
from upbrush.web.desk import Settings

MOST_CONNECTIONS = 512  # below what a process may usually have open
CLOSING_SECONDS = 3  # for answers that are under way; jobs go on another time
ENDING_SECONDS = 10.0  # for everything, from the signal on

logger = logging.getLogger(__name__)


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
    _Server(options).run(sockets=[listening])


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
