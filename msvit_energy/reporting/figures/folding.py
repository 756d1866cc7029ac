"""Rows of a long network: the same layer of repeated blocks is one row, and silent layers are one row together."""

import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from msvit_energy.reporting.figures.layers import Row
from msvit_energy.reporting.figures.style import TALL

NUMBER = re.compile(r"\.(\d+)(?=\.)")  # between two dots: of a block, if there are several

LEAST_FILLED = 0.15  # of rows x blocks


@dataclass(frozen=True)
class Fold:
    """A row, and which layers it is about: (place on the axis of blocks, index of the layer), or silent ones."""

    row: Row
    members: tuple[tuple[int, int], ...]
    silent: bool = False

    @property
    def layers(self) -> list[int]:
        """The indices of the layers."""
        return [index for _, index in self.members]


@dataclass(frozen=True)
class Folding:
    """All rows, and the numbers of the blocks on the axis; none where each layer has a row of its own."""

    rows: tuple[Fold, ...]
    blocks: tuple[int, ...] = ()

    @property
    def dense(self) -> bool:
        """Whether most rows have a layer in many blocks, so that they are blocks that repeat."""
        layers = sum(len(fold.members) for fold in self.rows)
        return layers >= LEAST_FILLED * len(self.rows) * len(self.blocks)

    def line(self) -> list[str]:
        """What a reader must know of the rows, if anything."""
        if not self.blocks:
            return []
        return [f"*: the same layer of several blocks, numbered {self.blocks[0]} to {self.blocks[-1]}"]


def folded(layers: Sequence[Row], silent: Sequence[bool], every_layer: bool, word: str = "silent") -> Folding:
    """Rows of `layers` in their order. Two or more `silent` ones are a single row, the last. Where that is still more
    than fits a page, rows fold over the blocks, and those all of whose layers are silent are the last one. Nothing of
    that with `every_layer`."""
    single = Folding(tuple(Fold(row, ((0, index),)) for index, row in enumerate(layers)))
    if every_layer:
        return single
    short = _joined(single, silent, word)
    if len(short.rows) <= TALL:
        return short
    options = [_joined(option, silent, word) for option in (_over(layers, place) for place in range(3)) if option.dense]
    return min([short, *options], key=lambda option: len(option.rows))


def _joined(folding: Folding, silent: Sequence[bool], word: str) -> Folding:
    """Silent rows as one, if they have several layers."""
    quiet = [fold for fold in folding.rows if all(silent[index] for index in fold.layers)]
    members = tuple(member for fold in quiet for member in fold.members)
    if len(members) < 2:
        return folding
    last = Fold(Row("", f"{len(members)} {word} layers"), members, silent=True)
    return Folding((*(fold for fold in folding.rows if fold not in quiet), last), folding.blocks)


def _over(layers: Sequence[Row], place: int) -> Folding:
    """Rows that are equal but for the number at that place in their names, counted from 0."""
    groups: dict[Row, list[tuple[int, int]]] = defaultdict(list)
    for index, row in enumerate(layers):
        numbers = list(NUMBER.finditer(row.layer))
        if place < len(numbers):
            start, end = numbers[place].span(1)
            groups[Row(row.stage, f"{row.layer[:start]}*{row.layer[end:]}")].append((int(row.layer[start:end]), index))
        else:
            groups[row].append((-1, index))
    blocks = sorted({number for members in groups.values() if len(members) > 1 for number, _ in members})
    rows = []
    for row, members in groups.items():
        if len(members) == 1:
            number, index = members[0]
            rows.append(Fold(layers[index], ((blocks.index(number) if number in blocks else 0, index),)))
        else:
            rows.append(Fold(row, tuple((blocks.index(number), index) for number, index in members)))
    return Folding(tuple(rows), tuple(blocks))
