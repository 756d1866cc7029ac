"""`msvit-energy profile`: run a checkpoint on data, print and write its energy."""

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from msvit_energy.commands.showing import USUAL
from msvit_energy.workflows import firing_maps as mapping

if TYPE_CHECKING:
    from msvit_energy import EnergyReport, Profile
    from msvit_energy.pricing.technology import Technology

FEWEST_IMAGES = 32  # before an interval can end a measurement


def profile(
    ckpt: Annotated[
        Path | None, typer.Option(help="Checkpoint (.safetensors with its .json, or a state dict).")
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
    batch_size: Annotated[int, typer.Option(help="Images per forward.")] = 32,
    time_steps: Annotated[int | None, typer.Option(help="T, if not the checkpoint's own.")] = None,
    feed: Annotated[str, typer.Option(help="image, sequence (T in front), step (called T times), or auto.")] = "auto",
    protocol: Annotated[str, typer.Option(help="Accounting protocol; `protocols` lists them.")] = "appendix-c",
    technology: Annotated[str, typer.Option(help="Prices per operation: a name or a .toml file.")] = "45nm-fp32",
    e_mac: Annotated[float | None, typer.Option(help="Price of a multiply-accumulate, in pJ.")] = None,
    e_ac: Annotated[float | None, typer.Option(help="Price of an accumulate, in pJ.")] = None,
    maps: Annotated[
        str | None, typer.Option(help="Neuron layers (or patterns) whose rates are mapped, in --out.")
    ] = None,
    map_image: Annotated[str | None, typer.Option(help="With --maps: one image, by number or file name.")] = None,
    lemaire: Annotated[int, typer.Option(help="Also estimate that many images after Lemaire et al. 2022.")] = 0,
    fast: Annotated[
        bool, typer.Option("--fast", help="Faster with other rounding; says how many spikes flip.")
    ] = False,
    compiled: Annotated[bool, typer.Option("--compile", help="Compile the neurons; the same spikes.")] = False,
    workers: Annotated[int | None, typer.Option(help="Processes that load images; none on the CPU.")] = None,
    strict: Annotated[bool, typer.Option("--strict", help="Fail if any work could not be counted.")] = False,
    out: Annotated[Path | None, typer.Option(help="Folder for profile.json, tables, figures and report.html.")] = None,
    formats: Annotated[str, typer.Option("--format", help="Of the table: csv, md, tex, json, parquet.")] = USUAL,
    seed: Annotated[int, typer.Option(help="Seed of subsets, orders and noise.")] = 0,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1, ...")] = "auto",
    force: Annotated[bool, typer.Option("--force", help="Replace the files of an earlier run in --out.")] = False,
) -> None:
    """Measure firing rates, MACs, SOPs and energy. Without arguments: the shipped checkpoint on the digits test images.

    --model without --ckpt profiles fresh, untrained weights. --model package.module:factory profiles any PyTorch
    spiking network.
    """
    from msvit.distributed import from_first, rank
    from msvit.neuron import compile_neurons
    from msvit_energy import price
    from msvit_energy.commands._terminal import console
    from msvit_energy.commands.showing import parse_formats
    from msvit_energy.errors import EnergyError
    from msvit_energy.pricing.protocols import get_protocol
    from msvit_energy.pricing.technology import get_technology, with_prices
    from msvit_energy.recording.input_modes import check
    from msvit_energy.reporting.layer_table import terminal
    from msvit_energy.reporting.output_folder import check_free
    from msvit_energy.workflows.fast_inference import quicken
    from msvit_energy.workflows.measurement import Sampling, measure
    from msvit_energy.workflows.model_loading import open_subject, parse_shard

    get_protocol(protocol)  # before minutes of measuring
    check(feed)
    wanted, mapped = parse_formats(formats), mapping.wanted(maps, map_image, out)
    cost = with_prices(get_technology(technology), e_mac, e_ac)
    enough = None if ci is None else within(parse_share(ci), protocol, cost)
    sampling = Sampling(
        data, images, batch_size, seed, input_size, ci is not None, parse_shard(shard), time_steps, workers
    )
    if out is not None:
        from_first(lambda: check_free(out, names(), force))
    subject = open_subject(ckpt, model, model_args, ema=ema, time_steps=time_steps, seed=seed, device=device)
    source = sampling.source(subject)
    if compiled:
        compile_neurons(subject.model)
    how = {"time_steps": time_steps, "feed": feed}
    if fast:
        subject = quicken(subject, source, batch_size, how)
    shown = mapping.example(subject, sampling, map_image, mapped, how) if mapped and map_image else None
    measured = measure(subject, source, sampling, maps=mapped, lemaire=lemaire, enough=enough, **how)
    if strict and (left := uncounted(measured)):
        raise EnergyError(f"--strict: {left}")
    report = price(measured, protocol, cost)
    console().print(terminal(measured, report))
    if out is not None and rank() == 0:
        write(measured, report, out, wanted, lambda folder: mapping.write(mapped, shown, folder) if mapped else None)
    if enough is not None:
        if enough(measured):
            print(f"the interval is within {ci} after {measured.images} of {len(source)} images")
        else:
            print(f"warning: the interval is wider than {ci} after all {measured.images} images", file=sys.stderr)


def parse_share(text: str) -> float:
    """A share from "1%" or "0.01"; EnergyError otherwise."""
    from msvit_energy.errors import EnergyError

    try:
        share = float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
    except ValueError:
        share = 0.0
    if not 0 < share < 1:
        raise EnergyError(f"--ci must be a share of the total between 0 and 1, such as 1% or 0.01, not {text!r}")
    return share


def within(share: float, protocol: str, technology: "Technology") -> "Callable[[Profile], bool]":
    """Whether enough images were seen for half of the total's 95 % interval to be within a share of the total."""
    from msvit_energy import price

    def enough(measured: "Profile") -> bool:
        if measured.images < FEWEST_IMAGES:
            return False
        spread = price(measured, protocol, technology).spread
        return spread is not None and spread.half_width <= share * spread.mean

    return enough


def uncounted(measured: "Profile") -> str:
    """What was not counted or not cross-checked, in words; empty if nothing."""
    names = ", ".join(item.name for item in measured.coverage.unknown)
    return "; ".join(filter(None, (names and f"work that nothing counts: {names}", measured.coverage.note)))


def names() -> list[str]:
    """All files that a run may write."""
    from msvit_energy.reporting import figures
    from msvit_energy.reporting import table as sheet

    return ["profile.json", *sheet.files("energy"), *figures.FILES, *mapping.FILES, "report.html"]


def write(
    measured: "Profile",
    report: "EnergyReport",
    out: Path,
    formats: Sequence[str],
    also: Callable[[Path], object],
) -> None:
    """Write all files, those of `also` included, or none, and print their paths."""
    from msvit_energy.reporting import table as sheet
    from msvit_energy.reporting.figures import save_figures
    from msvit_energy.reporting.layer_table import layer_sheet, title
    from msvit_energy.reporting.output_folder import written_together
    from msvit_energy.reporting.page import page

    with written_together(out, names()) as folder:
        measured.save(folder / "profile.json")
        sheet.write(layer_sheet(measured, report), folder, "energy", formats)
        save_figures(measured, report, folder)
        also(folder)
        html = page({title(measured): measured}, report.protocol, report.technology)
        (folder / "report.html").write_text(html, encoding="utf-8", errors="replace")
        written = [name for name in names() if (folder / name).exists()]
    for name in written:
        print(out / name)
