"""`msvit-energy profile`: run a checkpoint on data, print and write its energy."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from msvit.classifier import SpikingClassifier
    from msvit.data import Source
    from msvit_energy import EnergyReport, Profile

WIDTH_OF_A_FILE = 120
FILES = ("profile.json", "energy.csv", "energy.md", "firing_rates.png")


def profile(
    ckpt: Annotated[
        Path | None, typer.Option(help="Checkpoint (.safetensors with its .json, or a state dict).")
    ] = None,
    model: Annotated[str | None, typer.Option(help="Model name, for a checkpoint that does not say it.")] = None,
    ema: Annotated[bool, typer.Option("--ema", help="The moving average of a training checkpoint's weights.")] = False,
    data: Annotated[str, typer.Option(help="digits, noise, or a folder of images.")] = "digits",
    images: Annotated[int | None, typer.Option(help="Random subset of that many images.")] = None,
    input_size: Annotated[str | None, typer.Option(help="N or HxW, if not the model's own.")] = None,
    batch_size: Annotated[int, typer.Option(help="Images per forward.")] = 32,
    time_steps: Annotated[int | None, typer.Option(help="T, if not the checkpoint's own.")] = None,
    protocol: Annotated[str, typer.Option(help="Accounting protocol.")] = "appendix-c",
    technology: Annotated[str, typer.Option(help="Prices per operation.")] = "45nm-fp32",
    out: Annotated[Path | None, typer.Option(help="Folder for profile.json, tables and heatmap.")] = None,
    seed: Annotated[int, typer.Option(help="Seed of subsets and noise.")] = 0,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1, ...")] = "auto",
    force: Annotated[bool, typer.Option("--force", help="Replace the files of an earlier run in --out.")] = False,
) -> None:
    """Measure firing rates, MACs, SOPs and energy. Without arguments: the shipped checkpoint on the digits test images.

    --model without --ckpt profiles fresh, untrained weights.
    """
    from rich.console import Console

    from msvit_energy import price
    from msvit_energy.outputs import check_free
    from msvit_energy.protocols import get_protocol
    from msvit_energy.tables import terminal
    from msvit_energy.technology import get_technology

    get_protocol(protocol), get_technology(technology)  # before minutes of measuring
    if out is not None:
        check_free(out, FILES, force)
    network, origin, warnings = open_model(ckpt, model, ema, time_steps, seed, device)
    size = (network.input_size[0], *parse_size(input_size)) if input_size else network.input_size
    measured = measure(network, size, data, images, batch_size, seed, origin, warnings)
    report = price(measured, protocol, technology)
    console = Console() if sys.stdout.isatty() else Console(width=WIDTH_OF_A_FILE)
    console.print(terminal(measured, report))
    if out is not None:
        write(measured, report, out)
        for name in FILES:
            if (out / name).exists():  # a model without spiking neurons has no firing rates
                console.print(str(out / name), soft_wrap=True)


def parse_size(text: str) -> tuple[int, int]:
    """Height and width from "288" or "288x384"; EnergyError otherwise."""
    from msvit_energy.errors import EnergyError

    parts = text.split("x")
    if not all(part.isdigit() and int(part) > 0 for part in parts) or len(parts) > 2:
        raise EnergyError(f"input size must be N or HxW, such as 288 or 288x384, not {text!r}")
    return int(parts[0]), int(parts[-1])


def measure(
    network: "SpikingClassifier",
    size: tuple[int, int, int],
    data: str,
    images: int | None,
    batch_size: int,
    seed: int,
    origin: dict[str, Any],
    warnings: list[str],
) -> "Profile":
    """Open the data, profile with a progress bar."""
    from torch.utils.data import DataLoader

    import msvit_energy
    from msvit.data import open_data
    from msvit_energy.commands.progress import progress_bar
    from msvit_energy.errors import EnergyError

    if batch_size < 1:
        raise EnergyError(f"batch size must be at least 1, not {batch_size}")
    source = open_data(data, size, images=images, seed=seed)
    labels_fit = source.classes == network.num_classes
    loader = DataLoader(source.dataset, batch_size)
    batches = (tuple(batch) if labels_fit else batch[0] for batch in loader)
    with progress_bar("profiling", len(source)) as advance:
        return msvit_energy.profile(
            network,
            batches,
            provenance=origin | describe(source, seed) | {"warnings": [*warnings, *source.warnings]},
            on_batch=advance,
        )


def open_model(
    ckpt: Path | None, name: str | None, ema: bool, time_steps: int | None, seed: int, device: str
) -> tuple["SpikingClassifier", dict[str, Any], list[str]]:
    """The model to profile, its part of the provenance, and warnings about it. Says on stderr what it inferred."""
    import torch

    import msvit
    from msvit.checkpoint import SHIPPED, open_checkpoint
    from msvit_energy.commands.device import choose
    from msvit_energy.provenance import sha256

    place = choose(device)
    if ckpt is None and name is not None:
        torch.manual_seed(seed)
        network = msvit.create_model(name, time_steps=time_steps).to(place)
        origin: dict[str, Any] = {"checkpoint": None}
        warnings = ["the weights are untrained: rates and energy mean nothing for a trained network"]
    else:
        path = ckpt or SHIPPED
        network, notes = open_checkpoint(path, model=name, time_steps=time_steps, device=place, ema=ema)
        for note in notes:
            print(f"{path.name}: {note}", file=sys.stderr)
        origin = {"checkpoint": {"file": path.name, "sha256": sha256(path), "ema": ema, "inferred": list(notes)}}
        warnings = []
    origin["model"] = {"name": network.spec.name, "args": network.spec.args}
    return network, origin | {"device": place}, warnings


def describe(source: "Source", seed: int) -> dict[str, Any]:
    """The data's and the environment's part of the provenance."""
    from msvit_energy.provenance import command_line, environment

    return {
        "data": {
            "name": source.name,
            "split": source.split,
            "preprocessing": source.preprocessing,
            "input_size": list(source.input_size),
            "seed": seed,
        }
    } | environment(command_line())


def write(measured: "Profile", report: "EnergyReport", out: Path) -> None:
    """Write all files, or none."""
    from msvit_energy.figures import save_firing_rates
    from msvit_energy.outputs import written_together
    from msvit_energy.tables import energy_csv, markdown

    with written_together(out) as folder:
        measured.save(folder / "profile.json")
        energy_csv(measured, report).to_csv(folder / "energy.csv", index=False)
        (folder / "energy.md").write_text(markdown(measured, report))
        if measured.neurons:
            save_firing_rates(measured, folder / "firing_rates.png")
