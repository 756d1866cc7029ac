"""The images that one process measures, in whole batches: on from where it was stopped, halved if memory is short."""

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

import torch
from torch import nn
from torch.utils.data import Dataset

import msvit_energy
from msvit.data.loading import loader
from msvit.data.readable import Readable, Unreadable, check_still_there, joined, readable_batches
from msvit.errors import ModelError
from msvit.machine_faults import is_out_of_memory
from msvit_energy import Profile
from msvit_energy.recording.model_parameters import parameters_of
from msvit_energy.workflows.measuring.measurement_state import MeasurementState


@dataclass(frozen=True)
class ImageShare:
    """The images of `dataset` at `positions`, loaded by `workers` processes (None: some for a GPU, none where they
    would compete). With `skip`, those that cannot be read are left out and noted in the state; without, the first is an
    error. `options` go to `msvit_energy.profile`."""

    model: nn.Module
    dataset: Dataset[Any]
    positions: Sequence[int]
    workers: int | None
    state: MeasurementState
    skip: bool
    options: Mapping[str, Any]

    def measured(self, batch_size: int) -> list[tuple[Profile, list[int], int]]:
        """Their profile, the positions of what it is of, and the size of the batches, which is halved once if memory
        does not hold the first of them; nothing if none can be read. ModelError if that does not help, with what would
        fit."""
        size = self.state.batch_size or batch_size
        halves = max(1, size // 2)
        for tried in dict.fromkeys((size, halves)):
            self.state.batch_size = tried
            if tried != size:
                self.state.note(f"out of memory with batches of {size} images: measured in batches of {tried}")
            try:
                return self._of(self._profile(tried), tried)
            except Exception as error:
                if self.state.counted or not is_out_of_memory(error):
                    raise
            self._clean_up()
        fits = next((n for n in _halved(halves) if self._fits(n)), None)
        smaller = "not even a single image fits" if fits is None else f"--batch-size {fits} fits"
        raise ModelError(
            f"out of memory with batches of {' and of '.join(map(str, dict.fromkeys((size, halves))))}; {smaller}"
        )

    def _of(self, profile: Profile | None, size: int) -> list[tuple[Profile, list[int], int]]:
        if profile is None:
            return []
        done = self.positions[: profile.images + len(self.state.unread)]
        return [(profile, [position for position in done if position not in self.state.unread], size)]

    def _profile(self, size: int) -> Profile | None:
        """The profile; None where nothing can be read."""
        earlier, unread = self.state.earlier, self.state.unread
        done = 0 if earlier is None else earlier.images + len(unread)
        batches = [self.positions[start : start + size] for start in range(0, len(self.positions), size)]
        # the first that was measured runs again, to show how the model runs
        first = [batch for batch in batches if not unread.keys() >= set(batch)][:1] if done else []
        rest = batches[done // size :] if done < len(self.positions) else []
        lemaire = self.options.get("lemaire", 0)
        options = {**self.options, "lemaire": min(lemaire, sum(position < lemaire for position in self.positions))}
        every = self._batches([*first, *rest])
        if (begun := next(every, None)) is None:
            return None
        every, after = chain([begun], every), self.state.after_batch
        return msvit_energy.profile(self.model, every, earlier=earlier, after_batch=after, **options)

    def _batches(self, batches: Sequence[Sequence[int]]) -> Iterator[tuple[Any, ...]]:
        on_gpu = next(parameters_of(self.model), torch.empty(0)).is_cuda
        some = min(8, os.cpu_count() or 1) if on_gpu else 0
        workers = some if self.workers is None else self.workers
        samples = Readable(self.dataset) if self.skip else self.dataset
        loaded = loader(samples, [*map(list, batches)], workers=workers, pinned=on_gpu, collate=joined)
        return readable_batches(loaded, self.state.unread, self._check_still_there)

    def _check_still_there(self, lost: Unreadable) -> None:
        """UnreadableFileError if the data have gone away under the run."""
        before = self.positions[: self.positions.index(lost.position)]
        known = next((position for position in before if position not in self.state.unread), None)
        if known is not None:
            check_still_there(self.dataset, known, lost)

    def _fits(self, images: int) -> bool:
        """Whether memory holds a measurement of so many images at once."""
        try:
            msvit_energy.profile(self.model, self._batches([self.positions[:images]]))
        except Exception as error:
            if not is_out_of_memory(error):
                raise
        else:
            return True
        self._clean_up()
        return False

    def _clean_up(self) -> None:
        """Forget what a forward left that was not finished."""
        if (maps := self.options.get("maps")) is not None:
            maps.take_over({})
        torch.cuda.empty_cache()


def _halved(size: int) -> Iterator[int]:
    """Half of it, half of that, and so on to 1."""
    while size > 1:
        size //= 2
        yield size
