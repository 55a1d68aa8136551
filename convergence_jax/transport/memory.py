"""Gives back what only the start of a process needed."""

import ctypes
import gc

_DONTNEED = 4  # of madvise(2) on Linux


def resident_bytes() -> int:
    """How much of this process is in memory now, pages of shared libraries included."""
    with open("/proc/self/status", encoding="ascii") as file:
        return next(int(line.split()[1]) << 10 for line in file if line.startswith("VmRSS:"))


def release_startup_memory() -> None:
    """Unmap the pages of libraries that were read from their files and never written to.

    To be called once when a process has started. What runs on touches its pages again, at the price of a
    minor fault each; what only loading and starting touched is gone. Says and does nothing where the system
    refuses.

    Notes
    -----
    Linux maps 16 pages around each one touched, and gRPC and cryptography bring large libraries: about a
    quarter of a fresh node is code that will not run again. Only mappings of files without a page of their
    own (``Anonymous: 0``) are named, so that every page is read back as it was.
    """
    gc.collect()
    library = ctypes.CDLL(None)
    advise = getattr(library, "madvise", None)
    if advise is None:
        return
    advise.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)
    for start, end in _clean_mappings():
        advise(start, end - start, _DONTNEED)


def _clean_mappings() -> list[tuple[int, int]]:
    """Read-only mappings of files of which this process has changed no page."""
    found: list[tuple[int, int]] = []
    candidate: tuple[int, int] | None = None
    try:
        with open("/proc/self/smaps", encoding="utf-8", errors="replace") as file:
            for line in file:
                words = line.split()
                if not words[0].endswith(":"):  # the first line of a mapping
                    start, _, end = words[0].partition("-")
                    shared = len(words) > 5 and words[5].startswith("/") and words[1] in ("r-xp", "r--p")
                    candidate = (int(start, 16), int(end, 16)) if shared else None
                elif words[0] == "Anonymous:" and words[1] == "0" and candidate is not None:
                    found.append(candidate)
    except OSError:
        return []
    return found
