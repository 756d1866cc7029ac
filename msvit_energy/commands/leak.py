"""`msvit-energy leak`: what accuracy and energy owe to samples that see those before them in the batch."""

from pathlib import Path
from typing import Annotated

import typer

from msvit_energy.commands._terminal import USUAL_FORMATS, TableOutput, progress_bar
from msvit_energy.pricing.protocols import get_protocol
from msvit_energy.pricing.technology import get_technology


def leak(
    ckpt: Annotated[Path | None, typer.Option(help="Checkpoint; the shipped one if neither this nor --model.")] = None,
    model: Annotated[str | None, typer.Option(help="Name, for a checkpoint that does not say it.")] = None,
    data: Annotated[str, typer.Option(help="digits, a folder of images, or NAME:DIR.")] = "digits",
    images: Annotated[int | None, typer.Option(help="Random subset of that many images.")] = None,
    batch_size: Annotated[int, typer.Option(help="Images per forward, on which the leak hangs.")] = 32,
    protocol: Annotated[str, typer.Option(help="Accounting protocol.")] = "appendix-c",
    technology: Annotated[str, typer.Option(help="Prices per operation: a name or a .toml file.")] = "45nm-fp32",
    seed: Annotated[int, typer.Option(help="Seed of subsets and of random weights.")] = 0,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1, ...")] = "auto",
    out: Annotated[Path | None, typer.Option(help="Folder for the table.")] = None,
    formats: Annotated[str, typer.Option("--format", help="csv, md, tex, json, parquet.")] = USUAL_FORMATS,
    force: Annotated[bool, typer.Option("--force", help="Replace an earlier run's files in --out.")] = False,
) -> None:
    """Measure MSViT or QKFormer twice: every sample for itself, and as the official code, whose attention has a neuron
    that runs from one sample of a batch into the next."""
    from msvit_energy.workflows.leak import compared
    from msvit_energy.workflows.measurement import DataOptions
    from msvit_energy.workflows.model_loading import load_model

    choice, prices = str(get_protocol(protocol)), get_technology(technology)
    output = TableOutput("leak", out, formats, force)
    loaded = load_model(ckpt, model, None, ema=False, time_steps=None, seed=seed, device=device)
    output.show(compared(loaded, DataOptions(data, images, batch_size, seed), choice, prices, progress_bar))
