"""What can go wrong, by name.

UpbrushError                  anything a user can mend; the command line prints it in one line and exits with 2
├── PictureError              a picture that cannot be read, painted or written
├── ClipError                 a clip that cannot be read, painted or written
├── StyleError                a style that cannot be found, read or used with this model
├── WeightsError              a model or checkpoint that is missing, damaged or of another shape
├── ConfigError               a setting, recipe or option out of its range
├── DataError                 pictures to train on or to measure, or a study, missing or unusable
└── OutOfMemoryError          the memory budget is too small for even one tile

A message says what was found, what was expected and what to do, in one line.
"""


class UpbrushError(Exception):
    """Anything that a user can mend."""


class PictureError(UpbrushError):
    """A picture that cannot be read, painted or written."""


class ClipError(UpbrushError):
    """A clip that cannot be read, painted or written."""


class StyleError(UpbrushError):
    """A style that cannot be found, read or used with this model."""


class WeightsError(UpbrushError):
    """A model or checkpoint that is missing, damaged or of another shape."""


class ConfigError(UpbrushError):
    """A setting, recipe or option out of its range."""


class DataError(UpbrushError):
    """Pictures to train on or to measure, or a study of people's judgement, that are missing or unusable."""


class OutOfMemoryError(UpbrushError):
    """The memory budget is too small for even one tile."""
