"""Whether a forward writes to the weights of a model, which are too large to copy."""

from collections.abc import Iterable

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from msvit_energy.errors import EnergyError

WORD = 8  # bytes


class WeightWrites:
    """The parameters of some modules of a model, which forwards should leave as the first one left them: it may round
    them or make them binary, as every later one does again.

    Where their version or their place in memory is another, and at the end of a measurement in any case, a checksum
    says whether the values are.
    """

    def __init__(self, model: nn.Module, modules: Iterable[nn.Module]) -> None:
        names = {id(weights): name for name, weights in model.named_parameters()}
        self._weights = {
            id(weights): (weights, names.get(id(weights), f"{type(module).__name__}.{name}"))
            for module in modules
            for name, weights in module._parameters.items()
            if weights is not None and not is_lazy(weights) and not weights.is_meta
        }
        self._marks: dict[int, tuple[int, int]] = {}
        self._sums: dict[int, int | str] = {}

    def __contains__(self, value: object) -> bool:
        return id(value) in self._weights

    def check_written(self) -> None:
        """After every forward: EnergyError if torch noted a write, and the values are others."""
        if not self._sums:
            self._marks = {key: mark(weights) for key, (weights, _) in self._weights.items()}
            self._sums = {key: checksum(weights) for key, (weights, _) in self._weights.items()}
        self._check([key for key, (weights, _) in self._weights.items() if mark(weights) != self._marks[key]])

    @property
    def sums(self) -> tuple[int | str, ...]:
        """Checksums of all, as the first forward left them."""
        return tuple(self._sums.values())

    def check(self) -> None:
        """EnergyError if the values are others, however they were written."""
        self._check(self._sums)

    def _check(self, keys: Iterable[int]) -> None:
        for key in keys:
            weights, name = self._weights[key]
            if checksum(weights) != self._sums[key]:
                raise EnergyError(
                    f"the forward writes to the parameter {name}, so that no batch starts as the one before; keep the "
                    "state in a buffer, or pass reset=, a callable that puts it back, to msvit_energy.profile"
                )


def mark(weights: Tensor) -> tuple[int, int]:
    """Another one after every write that torch notes."""
    return 0 if weights.is_inference() else weights._version, weights.data_ptr()


def checksum(weights: Tensor) -> int | str:
    """Of the values: the sum of their bits, read as whole numbers of 64 bits; of what has none in a row that of the
    values, as text, in which NaN is equal to itself."""
    if weights.layout != torch.strided or weights.is_mps:
        return repr(weights.detach().sum().item())
    return int(words_of(weights.detach()).sum())


def words_of(values: Tensor) -> Tensor:
    """The bits of a tensor as whole numbers of 64 bits, in one line; bytes that are left over are one each."""
    flat = values.contiguous().view(-1)
    if flat.nbytes % WORD == 0 and flat.storage_offset() * flat.itemsize % WORD == 0:
        return flat.view(torch.int64)
    line = flat.view(torch.uint8)
    line = line.clone() if line.storage_offset() % WORD else line
    whole = len(line) // WORD * WORD
    words = line[:whole].view(torch.int64)
    return torch.cat((words, line[whole:].long())) if whole < len(line) else words
