"""What the service answers when it cannot do what was asked: a status, a name, and one line in our usual words."""

import json
import logging
from collections.abc import Mapping
from typing import Any

from upbrush.errors import OutOfMemoryError, UpbrushError, WeightsError

logger = logging.getLogger(__name__)

UNFIT, TOO_LARGE, UNKNOWN_FORMAT, BUSY = 422, 413, 415, 429


class Problem(Exception):
    """What is told to a client.

    status: of HTTP. kind: the name of an error of `upbrush.errors`, or one that only a service has: LimitError,
    BusyError, TokenError, NotFoundError, RequestError, ReadyError, InternalError. message: one line: what was found,
    what was expected, what to do. retry_after: seconds after which it may go better.
    """

    def __init__(self, status: int, kind: str, message: str, retry_after: int | None = None) -> None:
        super().__init__(message)
        self.status, self.kind, self.message, self.retry_after = status, kind, " ".join(message.split()), retry_after

    @property
    def headers(self) -> dict[str, str]:
        """Headers that go with it."""
        found = {} if self.retry_after is None else {"retry-after": str(self.retry_after)}
        return found | ({"www-authenticate": "Bearer"} if self.status == 401 else {})

    def fields(self) -> dict[str, Any]:
        """As plain data: what stands in an answer under `error`, and in a job that failed."""
        return {"type": self.kind, "message": self.message}

    def answer(self) -> tuple[int, dict[str, str], bytes]:
        """As an answer where there is no framework: status, headers, body."""
        body = json.dumps({"error": self.fields()}).encode()
        return self.status, {"content-type": "application/json", "content-length": str(len(body)), **self.headers}, body


def failed(head: Mapping[str, Any]) -> Problem:
    """The problem that a worker tells of, which is believed no more than the file that it read.

    Raises KeyError, ValueError or TypeError where it talks nonsense.
    """
    if head["told"] == "failed":
        logger.error("a worker failed, which is a fault of upbrush:\n%s", head.get("trace"))
        return Problem(500, "InternalError", "something went wrong here; the service's log tells what")
    return Problem(min(599, max(400, int(head["status"]))), str(head["type"]), str(head["message"]))


def problem_of(error: UpbrushError) -> Problem:
    """The problem that an error of ours is to a client."""
    status = TOO_LARGE if isinstance(error, OutOfMemoryError) else 500 if isinstance(error, WeightsError) else UNFIT
    return Problem(status, type(error).__name__, str(error))


def limit(message: str) -> Problem:
    """More than this service takes."""
    return Problem(TOO_LARGE, "LimitError", message)


def no_room() -> Problem:
    """What stays free on the disk would not."""
    return Problem(507, "LimitError", "there is no room on the service's disk; try again later")


def unknown(what: str) -> Problem:
    """There is nothing of that name."""
    return Problem(404, "NotFoundError", what)
