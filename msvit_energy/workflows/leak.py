"""Accuracy and energy of a checkpoint with and without the leak of the official code from sample to sample."""

from typing import Any

from torch import nn

from msvit_energy import price
from msvit_energy.errors import EnergyError
from msvit_energy.pricing.energy import PJ_PER_MJ
from msvit_energy.pricing.energy_units import energy_unit
from msvit_energy.pricing.technology import Technology
from msvit_energy.reporting.table import Column, Table
from msvit_energy.workflows.loading.model_loading import LoadedModel
from msvit_energy.workflows.measuring.measurement import DataOptions, measure
from msvit_energy.workflows.progress import Progress, no_progress


def compared(
    loaded: LoadedModel,
    options: DataOptions,
    protocol: str,
    prices: Technology,
    progress: Progress = no_progress,
) -> Table:
    """Both measurements side by side, at the batch size of `options`, on which the leak hangs.

    MSViT's and QKFormer's official code runs one neuron over time and batch as one axis (`merge_time_and_batch`), so
    that the result of a sample depends on those before it in the batch. EnergyError for a model without that neuron.
    """
    merging = [module for module in loaded.model.modules() if hasattr(module, "merge_time_and_batch")]
    if not merging:
        raise EnergyError(
            f"{loaded.provenance['model']['name']} has no neuron that the official code runs over time and batch; "
            "MSViT and QKFormer have"
        )
    records = [_measured(loaded, merging, merged, options, protocol, prices, progress) for merged in (False, True)]
    change = records[1]["energy_mj"] / records[0]["energy_mj"] - 1
    notes = [f"energy: {change:+.2%} with the leak, by {protocol}"]
    if records[0]["top1"] is not None:
        notes.append(f"accuracy: {records[1]['top1'] - records[0]['top1']:+.2f} points with the leak")
    title = f"{loaded.provenance['model']['name']}, batches of {options.batch_size}"
    unit = energy_unit(record["energy_mj"] for record in records)
    columns = {
        "neuron": Column("last neuron of the attention"),
        "top1": Column("top-1 %", ".2f"),
        "energy_mj": Column(unit.name, ".5g", margin="energy_mj_half", scale=unit.per_mj),
        "firing_rate": Column("rate", ".4f", rank=1),
        "images": Column("images", ".0f", rank=2),
    }
    return Table(title, records, columns, notes, records[0]["warnings"])


def _measured(
    loaded: LoadedModel,
    merging: list[nn.Module],
    merged: bool,
    options: DataOptions,
    protocol: str,
    prices: Technology,
    progress: Progress,
) -> dict[str, Any]:
    for module in merging:
        module.merge_time_and_batch = merged  # type: ignore[assignment]
    profile = measure(loaded, options.open(loaded), options, progress)
    report = price(profile, protocol, prices)
    return {
        "neuron": "over time and batch as one axis" if merged else "over time, each sample for itself",
        "merge_time_and_batch": merged,
        "batch_size": options.batch_size,
        "images": profile.images,
        "top1": None if profile.accuracy is None else 100 * profile.accuracy,
        "energy_mj": report.total_mj,
        "energy_mj_half": report.spread.half_width / PJ_PER_MJ if report.spread else None,
        "firing_rate": profile.firing_rate,
        "warnings": profile.warnings(),
    }
