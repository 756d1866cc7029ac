"""`msvit-energy precision`: how many spikes, and how much of the total, depend on the number format."""

from pathlib import Path
from typing import Annotated

import typer

from msvit_energy.commands._options import BatchSize, Images, Seed

EXAMPLES = """
msvit-energy precision --images 32
msvit-energy precision --model msvit_cifar --data noise --excite --images 8
"""


def precision(
    ckpt: Annotated[Path | None, typer.Option(help="Checkpoint; the shipped one if neither this nor --model.")] = None,
    model: Annotated[str | None, typer.Option(help="Model with untrained weights, or of a bare checkpoint.")] = None,
    excite: Annotated[bool, typer.Option("--excite", help="Random weights under which every layer fires.")] = False,
    data: Annotated[str, typer.Option(help="digits, digits-dvs, noise, a folder of images, or NAME:DIR.")] = "digits",
    images: Images = None,
    batch_size: BatchSize = 32,
    time_steps: Annotated[int | None, typer.Option(help="T, if not the checkpoint's own.")] = None,
    seed: Seed = 0,
) -> None:
    """Run the same weights and images in float32 and float64 on the CPU and compare spikes and SOPs."""
    from msvit_energy.workflows.loading.model_loading import load_registered
    from msvit_energy.workflows.measuring.measurement import DataOptions
    from msvit_energy.workflows.precision import compare_number_formats

    loaded = load_registered(ckpt, model, {}, ema=False, time_steps=time_steps, seed=seed, device="cpu")
    options = DataOptions(data, images, batch_size, seed)
    compared = compare_number_formats(loaded, options, excite=excite)
    found = compared.found
    for note in compared.warnings:
        print(f"warning: {note}")
    share = f"{found.differing_share:.2e} of all, {found.differing_per_spike:.2e} per spike"
    print(f"{compared.model} on {compared.data}: {found.images} images, T = {compared.time_steps}")
    print(f"neuron outputs: {found.outputs:,}, spikes among them in float64: {found.spikes:,}")
    print(f"outputs that differ in float32: {found.differing:,} ({share})")
    print(f"total SOPs, float32 against float64: {found.sops_difference:+.2e}")
