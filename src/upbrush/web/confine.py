"""Bounds for a process that opens files of strangers: no files written, no dumps, only so much memory."""

import sys


def confine(most_bytes: int | None) -> None:
    """Take from this process what decoding and painting never need; Windows knows no such limits.

    most_bytes: of address space, None for all there is.
    """
    if sys.platform == "win32":
        return
    import resource

    wanted = {resource.RLIMIT_CORE: 0, resource.RLIMIT_FSIZE: 0}
    if most_bytes is not None:
        wanted[resource.RLIMIT_AS] = most_bytes
    for kind, most in wanted.items():
        hard = resource.getrlimit(kind)[1]
        most = most if hard == resource.RLIM_INFINITY else min(most, hard)
        resource.setrlimit(kind, (most, most))
