"""What papers print, as data. Quoted as printed, mistakes included; ours always stands beside it."""

import csv
from importlib import resources
from pathlib import Path
from typing import Any

from msvit_energy.errors import EnergyError, did_you_mean

OWN = ("method", "architecture", "dataset", "params_m", "time_steps", "energy_mj", "top1", "source")  # of a user's CSV
NUMBERS = {"params_m": float, "time_steps": int, "energy_mj": float, "top1": float}


def published_table(name: str) -> list[dict[str, Any]]:
    """A table of the MSViT paper (arXiv 2505.14719) by name: "table1", "table2", "table3"; or "table1_appendix", which
    others printed of models that Table 1 does not have. One record per row, in order; None where nothing is printed.
    Parameters in M, energy in mJ, top-1 accuracy in percent."""
    return read_rows((resources.files("msvit_energy.reporting") / "data" / f"{name}.csv").read_text(), name)


def read_published(path: Path) -> list[dict[str, Any]]:
    """Rows of somebody's own CSV with such columns, of which `method` or `architecture` must be there; EnergyError for
    any other column."""
    try:
        text = path.read_text()
        for name in next(csv.reader(text.splitlines()), []):
            if name not in OWN:
                raise EnergyError(
                    f"{path}: no column {name!r} is known; {did_you_mean(name, OWN)}columns: {', '.join(OWN)}"
                )
        return read_rows(text, str(path))
    except OSError as error:
        raise EnergyError(f"cannot read {path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise EnergyError(f"{path} is not a CSV: {error}") from error


def read_rows(text: str, name: str) -> list[dict[str, Any]]:
    """Records of a CSV, numbers as numbers; EnergyError for one without architectures or with a number that is none."""
    rows = []
    for line, row in enumerate(csv.DictReader(text.splitlines()), start=2):
        if None in row:
            raise EnergyError(f"{name}, line {line}: more cells than columns")
        if not row.get("architecture") and not row.get("method"):
            raise EnergyError(f"{name}, line {line}: no method and no architecture")
        try:
            rows.append({key: NUMBERS.get(key, str)(value) if value else None for key, value in row.items()})
        except ValueError as error:
            raise EnergyError(f"{name}, line {line}: {error}") from error
    if not rows:
        raise EnergyError(f"{name} has no rows")
    return rows
