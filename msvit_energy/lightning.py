"""Energy while Lightning trains: a callback that logs what an EnergyMonitor measures. Needs the extra `lightning`."""

from collections.abc import Iterable
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer
from torch import nn

from msvit_energy.monitor import EnergyMonitor


class EnergyCallback(Callback):
    """Measures after every so many training steps on `batches`, and logs under `energy/`.

    `model` is the part of the LightningModule that is measured, by attribute; empty is all of it. Further options are
    those of EnergyMonitor.
    """

    def __init__(self, batches: Iterable[Any], *, every: int = 100, model: str = "", **options: Any) -> None:
        self._batches, self._every, self._model, self._options = batches, every, model, options
        self.monitor: EnergyMonitor | None = None

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Choose what is measured."""
        measured: nn.Module = pl_module.get_submodule(self._model)
        self.monitor = EnergyMonitor(measured, self._batches, every=self._every, **self._options)

    def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, *_: Any) -> None:
        """Count a step, on the first process; log what was measured."""
        if self.monitor is not None and trainer.is_global_zero and (facts := self.monitor.step()) is not None:
            named = {f"energy/{name}": value for name, value in facts.items() if name != "step"}
            pl_module.log_dict(named, logger=False, rank_zero_only=True)  # for other callbacks
            for logger in trainer.loggers:  # Lightning itself would log it again in the steps to come
                logger.log_metrics(named, step=trainer.global_step)
