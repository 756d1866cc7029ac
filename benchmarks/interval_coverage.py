"""How often a 95 % interval from some images contains the mean of all: on the 320 sequences whose rates SpikeFET's
authors published, for samples of a given size and for measurements that stop by `--ci`.

`python benchmarks/interval_coverage.py FOLDER` writes intervals.md.
"""

import math
import sys
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import NamedTuple

import numpy as np

from msvit_energy import price, read_table
from msvit_energy.profiles.amounts import CONFIDENCE, quantile
from msvit_energy.profiles.student_t import student_t
from msvit_energy.profiles.table_cells import read_cells
from msvit_energy.workflows.measuring.interval_stop import FEWEST_IMAGES
from msvit_energy.workflows.published.evidence import FOLDER

DRAWS = 2000
SIZES = (8, 16, 32, 64)
LIMITS = (0.05, 0.02, 0.01, 0.005)
BATCHES = (1, 8, 32)
RULES: dict[str, Callable[[int], float]] = {
    "n - 1 degrees of freedom (before)": lambda images: student_t(CONFIDENCE, images - 1),
    "root of n (now)": quantile,
}


def energies() -> np.ndarray:
    """Energy of every sequence in mJ, whose mean is the total of the profile."""
    table, path = FOLDER / "spikefet_tiny.csv", FOLDER / "spikefet_tiny_rates.csv.gz"
    profile = read_table(table)
    weights = {
        item.layer: (1 if item.op == "counted" else item.macs_per_step) * item.runs_per_image * 0.9e-9
        for item in profile.operators
    }
    (_, header), *lines = read_cells(path)
    known = set(header[1:])
    constant = sum(item.energy_pj for item in price(profile, "as-given").rows if item.layer not in known) / 1e9
    found = [
        constant + sum(weights[layer] * float(Fraction(rate)) for layer, rate in zip(header[1:], row[1:], strict=True))
        for _, row in lines
    ]
    total = price(read_table(table, per_image=path), "as-given").total_mj
    assert math.isclose(np.mean(found), total, rel_tol=1e-9), (np.mean(found), total)
    return np.array(found)


class Sampling(NamedTuple):
    """How sequences are drawn: `rows` are the draws in order; the standard error may know that the population ends."""

    name: str
    rows: np.ndarray
    correction: bool


def covered(
    mean: np.ndarray, error: np.ndarray, images: np.ndarray, truth: float, rule: Callable[[int], float]
) -> float:
    halves = np.array([rule(int(n)) for n in images]) * error
    return float((abs(mean - truth) <= halves + 1e-12).mean())


def moments(sampling: Sampling, population: int) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard error of the first 1, 2, ... of each draw."""
    sizes = np.arange(1, sampling.rows.shape[1] + 1)
    mean = sampling.rows.cumsum(1) / sizes
    deviations = (sampling.rows**2).cumsum(1) - sizes * mean**2
    error = np.sqrt(np.maximum(deviations, 0) / np.maximum(sizes - 1, 1) / sizes)
    if sampling.correction:
        error *= np.sqrt(np.maximum(0, 1 - sizes / population))
    return mean, error


def of_sizes(sampling: Sampling, truth: float, population: int) -> dict[str, list[float]]:
    """Coverage by rule and number of images."""
    mean, error = moments(sampling, population)
    return {
        name: [covered(mean[:, n - 1], error[:, n - 1], np.full(len(mean), n), truth, rule) for n in SIZES]
        for name, rule in RULES.items()
    }


def of_stops(sampling: Sampling, truth: float, population: int) -> dict[tuple[float, int], list[tuple[float, float]]]:
    """Coverage and median number of images by rule, for each limit and batch size: a measurement ends when half of the
    interval is within the limit, or with the last image."""
    mean, error = moments(sampling, population)
    last = mean.shape[1]
    found: dict[tuple[float, int], list[tuple[float, float]]] = {}
    for limit in LIMITS:
        for batch in BATCHES:
            sizes = np.array([n for n in (*range(batch, last, batch), last) if n >= FEWEST_IMAGES])
            for rule in RULES.values():
                halves = np.array([rule(int(n)) for n in sizes]) * error[:, sizes - 1]
                enough = halves <= limit * mean[:, sizes - 1]
                stop = np.where(enough.any(1), enough.argmax(1), len(sizes) - 1)
                rows = np.arange(len(mean))
                ended = sizes[stop]
                share = covered(mean[rows, ended - 1], error[rows, ended - 1], ended, truth, rule)
                found.setdefault((limit, batch), []).append((share, float(np.median(ended))))
    return found


def report(values: np.ndarray) -> str:
    """The page."""
    generator, truth, population = np.random.default_rng(0), float(values.mean()), len(values)
    drawn = values[np.stack([generator.permutation(population) for _ in range(DRAWS)])]
    again = values[generator.integers(0, population, (DRAWS, population))]
    samplings = [
        Sampling("without replacement", drawn, False),
        Sampling("without replacement, finite-population correction", drawn, True),
        Sampling("with replacement (an endless population)", again, False),
    ]
    scores = (values - truth) / values.std()
    lines = [
        "# How often a 95 % interval is right",
        "",
        "`python benchmarks/interval_coverage.py reports/evidence` writes this page. SpikeFET-Tiny's rates on 320 real",
        "sequences (see evidence.md) give 320 energies by its authors' convention, with a mean of "
        f"{truth:.4f} mJ and a",
        f"standard deviation of {values.std(ddof=1) / truth:.1%}. They are skewed ({(scores**3).mean():.1f}, kurtosis "
        f"{(scores**4).mean():.0f}): the lowest five are",
        f"{', '.join(f'{score:.1f}' for score in sorted(scores)[:5])} standard deviations from the mean. Below is, of "
        f"{DRAWS} random samples each,",
        "the share whose 95 % interval contains the mean of all 320, by Student's t with n - 1 degrees of freedom",
        "and with the root of n, without the finite-population correction (as the commands have it) and with it.",
        "",
        "## Samples of a given size",
        "",
        "| sampling | degrees of freedom | " + " | ".join(f"n = {n}" for n in SIZES) + " |",
        "| --- | --- |" + " ---: |" * len(SIZES),
    ]
    for sampling in samplings:
        for name, shares in of_sizes(sampling, truth, population).items():
            lines.append(f"| {sampling.name} | {name} | " + " | ".join(f"{share:.1%}" for share in shares) + " |")
    lines += ["", "## Measurements that stop by `--ci`", ""]
    lines += [f"They have at least {FEWEST_IMAGES} images. In parentheses the median number of images at the end.", ""]
    for sampling in samplings:
        names = list(RULES)
        lines += [f"### {sampling.name.capitalize()}", "", f"| limit | batch | {names[0]} | {names[1]} |"]
        lines += ["| ---: | ---: | ---: | ---: |"]
        for (limit, batch), results in of_stops(sampling, truth, population).items():
            cells = " | ".join(f"{share:.1%} ({images:.0f})" for share, images in results)
            lines.append(f"| {limit:.1%} | {batch} | {cells} |")
        lines.append("")
    return "\n".join(lines)


if __name__ == "__main__":
    (Path(sys.argv[1]) / "intervals.md").write_text(report(energies()))
