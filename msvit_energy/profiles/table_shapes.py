"""Sizes of layers in a table: what memory depends on, beside operations and rates."""

import re
from collections.abc import Callable

from msvit_energy.errors import EnergyError
from msvit_energy.profiles.layer_shape import LayerShape

COLUMNS = {  # of one run; all three or none in a row
    "inputs": ("inputs", "input_elements"),
    "outputs": ("outputs", "output_elements"),
    "weights": ("weights", "parameters", "params"),
}
OF_CONVOLUTIONS = {
    "kernel": ("kernel", "kernel_size", "taps"),
    "stride": ("stride", "strides"),
    "groups": ("groups",),
}


def shape_of_row(
    whole: Callable[[str], int | None], text: Callable[[str], str], macs: int | None, runs: int, where: str
) -> tuple[LayerShape | None, int]:
    """The sizes of a row, and its inputs in one run (1 where the table does not have them); EnergyError where sizes do
    not fit each other. Output channels follow from the others: each output takes MACs / outputs weights."""
    found = {name: whole(name) for name in COLUMNS}
    given = [name for name, value in found.items() if value is not None]
    inputs, outputs, weights = found.values()
    if inputs is None or outputs is None or weights is None:
        if given:
            raise EnergyError(f"{where}: inputs, outputs and weights go together; only {', '.join(given)} is given")
        return None, 1
    if not (inputs and outputs and macs):
        raise EnergyError(f"{where}: a layer with sizes has operations, inputs and outputs of at least 1")
    groups = whole("groups") or 1
    channels = weights * outputs / macs / groups
    if channels != int(channels):
        raise EnergyError(
            f"{where}: {weights} weights and {outputs} outputs do not make {macs} operations: each output takes "
            f"operations / outputs = {macs / outputs:g} weights"
        )
    taps = _axes(text("kernel"), "kernel", where)
    stride = _axes(text("stride"), "stride", where) or ((1,) * len(taps))
    if len(stride) == 1:
        stride *= len(taps)
    if len(stride) != len(taps):
        raise EnergyError(f"{where}: a stride of {len(stride)} axes and a kernel of {len(taps)}")
    return LayerShape(outputs * runs, weights, int(channels), taps, stride, groups), inputs


def _axes(cell: str, name: str, where: str) -> tuple[int, ...]:
    """3x3, 3,3 or 3 as numbers; one number of a kernel is a square."""
    if not cell:
        return ()
    parts = re.split(r"\s*[x,*]\s*", cell.strip("()[] "))
    if not all(part.isascii() and part.isdigit() and 0 < int(part) < 1000 for part in parts):
        raise EnergyError(f"{where}: {name} must be numbers such as 3x3, not {cell!r}")
    numbers = tuple(map(int, parts))
    return numbers * 2 if len(numbers) == 1 and name == "kernel" else numbers
