"""`msvit-energy leak`: what accuracy and energy owe to samples that see those before them in the batch."""

from pathlib import Path
from typing import Annotated

import typer

from msvit_energy.commands._options import (
    BatchSize,
    Columns,
    Device,
    Force,
    Formats,
    Images,
    Out,
    Protocol,
    Seed,
    TechnologyName,
)
from msvit_energy.commands._terminal import USUAL_FORMATS, TableOutput, progress_bar
from msvit_energy.pricing.protocols import get_protocol
from msvit_energy.pricing.technology import get_technology

EXAMPLES = """
msvit-energy leak --images 96
msvit-energy leak --ckpt weights.pth --data val/ --batch-size 64
"""


def leak(
    ckpt: Annotated[Path | None, typer.Option(help="Checkpoint; the shipped one if neither this nor --model.")] = None,
    model: Annotated[str | None, typer.Option(help="Name, for a checkpoint that does not say it.")] = None,
    data: Annotated[str, typer.Option(help="digits, a folder of images, or NAME:DIR.")] = "digits",
    images: Images = None,
    batch_size: BatchSize = 32,
    protocol: Protocol = "appendix-c",
    technology: TechnologyName = "45nm-fp32",
    seed: Seed = 0,
    device: Device = "auto",
    columns: Columns = None,
    out: Out = None,
    formats: Formats = USUAL_FORMATS,
    force: Force = False,
) -> None:
    """Measure MSViT or QKFormer twice: every sample for itself, and as the official code, whose attention has a neuron
    that runs from one sample of a batch into the next."""
    from msvit_energy.workflows.leak import compared
    from msvit_energy.workflows.loading.model_loading import load_model
    from msvit_energy.workflows.measuring.measurement import DataOptions

    choice, prices = str(get_protocol(protocol)), get_technology(technology)
    output = TableOutput("leak", out, formats, force, columns=columns)
    loaded = load_model(ckpt, model, None, ema=False, time_steps=None, seed=seed, device=device)
    output.show(compared(loaded, DataOptions(data, images, batch_size, seed), choice, prices, progress_bar))
