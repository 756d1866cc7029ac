"""Energy while a model is trained, held against profiles of the same weights and a training without a monitor."""

import csv
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import msvit
from msvit_energy import EnergyError, EnergyMonitor, Profile, price, profile

IMAGES = torch.rand(3, 1, 12, 12, generator=torch.Generator().manual_seed(1))
LABELS = torch.tensor([1, 2, 3])


def trained(model: nn.Module, steps: int, monitor: EnergyMonitor | None = None) -> tuple[dict[str, Tensor], Tensor]:
    """The weights after some steps on random images, and the next random number."""
    torch.manual_seed(7)
    model.train()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for _ in range(steps):
        loss = nn.functional.cross_entropy(model(torch.rand(4, 1, 12, 12)), torch.randint(10, (4,)))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if monitor is not None:
            monitor.step()
        assert model.training
    return {name: value.clone() for name, value in model.state_dict().items()}, torch.rand(1)


@pytest.mark.slow
def test_training_goes_on_as_without_and_every_other_step_is_measured() -> None:
    torch.manual_seed(0)
    model = msvit.create_model("msvit_digits")
    other = deepcopy(model)
    logged: list[dict[str, float]] = []
    with EnergyMonitor(model, [(IMAGES, LABELS)], every=2, log=logged.append, protocol="exact") as monitor:
        weights, after = trained(model, 4, monitor)
        assert [facts["step"] for facts in logged] == [1, 3]
    assert [facts["step"] for facts in monitor.history] == [1, 3, 4]
    assert logged == monitor.history
    expected, expected_after = trained(other, 4)
    assert all(torch.equal(weights[name], expected[name]) for name in expected)
    assert torch.equal(after, expected_after)
    measured = profile(model, [(IMAGES, LABELS)])
    priced = price(measured, "exact")
    assert priced.interval_mj is not None
    assert monitor.history[-1] == {
        "step": 4,
        "energy_mj": priced.total_mj,
        "energy_mj_low": priced.interval_mj[0],
        "energy_mj_high": priced.interval_mj[1],
        "firing_rate": measured.firing_rate,
        "sops": priced.acs,
        "macs": priced.macs,
        "accuracy": measured.accuracy,
    }
    assert isinstance(monitor.profile, Profile)


def test_nothing_is_measured_after_an_error_or_a_second_time() -> None:
    model = nn.Sequential(nn.Flatten(), nn.Linear(144, 10))
    with pytest.raises(ZeroDivisionError), EnergyMonitor(model, [IMAGES], every=2) as monitor:
        monitor.step()
        monitor.step()
        raise ZeroDivisionError
    assert [facts["step"] for facts in monitor.history] == [1]
    with EnergyMonitor(model, [IMAGES]) as monitor:
        assert monitor.step() is not None
    assert len(monitor.history) == 1
    assert "firing_rate" not in monitor.history[0]


@pytest.mark.parametrize(
    ("batches", "every", "message"),
    [([IMAGES], 0, "at least 1, not 0"), (iter([IMAGES]), 1, "can be gone through once only")],
)
def test_what_cannot_be_monitored_is_said(batches: Any, every: int, message: str) -> None:
    with pytest.raises(EnergyError, match=message):
        EnergyMonitor(nn.Linear(2, 2), batches, every=every)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # of Lightning, about loaders and loggers
def test_lightning_logs_what_the_monitor_measures(tmp_path: Any) -> None:
    from lightning.pytorch import LightningModule, Trainer
    from lightning.pytorch.loggers import CSVLogger
    from torch.utils.data import DataLoader, TensorDataset

    from msvit_energy.lightning import EnergyCallback

    class Task(LightningModule):
        def __init__(self) -> None:
            super().__init__()
            torch.manual_seed(0)
            self.net = msvit.create_model("msvit_digits")

        def training_step(self, batch: Any, index: int) -> Tensor:
            images, labels = batch
            return nn.functional.cross_entropy(self.net(images), labels)

        def configure_optimizers(self) -> torch.optim.Optimizer:
            return torch.optim.SGD(self.parameters(), lr=0.1)

    callback = EnergyCallback([IMAGES], every=2, model="net")
    loader = DataLoader(TensorDataset(torch.rand(8, 1, 12, 12), torch.arange(8)), batch_size=2)
    logger = CSVLogger(tmp_path)
    trainer = Trainer(
        max_epochs=1, accelerator="cpu", callbacks=[callback], logger=logger, log_every_n_steps=1,
        enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False,
    )  # fmt: skip
    task = Task()
    trainer.fit(task, loader)
    assert callback.monitor is not None
    assert [facts["step"] for facts in callback.monitor.history] == [1, 3]
    rows = csv.DictReader((Path(logger.log_dir) / "metrics.csv").read_text().splitlines())
    logged = [float(row["energy/energy_mj"]) for row in rows if row["energy/energy_mj"]]
    assert logged == pytest.approx([facts["energy_mj"] for facts in callback.monitor.history], rel=1e-6)
