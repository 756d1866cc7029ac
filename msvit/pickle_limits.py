"""Limits that a pickle must keep before it is opened, read off its instructions without running any.

A few hundred bytes can name a tuple of 2^50 parts, which are visited one by one where it is a key, and one byte makes
an object of a hundred. Neither is in any file that training wrote.
"""

import pickletools
from typing import BinaryIO, cast

from msvit.errors import ModelError

MOST_BYTES = 16 * 2**20
MOST_CONTAINERS = 500_000
MOST_CALLS = 200_000  # tensors, their storages and dictionaries
MOST_PARTS = 1_000_000  # of one tuple, those of tuples in it included, each as often as it occurs
DEEPEST = 100  # tuple in tuple

Size = tuple[int, int]  # parts and levels of a tuple
PLAIN = (1, 0)  # of all else
CALLS = ("REDUCE", "NEWOBJ", "BINPERSID")
CONTAINERS = ("MARK", "EMPTY_LIST", "EMPTY_DICT", "EMPTY_SET", "EMPTY_TUPLE", "TUPLE", "TUPLE1", "TUPLE2", "TUPLE3")


def check_pickle(file: BinaryIO) -> None:
    """Read one pickle, from where the file is to its end; ModelError if it breaks a limit, other errors if it is
    none."""
    stack: list[Size] = []
    marks: list[int] = []
    memo: dict[int, Size] = {}
    containers = calls = 0
    start = file.tell()
    for code, argument, _ in pickletools.genops(file):
        containers += code.name in CONTAINERS
        calls += code.name in CALLS
        if containers > MOST_CONTAINERS or calls > MOST_CALLS:
            raise ModelError(f"its pickle makes more than {MOST_CONTAINERS} containers or {MOST_CALLS} other objects")
        if file.tell() - start > MOST_BYTES:
            raise ModelError(f"its pickle is larger than {MOST_BYTES // 2**20} MiB")
        if code.name == "MARK":
            marks.append(len(stack))
        elif code.name in ("BINPUT", "LONG_BINPUT"):
            memo[cast(int, argument)] = stack[-1]
        elif code.name in ("BINGET", "LONG_BINGET"):
            stack.append(memo[cast(int, argument)])
        else:
            _run(code, stack, marks)


def _run(code: pickletools.OpcodeInfo, stack: list[Size], marks: list[int]) -> None:
    """Take from the stack what an instruction takes, and put there the size of what it leaves."""
    before = code.stack_before
    if pickletools.markobject in before:
        first = marks.pop() - before.index(pickletools.markobject)
    else:
        first = len(stack) - len(before)
    if first < 0:
        raise ModelError("its pickle is damaged")
    taken, left = stack[first:], PLAIN
    del stack[first:]
    if code.name in CONTAINERS or code.name in CALLS:
        left = 1 + sum(parts for parts, _ in taken), 1 + max((levels for _, levels in taken), default=0)
        if left[0] > MOST_PARTS or left[1] > DEEPEST:
            raise ModelError(f"its pickle has a tuple of more than {MOST_PARTS} parts or {DEEPEST} levels")
    stack += [left] * len(code.stack_after)
