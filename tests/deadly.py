"""A painter that some pictures kill. Apart from the tests, because worker processes import it."""

import os
import signal

from upbrush.folders.easel import Materials
from upbrush.painter import Painter

DEADLY_PX = 23  # a picture of this width kills whoever paints it


class Deadly(Materials):
    """What an easel is set up with where some pictures kill."""

    def painter(self):
        return DeadlyPainter(super().painter().engine)


class DeadlyPainter(Painter):
    def paint(self, image, *rest, **knobs):
        if image.width == DEADLY_PX:
            os.kill(os.getpid(), signal.SIGKILL)
        return super().paint(image, *rest, **knobs)
