"""What a run has reached, batch by batch and epoch by epoch, and which epochs are the best."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field

from msvit.training.recipes import Recipe


@dataclass(frozen=True)
class Step:
    """A training batch that is done: the epoch and its number in it, both from 1, how many batches the epoch has,
    images in all processes together, and the loss here."""

    epoch: int
    number: int
    of: int
    images: int
    loss: float


@dataclass(frozen=True)
class Epoch:
    """What one epoch gave: mean training loss (penalty included), accuracy on the test split, seconds since the start,
    and what was measured."""

    number: int  # from 1
    loss: float
    test_accuracy: float
    seconds: float
    measured: Mapping[str, float] = field(default_factory=dict)

    def record(self) -> dict[str, float]:
        """One row of the history."""
        row = asdict(self) | dict(self.measured)
        del row["measured"]
        return row


def new_bests(recipe: Recipe, history: Sequence[Epoch], bests: Mapping[str, Epoch]) -> list[str]:
    """For which kinds of best the last epoch is one: the most accurate; the least energy within the tolerance of the
    greatest accuracy so far."""
    last, kinds = history[-1], []
    most = max(epoch.test_accuracy for epoch in history)
    if recipe.best in ("accuracy", "both"):
        old = bests.get("accuracy")
        if old is None or last.test_accuracy > old.test_accuracy:
            kinds.append("accuracy")
    energy = last.measured.get("energy_mj")
    if recipe.best in ("energy", "both") and energy is not None:
        enough = most - recipe.best_tolerance
        held = bests.get("energy")
        stale = held is None or held.test_accuracy < enough
        if last.test_accuracy >= enough and (stale or energy < held.measured["energy_mj"]):  # type: ignore[union-attr]
            kinds.append("energy")
    return kinds
