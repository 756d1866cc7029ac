"""The paper's ablation: parameters counted beside printed ones."""

import re
from collections.abc import Sequence
from typing import Any

from msvit.classifier import SpikingClassifier
from msvit_energy.reporting.published import published_table
from msvit_energy.reporting.table import Column, Table
from msvit_energy.workflows.loading.model_loading import without_memory
from msvit_energy.workflows.paper_tables.parameters import columns, compared, parameters

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


def parameter_table() -> Table:
    """Every row of the paper's Table 3."""
    printed = published_table("table3")
    records = [counted(row, *ours) for row, ours in zip(printed, ROWS, strict=True)]
    shown = {"architecture": Column("architecture")} | columns()
    shown |= {"top1_published": Column("top-1 printed", ".2f"), "tried": Column("tried")}
    return Table("Table 3, parameters", records, shown)


def counted(printed: dict[str, Any], branches: Sequence[str], third: str) -> dict[str, Any]:
    """One row: printed and counted parameters in M, their difference, and what was tried where they differ."""
    row = {"architecture": printed["architecture"]} | compared(printed["params_m"], parameters(model(branches, third)))
    return row | {"top1_published": printed["top1"], "tried": tried(branches) if row["met"] == "no" else None}


def model(branches: Sequence[str], third: str) -> SpikingClassifier:
    """The CIFAR100 model with these MSSA branches and this attention in stage 3."""
    arguments = {"num_classes": 100, "branches": tuple(branches), "attention": ("mssa", "mssa", third)}
    return without_memory("msvit_cifar", arguments)


def tried(branches: Sequence[str]) -> str:
    """Other readings of a row with MSSA in stage 3, counted: the branches everywhere; one more 1-tap unit there."""
    only = model(branches, "mssa")
    names = re.compile(r"stage3\.\d\.tssa\.k_(conv|bn)\.")
    unit = sum(weights.numel() for name, weights in only.named_parameters() if names.match(name))
    there, everywhere = parameters(only), parameters(model([branches[2]] * 3, "mssa"))
    return (
        f"{branches[2]} in stage 3 only {there / 1e6:.3f}, in all stages {everywhere / 1e6:.3f}; "
        f"with one more 1-tap unit in each stage-3 block {(there + unit) / 1e6:.3f}, {(everywhere + unit) / 1e6:.3f}"
    )
