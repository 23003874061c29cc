"""What goes between the service and its workers: JSON and bytes, never pickle.

A worker opens files of strangers, so what comes back from it is trusted no more than they are. A message is the length
of its head (4 bytes, big-endian), the head (JSON, an object), and as many bytes as its `size` says.
"""

import asyncio
import json
import struct
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any, BinaryIO

from upbrush.web.orders import Order, Part

MOST_HEAD_BYTES = 1 << 20
CHUNK_BYTES = 1 << 20
_LENGTH = struct.Struct(">I")


class BrokenLine(Exception):
    """The other side has gone."""


class Nonsense(BrokenLine):
    """The other side talks nonsense, and is not to be believed any more."""


def packed(head: dict[str, Any], data: bytes | memoryview = b"") -> bytes:
    """A message as bytes; `data` is not in it, its size is."""
    text = json.dumps({**head, "size": len(data)}).encode()
    return _LENGTH.pack(len(text)) + text


def order_head(order: Order, parts: Sequence[Part]) -> bytes:
    """The message that asks for an order; the parts' bytes are to follow in their order."""
    told = [{"role": part.role, "path": part.path, "entry": part.entry, "bytes": len(part.data)} for part in parts]
    text = json.dumps({"order": asdict(order), "parts": told, "size": sum(len(part.data) for part in parts)}).encode()
    return _LENGTH.pack(len(text)) + text


def order_of(head: dict[str, Any], data: bytes) -> tuple[Order, list[Part]]:
    """The order that a message asks for."""
    parts, start = [], 0
    view = memoryview(data)
    for told in head["parts"]:
        end = start + told["bytes"]
        parts.append(Part(told["role"], bytes(view[start:end]), told["path"], told["entry"]))
        start = end
    return Order(**head["order"]), parts


def receive(stream: BinaryIO) -> tuple[dict[str, Any], bytes] | None:
    """The next message of a stream, waited for; None at its end."""
    start = stream.read(_LENGTH.size)
    if len(start) < _LENGTH.size:
        return None
    head = json.loads(stream.read(_LENGTH.unpack(start)[0]))
    data = stream.read(head["size"])
    return (head, data) if len(data) == head["size"] else None


async def received(stream: asyncio.StreamReader, most_bytes: int) -> tuple[dict[str, Any], bytes]:
    """The next message from a worker. Raises BrokenLine at the end, Nonsense for one that is not as it should be."""
    try:
        length = _LENGTH.unpack(await stream.readexactly(_LENGTH.size))[0]
        if length > MOST_HEAD_BYTES:
            raise Nonsense(f"a head of {length} bytes")
        head = json.loads(await stream.readexactly(length))
        size = head["size"]
        if not isinstance(size, int) or not 0 <= size <= most_bytes:
            raise Nonsense(f"{size} bytes at once")
        return head, await stream.readexactly(size) if size else b""
    except (asyncio.IncompleteReadError, ConnectionError) as error:
        raise BrokenLine(f"{type(error).__name__}: {error}") from None
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise Nonsense(f"{type(error).__name__}: {error}") from None
