"""`msvit-energy table3`: the parameters of the paper's ablation, counted beside the printed ones."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    import pandas as pd

    from msvit.classifier import SpikingClassifier

FILES = ("table3.csv", "table3.md")
TOLERANCE_M = 0.01

# MSSA branches of the three stages and the attention of the third, in the order of the printed rows
ROWS: tuple[tuple[Sequence[str], str], ...] = (
    (("p+p",) * 3, "ssa"),
    (("q+q",) * 3, "ssa"),
    (("p",) * 3, "ssa"),
    (("q",) * 3, "ssa"),
    (("p+q", "p+q", "p+p"), "mssa"),
    (("p+q", "p+q", "q+q"), "mssa"),
    (("p+q", "p+q", "p+q"), "mssa"),
    (("p+q",) * 3, "ssa"),
)


def table3(
    out: Annotated[Path | None, typer.Option(help="Folder for table3.csv and table3.md.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace an earlier run's files in --out.")] = False,
) -> None:
    """Count the parameters of every row of the paper's Table 3 (CIFAR100) and compare."""
    from msvit_energy.outputs import check_free, written_together
    from msvit_energy.tables import markdown_table

    if out is not None:
        check_free(out, FILES, force)
    table = counted()
    text = markdown_table(list(table.columns), table.astype(str).to_numpy().tolist(), right=list(table.columns[1:4]))
    print(text)
    if out is not None:
        with written_together(out) as folder:
            table.to_csv(folder / FILES[0], index=False)
            (folder / FILES[1]).write_text(f"# Table 3, parameters\n\n{text}\n")
        for name in FILES:
            print(out / name)


def counted() -> "pd.DataFrame":
    """The eight rows: printed and counted parameters in M, their difference, and what was tried where they differ."""
    import pandas as pd

    from msvit_energy.published import published_table

    rows = []
    for printed, (branches, third) in zip(published_table("table3").to_dict("records"), ROWS, strict=True):
        theirs = float(printed["params_m"])
        ours = parameters(branches, third) / 1e6
        met = abs(ours - theirs) < TOLERANCE_M
        rows.append(
            {
                "architecture": printed["architecture"],
                "params_m_published": f"{theirs:.2f}",
                "params_m": f"{ours:.4f}",
                "difference_m": f"{ours - theirs:+.3f}",
                "met": "yes" if met else "no",
                "tried": "" if met else tried(branches),
            }
        )
    return pd.DataFrame(rows)


def parameters(branches: Sequence[str], third: str) -> int:
    """Parameters of the CIFAR100 model with these MSSA branches and this attention in stage 3."""
    model = build(branches, third)
    return sum(parameter.numel() for parameter in model.parameters())


def build(branches: Sequence[str], third: str) -> "SpikingClassifier":
    """The model of a row, without memory."""
    import torch

    import msvit

    attention = ("mssa", "mssa", third)
    with torch.device("meta"):
        return msvit.create_model("msvit_cifar", num_classes=100, branches=tuple(branches), attention=attention)


def tried(branches: Sequence[str]) -> str:
    """Other readings of a row with MSSA in stage 3, counted: the branches everywhere; one more 1-tap unit there."""
    model = build(branches, "mssa")
    names = re.compile(r"stage3\.\d\.tssa\.k_(conv|bn)\.")
    unit = sum(parameter.numel() for name, parameter in model.named_parameters() if names.match(name))
    only, everywhere = parameters(branches, "mssa"), parameters([branches[2]] * 3, "mssa")
    return (
        f"{branches[2]} in stage 3 only {only / 1e6:.3f}, in all stages {everywhere / 1e6:.3f}; "
        f"with one more 1-tap unit in each stage-3 block {(only + unit) / 1e6:.3f}, {(everywhere + unit) / 1e6:.3f}"
    )
