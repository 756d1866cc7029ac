"""Memory between steps of training and between batches."""

import ctypes
import platform

MMAP_MAX, TRIM_THRESHOLD = -4, -1  # of mallopt(3)


def keep_memory() -> bool:
    """Let memory that a step or batch has freed stay with this process for the next one, instead of being returned to
    the system and cleared again page by page. With glibc only; returns whether. The process may hold more in total."""
    if platform.libc_ver()[0] != "glibc":
        return False
    libc = ctypes.CDLL(None)
    return bool(libc.mallopt(MMAP_MAX, 0) and libc.mallopt(TRIM_THRESHOLD, 2**31 - 1))
