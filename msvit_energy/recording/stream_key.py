"""Names of the streams of values that are counted."""

from typing import NamedTuple

INPUT, OUTPUT = "input", "output"


class StreamKey(NamedTuple):
    """A stream: an input of an operator or mask, by position, or the output of a neuron layer."""

    layer: str
    role: str  # INPUT or OUTPUT
    position: int = 0

    def __str__(self) -> str:
        """For messages; of an input also how a profile names the operand."""
        return f"{self.layer}#{self.position}" if self.role == INPUT else f"{self.layer} ({self.role})"
