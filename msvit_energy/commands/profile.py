"""`msvit-energy profile`: run a checkpoint on data, print and write its energy."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from msvit_energy import price
from msvit_energy.commands._terminal import USUAL_FORMATS, progress_bar, show
from msvit_energy.pricing.protocols import get_protocol
from msvit_energy.pricing.technology import get_technology, with_prices
from msvit_energy.reporting.layer_table import stage_table
from msvit_energy.reporting.table import parse_formats


def profile(
    ckpt: Annotated[
        Path | None, typer.Option(help="Checkpoint (.safetensors with its .json, a state dict, or a .nir network).")
    ] = None,
    model: Annotated[
        str | None, typer.Option(help="Name, for a checkpoint that does not say it, or package.module:factory.")
    ] = None,
    model_args: Annotated[str | None, typer.Option(help="Arguments of --model, a JSON object.")] = None,
    ema: Annotated[bool, typer.Option("--ema", help="The moving average of a training checkpoint's weights.")] = False,
    data: Annotated[str, typer.Option(help="digits, digits-dvs, noise, a folder of images, or NAME:DIR.")] = "digits",
    images: Annotated[int | None, typer.Option(help="Random subset of that many images.")] = None,
    ci: Annotated[
        str | None, typer.Option(help="Draw images until the 95 % interval of the total is within this, such as 1%.")
    ] = None,
    shard: Annotated[str | None, typer.Option(help="i/n: every n-th image from the i-th on; see merge.")] = None,
    input_size: Annotated[str | None, typer.Option(help="N, HxW or CxHxW, if not the model's own.")] = None,
    mean: Annotated[
        str | None,
        typer.Option(help="Of the channels of images, if not that of the model's own data: a number, or R,G,B."),
    ] = None,
    std: Annotated[str | None, typer.Option(help="Standard deviation, likewise.")] = None,
    resize: Annotated[int | None, typer.Option(help="Pixels of an image's shorter side before the crop.")] = None,
    crop: Annotated[
        float | None, typer.Option(help="Or the share of it that the crop in the middle keeps, such as 0.875.")
    ] = None,
    batch_size: Annotated[int, typer.Option(help="Images per forward.")] = 32,
    time_steps: Annotated[int | None, typer.Option(help="T, if not the checkpoint's own.")] = None,
    feed: Annotated[
        str,
        typer.Option(help="image (as it is), time-first, batch-first, time-last, step (called T times), or auto."),
    ] = "auto",
    frames: Annotated[
        bool | None, typer.Option("--frames/--no-frames", help="Samples are over time, if the data do not say it.")
    ] = None,
    protocol: Annotated[str, typer.Option(help="Accounting protocol; `protocols` lists them.")] = "appendix-c",
    technology: Annotated[str, typer.Option(help="Prices per operation: a name or a .toml file.")] = "45nm-fp32",
    e_mac: Annotated[float | None, typer.Option(help="Price of a multiply-accumulate, in pJ.")] = None,
    e_ac: Annotated[float | None, typer.Option(help="Price of an accumulate, in pJ.")] = None,
    maps: Annotated[
        str | None, typer.Option(help="Neuron layers (or patterns) whose rates are mapped, in --out.")
    ] = None,
    map_image: Annotated[str | None, typer.Option(help="With --maps: one image, by number or file name.")] = None,
    head: Annotated[
        str | None, typer.Option(help="Layers that make the output, with commas, if not what the output shows.")
    ] = None,
    neurons: Annotated[
        str | None, typer.Option(help="One's own neurons: modules or classes (or patterns), with commas.")
    ] = None,
    lemaire: Annotated[int, typer.Option(help="Also estimate that many images after Lemaire et al. 2022.")] = 0,
    fast: Annotated[
        bool, typer.Option("--fast", help="Faster with other rounding; says how many spikes flip.")
    ] = False,
    compiled: Annotated[bool, typer.Option("--compile", help="Compile the neurons; the same spikes.")] = False,
    workers: Annotated[int | None, typer.Option(help="Processes that load images; none on the CPU.")] = None,
    strict: Annotated[
        bool, typer.Option("--strict", help="Fail if any work could not be counted or any image not be read.")
    ] = False,
    out: Annotated[Path | None, typer.Option(help="Folder for profile.json, tables, figures and report.html.")] = None,
    formats: Annotated[
        str, typer.Option("--format", help="Of the table: csv, md, tex, json, parquet.")
    ] = USUAL_FORMATS,
    seed: Annotated[int, typer.Option(help="Seed of subsets, orders and noise.")] = 0,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1, ...")] = "auto",
    force: Annotated[bool, typer.Option("--force", help="Replace the files of an earlier run in --out.")] = False,
) -> None:
    """Measure firing rates, MACs, SOPs and energy. Without arguments: the shipped checkpoint on the digits test images.

    --model without --ckpt profiles fresh, untrained weights. --model package.module:factory profiles any PyTorch
    spiking network.
    """
    from msvit_energy.workflows.firing_maps import requested_maps
    from msvit_energy.workflows.interval_stop import IntervalStop
    from msvit_energy.workflows.measurement import DataOptions
    from msvit_energy.workflows.model_loading import load_model
    from msvit_energy.workflows.preprocessing_options import preprocessing_changes
    from msvit_energy.workflows.profile_files import check_output, write_files
    from msvit_energy.workflows.profiling import ProfilingOptions, profile_model

    get_protocol(protocol)  # before minutes of measuring
    prices, wanted = with_prices(get_technology(technology), e_mac, e_ac), parse_formats(formats)
    stop = None if ci is None else IntervalStop(ci, protocol, prices)
    changes = preprocessing_changes(mean, std, resize, crop)
    source = DataOptions(
        data, images, batch_size, seed, input_size, stop is not None, shard, time_steps, workers, changes
    )
    maps_wanted = requested_maps(maps, map_image, out)
    how = ProfilingOptions(feed, frames, time_steps, lemaire, maps_wanted, stop, fast, compiled, strict, head, neurons)
    check_output(out, force)
    loaded = load_model(ckpt, model, model_args, ema=ema, time_steps=time_steps, seed=seed, device=device)
    measured = profile_model(loaded, source, how, progress_bar)
    report = price(measured.profile, protocol, prices)
    show(stage_table(measured.profile, report))
    for path in write_files(measured, report, out, wanted) if out else ():
        print(path)
    if stop is not None:
        reached = stop.reached(measured.profile)
        print(stop.summary(measured.profile, measured.available), file=sys.stdout if reached else sys.stderr)
