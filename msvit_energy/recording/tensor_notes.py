"""What is known of tensors as long as these live."""

from typing import Generic, TypeVar

from torch import Tensor
from torch.utils.weak import WeakIdRef

Note = TypeVar("Note")


class TensorNotes(Generic[Note]):
    """One note for each tensor object, which is not kept alive. Of torch's own such dictionary this is the part that a
    forward needs, in a fraction of the time: notes of dead tensors stay until the end."""

    def __init__(self) -> None:
        self._known: dict[int, tuple[WeakIdRef, Note]] = {}

    def __setitem__(self, tensor: Tensor, note: Note) -> None:
        self._known[id(tensor)] = WeakIdRef(tensor), note

    def get(self, tensor: Tensor, default: Note) -> Note:
        """The note of a tensor."""
        known = self._known.get(id(tensor))
        return default if known is None or known[0]() is not tensor else known[1]
