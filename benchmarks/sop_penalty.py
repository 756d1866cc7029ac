"""Accuracy against energy under the penalty on synaptic operations: the shipped checkpoint, trained on with several
strengths.

    python benchmarks/sop_penalty.py reports/sop_penalty

Every strength and seed is `msvit-energy train digits --init ... --epochs 2 --set base_lr=1e-3 --set sop_penalty=...`;
strength 0 is trained on as long as the others. Energies by Appendix C on all 355 test images. Takes 20 minutes on one
core; runs that are there already are not repeated.
"""

import json
import subprocess
import sys
from pathlib import Path

import pandas as pd

from msvit.checkpoint import SHIPPED
from msvit_energy.reporting.comparison import Entry
from msvit_energy.reporting.figures.style import save
from msvit_energy.reporting.figures.tradeoff import energy_accuracy

STRENGTHS = (0.0, 0.3, 1.0, 2.0, 4.0, 8.0, 16.0)
SEEDS = (0, 1, 2)
EPOCHS = 2


def train(strength: float, seed: int, folder: Path) -> dict[str, float]:
    """What one run reached: accuracy, energy with its interval, firing rate, SOPs."""
    if not (folder / "model.json").exists():
        settings = {"base_lr": 1e-3, "sop_penalty": strength, "profile_every": EPOCHS, "profile_images": 355}
        command = [sys.executable, "-m", "msvit_energy", "train", "digits", "--init", str(SHIPPED)]
        command += ["--epochs", str(EPOCHS), "--seed", str(seed), "--out", str(folder), "--force"]
        command += [part for key, value in settings.items() for part in ("--set", f"{key}={value}")]
        subprocess.run(command, check=True)
    metrics = json.loads((folder / "model.json").read_text())["metrics"]
    names = ("test_accuracy", "energy_mj", "energy_mj_low", "energy_mj_high", "firing_rate", "sops")
    return {"sop_penalty": strength, "seed": seed} | {name: metrics[name] for name in names}


def main(report: Path, runs: Path) -> None:
    """Run everything and report."""
    rows = [train(s, seed, runs / f"sop-penalty-{s}-{seed}") for s in STRENGTHS for seed in SEEDS]
    write(pd.DataFrame(rows), report)


def write(table: pd.DataFrame, report: Path) -> None:
    """Write sop_penalty.csv (all runs), sop_penalty.md (means) and sop_penalty.png."""
    means = table.groupby("sop_penalty")[["test_accuracy", "energy_mj", "firing_rate"]].mean().reset_index()
    worst = table.groupby("sop_penalty").test_accuracy.min().to_numpy()
    base = means.iloc[0]
    lines = [
        "# The penalty on synaptic operations",
        "",
        "| sop_penalty | accuracy | worst seed | mJ | energy saved | firing rate |",
    ]
    lines.append("| ---: | ---: | ---: | ---: | ---: | ---: |")
    for row, low in zip(means.itertuples(), worst, strict=True):
        saved = 1 - row.energy_mj / base.energy_mj
        lines.append(
            f"| {row.sop_penalty:g} | {row.test_accuracy:.2%} | {low:.2%} | {row.energy_mj:.6f} | {saved:.1%} | "
            f"{row.firing_rate:.4f} |"
        )
    lines += ["", f"Means of {len(SEEDS)} seeds, `benchmarks/sop_penalty.py`."]
    report.mkdir(parents=True, exist_ok=True)
    table.to_csv(report / "sop_penalty.csv", index=False)
    (report / "sop_penalty.md").write_text("\n".join(lines) + "\n")
    entries = [
        Entry(
            name=f"W = {row.sop_penalty:g}",
            data=f"digits test, W: strength of the SOP penalty, means of {len(SEEDS)} seeds",
            source="measured",
            energy_mj=row.energy_mj,
            top1=100 * row.test_accuracy,
            runs=tuple(
                (run.energy_mj, 100 * run.test_accuracy)
                for run in table[table.sop_penalty == row.sop_penalty].itertuples()
            ),
        )
        for row in means.itertuples()
    ]
    save(energy_accuracy(entries), report / "sop_penalty.png")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path("runs"))
