"""Work that overlaps: each stage in a thread of its own, a few items ahead of the next one."""

import queue
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

Item = TypeVar("Item")
Done = TypeVar("Done")
_END = object()
_LOOK_SECONDS = 0.1  # how often a waiting stage sees whether it is still wanted


@dataclass(frozen=True)
class _Failed:
    error: BaseException


def ahead(items: Iterable[Item], most: int, name: str) -> Generator[Item, None, None]:
    """The same items, made in a thread of its own, at most so many ahead.

    What fails there is raised here, in its turn. A consumer that stops early (or is stopped) ends the thread; the
    library calls that it is in are let finish first.
    """
    waiting: queue.Queue[object] = queue.Queue(most)
    stop = threading.Event()

    def put(item: object) -> bool:
        while not stop.is_set():
            try:
                waiting.put(item, timeout=_LOOK_SECONDS)
            except queue.Full:
                continue
            return True
        return False

    def work() -> None:
        try:
            iterator = iter(items)
            try:
                for item in iterator:
                    if not put(item):
                        return
            finally:
                if isinstance(iterator, Generator):
                    iterator.close()
        except BaseException as error:  # noqa: BLE001  (raised again by the consumer)
            put(_Failed(error))
        else:
            put(_END)

    thread = threading.Thread(target=work, name=f"upbrush {name}", daemon=True)
    thread.start()
    try:
        while (item := waiting.get()) is not _END:
            if isinstance(item, _Failed):
                raise item.error
            yield item  # type: ignore[misc]
    finally:
        stop.set()
        thread.join()


def side_by_side(
    work: Callable[[Item], Done], items: Iterable[Item], hands: int, name: str
) -> Generator[Done, None, None]:
    """The items worked on, so many at once, in their order; two more wait, so that no hand does.

    What fails is raised in its turn. A consumer that stops early lets finish what has begun.
    """
    if hands == 1:
        yield from map(work, items)
        return
    waiting: deque[Future[Done]] = deque()
    with ThreadPoolExecutor(hands, f"upbrush {name}") as crew:
        try:
            for item in items:
                waiting.append(crew.submit(work, item))
                if len(waiting) > hands + 1:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for one in waiting:
                one.cancel()
