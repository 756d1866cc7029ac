"""`msvit-energy precision`: how many spikes, and how much of the total, depend on the number format."""

from pathlib import Path
from typing import Annotated

import typer


def precision(
    ckpt: Annotated[Path | None, typer.Option(help="Checkpoint; the shipped one if neither this nor --model.")] = None,
    model: Annotated[str | None, typer.Option(help="Model with untrained weights, or of a bare checkpoint.")] = None,
    excite: Annotated[bool, typer.Option("--excite", help="Random weights under which every layer fires.")] = False,
    data: Annotated[str, typer.Option(help="digits, digits-dvs, noise, a folder of images, or NAME:DIR.")] = "digits",
    images: Annotated[int | None, typer.Option(help="Random subset of that many images.")] = None,
    batch_size: Annotated[int, typer.Option(help="Images per forward.")] = 32,
    time_steps: Annotated[int | None, typer.Option(help="T, if not the checkpoint's own.")] = None,
    seed: Annotated[int, typer.Option(help="Seed of random weights, subsets and noise.")] = 0,
) -> None:
    """Run the same weights and images in float32 and float64 on the CPU and compare spikes and SOPs."""
    from torch.utils.data import DataLoader

    from msvit.data import open_data
    from msvit_energy.precision import compare_formats, excite_
    from msvit_energy.workflows.model_loading import open_model

    network, origin, warnings = open_model(ckpt, model, False, time_steps, seed, "cpu")
    source = open_data(data, network.input_size, images=images, seed=seed, time_steps=network.time_steps)
    for note in (*warnings, *source.warnings):
        print(f"warning: {note}")
    if excite:
        excite_(network, seed)
    found = compare_formats(network, (batch[0] for batch in DataLoader(source.dataset, batch_size)))
    share = f"{found.differing_share:.2e} of all, {found.differing_per_spike:.2e} per spike"
    print(f"{origin['model']['name']} on {source.name}: {found.images} images, T = {network.time_steps}")
    print(f"neuron outputs: {found.outputs:,}, spikes among them in float64: {found.spikes:,}")
    print(f"outputs that differ in float32: {found.differing:,} ({share})")
    print(f"total SOPs, float32 against float64: {found.sops_difference:+.2e}")
