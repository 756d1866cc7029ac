"""Profile every network of the gallery as it is, and write README.md and gallery.csv.

    python reports/gallery/write_gallery.py reports/gallery

The networks are in tests/support/gallery; tests/msvit_energy/recording/test_gallery.py holds every line against brute
force and against a twin.
"""

import sys
from pathlib import Path

import pandas as pd

sys.path.insert(0, str(Path(__file__).parents[2]))

from msvit_energy import price
from tests.support.gallery import ENTRIES
from tests.support.gallery.entry import Entry, profiled

INTRODUCTION = """\
# Gallery

Spiking networks as people write them, each profiled as it is: `msvit_energy.profile(model, batches)` with what is in
the column "passed". Every one is a few lines in [tests/support/gallery](../../tests/support/gallery), with T = 4 and
three small images. Its MACs and events are those of a brute force over the calls of PyTorch's kernels, and its energy
that of a twin of SpikingJelly modules over `[T, B, ...]` with the same weights, which the tests check.

"feed" is what was found: called once with the batch as it is (`image`), with T in front (`time-first`), behind the
images (`batch-first`) or last (`time-last`), or called T times (`step`). MACs (over all executions), events of inputs
that are whole numbers, and energy (Appendix C, 45 nm) are per image. Weights are random.
"""


def row(entry: Entry) -> dict[str, str | int | float]:
    """One network: how it is written, what was found, and what it costs."""
    profile = profiled(entry)
    spiking = [operator for operator in profile.operators if operator.driver.kind != "analog"]
    events = sum(operator.events(profile.images).value for operator in spiking)
    return {
        "network": entry.name,
        "written": entry.written,
        "passed": ", ".join(f"{name}={value!r}" for name, value in entry.passed.items()),
        "feed": str(profile.provenance.input.feed),
        "T": profile.time_steps,
        "MACs": sum(operator.macs_per_image for operator in profile.operators),
        "events": round(events, 2),
        "nJ": round(price(profile).total_mj * 1e6, 4),
        "warnings": "; ".join(profile.warnings()),
    }


def main(folder: Path) -> None:
    """Write both files."""
    table = pd.DataFrame([row(entry) for entry in ENTRIES])
    folder.mkdir(parents=True, exist_ok=True)
    table.to_csv(folder / "gallery.csv", index=False)
    numbers = ("T", "MACs", "events", "nJ")
    lines = ["| " + " | ".join(table.columns) + " |"]
    lines.append("| " + " | ".join("---:" if name in numbers else "---" for name in table.columns) + " |")
    for values in table.astype(str).to_numpy():
        cells = [f"`{each}`" if name == "passed" and each else each for name, each in zip(table, values, strict=True)]
        lines.append("| " + " | ".join(cells) + " |")
    left_out = "\nsinabs is left out: its package needs an older nir than Norse, and a vendor's library."
    (folder / "README.md").write_text(INTRODUCTION + "\n" + "\n".join(lines) + "\n" + left_out + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
