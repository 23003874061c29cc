"""Bounds for a process that opens files of strangers: nothing written, or not too much; no dumps, so much memory."""

import sys


def confine(most_bytes: int | None, file_bytes: int = 0) -> None:
    """Take from this process what decoding and painting never need; Windows knows no such limits.

    most_bytes: of address space, None for all there is. file_bytes: of each file that it writes.
    """
    if sys.platform == "win32":
        return
    import resource

    wanted = {resource.RLIMIT_CORE: 0, resource.RLIMIT_FSIZE: file_bytes}
    if most_bytes is not None:
        wanted[resource.RLIMIT_AS] = most_bytes
    for kind, most in wanted.items():
        hard = resource.getrlimit(kind)[1]
        most = most if hard == resource.RLIM_INFINITY else min(most, hard)
        resource.setrlimit(kind, (most, most))
