"""`msvit-energy profile`: run a checkpoint on data, print and write its energy."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from msvit_energy import price
from msvit_energy.commands._options import (
    DATA,
    MODEL,
    OUTPUT,
    PRICES,
    RUN,
    BatchSize,
    Columns,
    Device,
    Force,
    Formats,
    Images,
    Out,
    PriceOfAc,
    PriceOfMac,
    Protocol,
    Seed,
    Sort,
    TechnologyName,
    Top,
)
from msvit_energy.commands._terminal import USUAL_FORMATS, progress_bar, show
from msvit_energy.pricing.protocols import get_protocol
from msvit_energy.pricing.technology import get_technology, with_prices
from msvit_energy.reporting.layer_table import LayerView, shown_layers
from msvit_energy.reporting.table import parse_formats

EXAMPLES = """
msvit-energy profile                                   the shipped checkpoint on digits
msvit-energy profile --ckpt weights.pth --data val/ --images 500 --out energy/
msvit-energy profile --model mynets:build --data folder:val/ --input-size 3x32x32
msvit-energy profile --ckpt weights.pth --data val/ --ci 1% --sort energy --top 10
"""


def profile(
    ckpt: Annotated[
        Path | None,
        typer.Option(
            help="Checkpoint (.safetensors with its .json, a state dict, or a .nir network).", rich_help_panel=MODEL
        ),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(
            help="Name, for a checkpoint that does not say it, or package.module:factory.", rich_help_panel=MODEL
        ),
    ] = None,
    model_args: Annotated[
        str | None, typer.Option(help="Arguments of --model, a JSON object.", rich_help_panel=MODEL)
    ] = None,
    ema: Annotated[
        bool,
        typer.Option("--ema", help="The moving average of a training checkpoint's weights.", rich_help_panel=MODEL),
    ] = False,
    time_steps: Annotated[
        int | None, typer.Option(help="T, if not the checkpoint's own.", rich_help_panel=MODEL)
    ] = None,
    feed: Annotated[
        str,
        typer.Option(
            help="image (as it is), time-first, batch-first, time-last, step (called T times), or auto.",
            rich_help_panel=MODEL,
        ),
    ] = "auto",
    head: Annotated[
        str | None,
        typer.Option(
            help="Layers that make the output, with commas, if not what the output shows.", rich_help_panel=MODEL
        ),
    ] = None,
    neurons: Annotated[
        str | None,
        typer.Option(help="One's own neurons: modules or classes (or patterns), with commas.", rich_help_panel=MODEL),
    ] = None,
    data: Annotated[
        str, typer.Option(help="digits, digits-dvs, noise, a folder of images, or NAME:DIR.", rich_help_panel=DATA)
    ] = "digits",
    images: Images = None,
    ci: Annotated[
        str | None,
        typer.Option(
            help="Draw images until the 95 % interval of the total is within this, such as 1%.", rich_help_panel=DATA
        ),
    ] = None,
    shard: Annotated[
        str | None, typer.Option(help="i/n: every n-th image from the i-th on; see merge.", rich_help_panel=DATA)
    ] = None,
    input_size: Annotated[
        str | None, typer.Option(help="N, HxW or CxHxW, if not the model's own.", rich_help_panel=DATA)
    ] = None,
    mean: Annotated[
        str | None,
        typer.Option(
            help="Of the channels of images, if not that of the model's own data: a number, or R,G,B.",
            rich_help_panel=DATA,
        ),
    ] = None,
    std: Annotated[str | None, typer.Option(help="Standard deviation, likewise.", rich_help_panel=DATA)] = None,
    resize: Annotated[
        int | None,
        typer.Option(help="Pixels of an image's shorter side before the crop.", rich_help_panel=DATA),
    ] = None,
    crop: Annotated[
        float | None,
        typer.Option(help="Or the share of it that the crop in the middle keeps, such as 0.875.", rich_help_panel=DATA),
    ] = None,
    frames: Annotated[
        bool | None,
        typer.Option(
            "--frames/--no-frames", help="Samples are over time, if the data do not say it.", rich_help_panel=DATA
        ),
    ] = None,
    protocol: Protocol = "appendix-c",
    technology: TechnologyName = "45nm-fp32",
    e_mac: PriceOfMac = None,
    e_ac: PriceOfAc = None,
    lemaire: Annotated[
        int,
        typer.Option(help="Also estimate that many images after Lemaire et al. 2022.", rich_help_panel=PRICES),
    ] = 0,
    strict: Annotated[
        bool,
        typer.Option(
            "--strict", help="Fail if any work could not be counted, or any image not be read.", rich_help_panel=RUN
        ),
    ] = False,
    batch_size: BatchSize = 32,
    device: Device = "auto",
    seed: Seed = 0,
    workers: Annotated[
        int | None, typer.Option(help="Processes that load images; none on the CPU.", rich_help_panel=RUN)
    ] = None,
    fast: Annotated[
        bool,
        typer.Option("--fast", help="Faster with other rounding; says how many spikes flip.", rich_help_panel=RUN),
    ] = False,
    compiled: Annotated[
        bool, typer.Option("--compile", help="Compile the neurons; the same spikes.", rich_help_panel=RUN)
    ] = False,
    out: Out = None,
    formats: Formats = USUAL_FORMATS,
    columns: Columns = None,
    sort: Sort = None,
    top: Top = None,
    maps: Annotated[
        str | None,
        typer.Option(help="Neuron layers (or patterns) whose rates are mapped, in --out.", rich_help_panel=OUTPUT),
    ] = None,
    map_image: Annotated[
        str | None, typer.Option(help="With --maps: one image, by number or file name.", rich_help_panel=OUTPUT)
    ] = None,
    per_image: Annotated[
        bool,
        typer.Option("--per-image", help="Also keep what was counted of each image: see diff.", rich_help_panel=OUTPUT),
    ] = False,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with the measurement in --out.", rich_help_panel=OUTPUT)
    ] = False,
    force: Force = False,
) -> None:
    """Measure firing rates, MACs, SOPs and energy. Without arguments: the shipped checkpoint on the digits test images.

    --model without --ckpt profiles fresh, untrained weights. --model package.module:factory profiles any PyTorch
    spiking network.

    Ctrl-C ends after the present batch with the profile of the images so far; --resume goes on, after a kill too.
    """
    from msvit_energy.workflows.loading.model_loading import load_model
    from msvit_energy.workflows.measuring.firing_maps import requested_maps
    from msvit_energy.workflows.measuring.interval_stop import IntervalStop
    from msvit_energy.workflows.measuring.measurement import DataOptions
    from msvit_energy.workflows.measuring.preprocessing_options import preprocessing_changes
    from msvit_energy.workflows.measuring.profile_files import output, stopped_line, write_files
    from msvit_energy.workflows.measuring.profiling import ProfilingOptions, profile_model

    get_protocol(protocol)  # before minutes of measuring
    prices, wanted = with_prices(get_technology(technology), e_mac, e_ac), parse_formats(formats)
    view = LayerView(columns, sort, top)
    stop = None if ci is None else IntervalStop(ci, protocol, prices)
    changes = preprocessing_changes(mean, std, resize, crop)
    source = DataOptions(
        data, images, batch_size, seed, input_size, stop is not None, shard, time_steps, workers, changes
    )
    maps_wanted = requested_maps(maps, map_image, out)
    how = ProfilingOptions(
        feed,
        frames,
        time_steps,
        lemaire,
        maps_wanted,
        stop,
        fast,
        compiled,
        strict,
        head,
        neurons,
        out,
        resume,
        per_image,
    )
    with output(out, force=force, resume=resume):
        loaded = load_model(ckpt, model, model_args, ema=ema, time_steps=time_steps, seed=seed, device=device)
        measured = profile_model(loaded, source, how, progress_bar)
        report = price(measured.profile, protocol, prices)
        show(shown_layers(measured.profile, report, view))
        for path in write_files(measured, report, out, wanted, columns) if out else ():
            print(path)
    if measured.stopped:
        print(stopped_line(measured, out), file=sys.stderr)
        raise typer.Exit(130)
    if stop is not None:
        reached = stop.reached(measured.profile)
        print(stop.summary(measured.profile, measured.available), file=sys.stdout if reached else sys.stderr)
