"""A measurement is gone on with where images cannot be read: alone or whole batches, before and after the stop."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import Dataset

from msvit.errors import UnreadableFileError
from msvit_energy import EnergyError
from msvit_energy.recording.earlier_counts import EarlierCounts
from msvit_energy.workflows.measuring.measurement import Together, profile_together
from msvit_energy.workflows.measuring.measurement_state import MeasurementState

IMAGES, SIZE = 14, 2
VALUES = torch.rand(IMAGES, 1, 4, 4, generator=torch.Generator().manual_seed(2))


class Fires(nn.Module):
    """Spikes where the image is bright."""

    def forward(self, x: Tensor) -> Tensor:
        return (x > 0.6).float()


def network() -> nn.Module:
    """The same one every time."""
    torch.manual_seed(0)
    return nn.Sequential(Fires(), nn.Conv2d(1, 3, 3, padding=1), Fires(), nn.Flatten(), nn.Linear(48, 10))


class Images(Dataset[Any]):
    """Images of which some cannot be read."""

    def __init__(self, broken: set[int]) -> None:
        self.broken = broken

    def __len__(self) -> int:
        return IMAGES

    def __getitem__(self, position: int) -> Any:
        if position in self.broken:
            raise UnreadableFileError(f"{position}.png is damaged", f"{position}.png", "damaged")
        return VALUES[position], position % 10


class StopsAfter(MeasurementState):
    """A state of a process that is stopped after so many measured batches, which it writes."""

    def __init__(self, folder: Path, batches: int) -> None:
        super().__init__(folder, stoppable=False)
        self._left = batches

    @property
    def stopped(self) -> bool:
        return self._left <= 0

    def after_batch(self, counts: Callable[[], EarlierCounts]) -> bool:
        self._left -= 1
        return super().after_batch(counts)


def measured(broken: set[int], state: MeasurementState | None = None) -> Together:
    if state is not None:
        state.begin({"images": "these"}, SIZE)
    options = {"time_steps": 1, "neurons": Fires}
    return profile_together(network(), Images(broken), SIZE, state=state, skip=True, **options)


@pytest.mark.parametrize(
    "broken",
    [{3}, {0, 1}, {0, 1, 2, 3, 9}, {5, 6, 7, 13}, {4, 5, 12, 13}],
    ids=lambda broken: f"without {sorted(broken)}",
)
def test_it_ends_with_the_profile_of_an_uninterrupted_one(broken: set[int], tmp_path: Path) -> None:
    whole = measured(broken)
    readable = [position for position in range(IMAGES) if position not in broken]
    assert whole.profile.firing_rate is not None
    assert whole.profile.firing_rate > 0.05
    assert (whole.positions, {each.position for each in whole.skipped}) == (readable, broken)
    full_batches = {position // SIZE for position in readable}
    for done in range(1, len(full_batches)):
        stopped = measured(broken, StopsAfter(tmp_path, done))
        consumed = sorted(full_batches)[done - 1] * SIZE + SIZE
        assert stopped.positions == [position for position in readable if position < consumed]
        assert stopped.stopped
        resumed = measured(broken, MeasurementState(tmp_path, resume=True, stoppable=False))
        assert resumed == whole


def test_nothing_that_can_be_read_is_one_line_and_the_first_file_is_an_error_where_none_may_be_left_out() -> None:
    with pytest.raises(EnergyError, match=r"none of 14 images can be read; 0.png: damaged"):
        measured(set(range(IMAGES)))
    with pytest.raises(UnreadableFileError, match=r"3.png is damaged"):
        profile_together(network(), Images({3}), SIZE, time_steps=1)
