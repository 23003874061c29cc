"""Where a new shot begins, frame by frame, with no look ahead; pure.

A cut changes what is where, all at once. So frames are compared small, with brightness and contrast set aside (a flash
or a fade changes nothing else), each part with the likest within reach (what moves is still there), and a cut is a
difference far above those just before. Flat frames, such as black between two scenes, are passed over: what comes
behind them is compared with what was before.
"""

from collections import deque

import cv2
import numpy as np

ROWS, COLUMNS = 36, 64  # frames are compared at this size
REACH_PX = 2  # of that size: how far a part may move from one frame to the next
FLAT = 5.0  # grey levels: a frame that deviates less from its mean shows nothing
CONTRAST = 45.0  # grey levels: the deviation that frames are brought to
LEAST = 0.07  # mean difference, 1 is black to white, below which nothing is a cut
TIMES = 2.4  # a cut differs by so many times the most of the three changes before


class Shots:
    """Finds the cuts of one clip.

    What it says of a frame depends on that and on the MEMORY frames before it: another one that is fed with those goes
    on from there. (But for a flat stretch longer than that, behind which a new shot is said to begin.)
    """

    MEMORY = 24

    def __init__(self) -> None:
        self._before: np.ndarray | None = None
        self._changes: deque[float] = deque(maxlen=3)
        self._flat = 0  # frames since the last that showed something

    def next(self, frame: np.ndarray) -> bool:
        """Does a new shot begin with this frame? It does with the first of all. frame: (H, W, 3) uint8."""
        seen = _seen(frame)
        if seen is None:
            self._flat += 1
            first = self._flat == 1 and self._before is None and not self._changes
            self._changes.append(0.0)
            if self._flat >= self.MEMORY - len(self._changes):
                self._before = None  # so long ago that a resumed run would not know it
            return first
        before, self._before, self._flat = self._before, seen, 0
        if before is None:
            self._changes.append(0.0)
            return True
        most = max(self._changes, default=0.0)
        change = _change(before, seen)
        self._changes.append(change)
        return change > max(LEAST, TIMES * most)


def _seen(frame: np.ndarray) -> np.ndarray | None:
    """A frame as it is compared, (ROWS, COLUMNS, 3) float32; None for one that shows nothing."""
    small: np.ndarray = cv2.resize(frame, (COLUMNS, ROWS), interpolation=cv2.INTER_AREA).astype(np.float32)
    small = cv2.GaussianBlur(small, (0, 0), 1.0)  # against grain, of which large frames have little left
    small -= small.mean()
    deviation = float(np.sqrt((small**2).mean()))
    return None if deviation < FLAT else small * np.float32(CONTRAST / deviation)


def _change(before: np.ndarray, now: np.ndarray) -> float:
    """How much the parts of a frame differ, each from the likest within REACH_PX: about 0…1."""
    still = float(np.abs(before - now).mean()) / 255
    if still < LEAST / 4:  # the rest could only find less
        return still
    edge = ((REACH_PX, REACH_PX), (REACH_PX, REACH_PX), (0, 0))
    padded = np.pad(before, edge, mode="edge")
    least = np.full((ROWS, COLUMNS), np.inf, np.float32)
    for down in range(2 * REACH_PX + 1):
        for across in range(2 * REACH_PX + 1):
            apart = np.abs(padded[down : down + ROWS, across : across + COLUMNS] - now).mean(2)
            np.minimum(least, cv2.blur(apart, (5, 5)), out=least)
    return float(least.mean()) / 255
