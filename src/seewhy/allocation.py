"""What the C library does with freed memory, in a process that is seewhy's own."""

import ctypes
import os

TRIM_THRESHOLD, MMAP_MAX, ARENA_MAX = -1, -4, -8
"""Parameters of glibc's mallopt."""
MOST = 2**31 - 4096
"""Bytes of freed memory that are kept at the end of the heap."""
_kept = False


def keep_freed_memory() -> None:
    """Let this process keep the memory that a pass frees, for the next pass.

    glibc hands blocks of more than 32 MiB back to the system as soon as they are freed, and in threads smaller ones
    too; every page of the next pass is then fetched and cleared anew. A forward pass of 32 images takes twice as long
    so, one of 8 images a third longer. It concerns the whole process, so it is for programs, such as the command line,
    and not for a library in somebody's own; without glibc nothing is done.
    """
    global _kept
    try:
        is_glibc = (os.confstr("CS_GNU_LIBC_VERSION") or "").startswith("glibc")
    except (AttributeError, OSError, ValueError):  # another C library, another system
        is_glibc = False
    if is_glibc:
        mallopt = ctypes.CDLL(None).mallopt
        _kept = all([mallopt(ARENA_MAX, 1), mallopt(MMAP_MAX, 0), mallopt(TRIM_THRESHOLD, MOST)])


def is_kept() -> bool:
    """Does this process keep freed memory?"""
    return _kept
