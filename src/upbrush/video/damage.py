"""What a clip lost on its way here: frames that it should have and that never came, and frames with faults."""

from collections import Counter

JUMP = 1.5  # of a usual step: more than that, and a frame is missing
EVEN = 0.1  # a step that differs less from the usual one is as it should be
UNEVEN_SHARE = 0.1  # of steps: with more of others, a rate is not constant and jumps mean nothing
MOST_STEPS = 1000  # different ones that are told apart: a film of a variable rate has any number


class Damage:
    """Counts while a clip is read. packets: of frames, where each is to give one; None where that is not so.

    flawed: frames that the decoder says are not whole.
    """

    def __init__(self) -> None:
        self.packets: int | None = None
        self.frames = self.flawed = 0
        self._steps: Counter[int] = Counter()
        self._last: int | None = None

    def frame(self, pts: int, flawed: bool) -> None:
        """A frame has come. pts: ticks, growing."""
        if self._last is not None:
            step = pts - self._last
            self._steps[step if step in self._steps or len(self._steps) < MOST_STEPS else 0] += 1
        self._last = pts
        self.frames += 1
        self.flawed += flawed

    @property
    def lost(self) -> int:
        """Frames that are missing before the last that came: by packets where they tell, else by jumps in time."""
        if self.packets is not None:
            return max(0, self.packets - self.frames)
        if not self._steps:
            return 0
        usual, _ = self._steps.most_common(1)[0]
        odd = sum(count for step, count in self._steps.items() if abs(step - usual) > max(1.0, EVEN * usual))
        if not usual or odd > UNEVEN_SHARE * self._steps.total():
            return 0
        return sum((round(step / usual) - 1) * count for step, count in self._steps.items() if step > JUMP * usual)
