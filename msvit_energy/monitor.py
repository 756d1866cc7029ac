"""Energy while a model is trained: a measurement on the same images every so many steps, as a plain dict."""

from collections.abc import Callable, Iterable, Mapping
from types import TracebackType
from typing import Any, Self

import torch
from torch import nn

from msvit_energy.errors import EnergyError
from msvit_energy.preparation import Preparation
from msvit_energy.pricing.energy import price
from msvit_energy.pricing.technology import Technology
from msvit_energy.profiler import profile
from msvit_energy.profiles.profile import Profile
from msvit_energy.recording.model_parameters import parameters_of
from msvit_energy.recording.state.repeatable import random_state_kept

Facts = dict[str, float]


class EnergyMonitor:
    """Measures a model on `batches` (as for `profile`; they are gone through at every measurement) every so many calls
    of `step`, and hands a dict to `log`:

        with EnergyMonitor(model, [images], every=100, log=print) as monitor:
            for batch in loader:
                train(batch)
                monitor.step()

    The dict has `step`, `energy_mj` per image, `energy_mj_low` and `energy_mj_high` (its 95 % interval, from two images
    on), `firing_rate`, `sops`, `macs` per image, and `accuracy` where the batches have labels. `history` has all of
    them, `profile` is the last profile. The first measurement is that of the first step, the last one that at the end
    of the `with` block, if steps came since.

    Training goes on as without: mode, states at rest, gradients and random numbers are as before. Further options are
    those of `profile`. EnergyError for `every` below 1, and as for `profile`.
    """

    def __init__(
        self,
        model: nn.Module,
        batches: Iterable[Any],
        *,
        every: int = 1,
        log: Callable[[Facts], object] | None = None,
        protocol: str = "appendix-c",
        technology: str | Technology = "45nm-fp32",
        **options: Any,
    ) -> None:
        if every < 1:
            raise EnergyError(f"a monitor measures every so many steps, at least 1, not {every}")
        if iter(batches) is batches:
            raise EnergyError("batches can be gone through once only; pass a list or a DataLoader")
        self._model, self._batches, self._every, self._log = model, batches, every, log
        self._protocol, self._technology = protocol, technology
        self._options: Mapping[str, Any] = {"preparation": Preparation()} | options
        self._steps, self._measured_at = 0, 0
        self.history: list[Facts] = []
        self.profile: Profile | None = None

    def step(self) -> Facts | None:
        """Count a step; what was measured, if this is one of those."""
        self._steps += 1
        return self.measure() if (self._steps - 1) % self._every == 0 else None

    def measure(self) -> Facts:
        """Measure now."""
        device = next(parameters_of(self._model), torch.empty(0)).device
        with random_state_kept(device):
            self.profile = profile(self._model, self._batches, **self._options)
        self._measured_at = self._steps
        facts = {"step": float(self._steps)} | energy_facts(self.profile, self._protocol, self._technology)
        self.history.append(facts)
        if self._log is not None:
            self._log(facts)
        return facts

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None and self._steps > self._measured_at:
            self.measure()


def energy_facts(measured: Profile, protocol: str, technology: str | Technology) -> Facts:
    """A priced profile as numbers by name; what is not known is left out."""
    report = price(measured, protocol, technology)
    low, high = report.interval_mj or (None, None)
    facts = {
        "energy_mj": report.total_mj,
        "energy_mj_low": low,
        "energy_mj_high": high,
        "firing_rate": measured.firing_rate,
        "sops": report.acs,
        "macs": report.macs,
        "accuracy": measured.accuracy,
    }
    return {name: value for name, value in facts.items() if value is not None}
