"""Rates of single images beside a table of operations: means and intervals worked out from the images' energies."""

import statistics
from pathlib import Path

import pytest

from msvit_energy import EnergyError, Profile, price, read_table

OPERATIONS = """layer,macs,rate,runs,kind,accumulates,priced_as
a,2000,0.2,4,binary,,AC
b,3000,1.5,2,integer,,AC
products,,,4,,21,AC
fixed,100,0.5,4,binary,,AC
"""
RATES = [(0.125, 1.25, 10.5), (0.25, 1.75, 20.25), (0.1, 2.0, 33.0)]
ENERGIES = [0.9 * (8000 * a + 6000 * b + 4 * products + 200) / 1e9 for a, b, products in RATES]


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    rows = [f"{number},{b},{a},{products}" for number, (a, b, products) in enumerate(RATES)]
    (tmp_path / "operations.csv").write_text(OPERATIONS)
    (tmp_path / "rates.csv").write_text("\n".join(["Image,b,a,products", *rows]))
    return tmp_path / "operations.csv", tmp_path / "rates.csv"


@pytest.mark.parametrize("protocol", ["as-given", "appendix-c", "sdt:rate=mean"])
def test_mean_and_interval_are_those_of_the_energies_of_images(protocol: str, files: tuple[Path, Path]) -> None:
    profile = read_table(files[0], per_image=files[1])
    report = price(profile, protocol)
    assert profile.images == 3
    assert report.total_mj == pytest.approx(statistics.mean(ENERGIES), rel=1e-12)
    half = 12.7062047 * statistics.stdev(ENERGIES) / 3**0.5
    assert report.interval_mj == pytest.approx((max(report.total_mj - half, 0), report.total_mj + half), rel=1e-7)
    assert report.spread is not None
    assert report.spread.half_width / 1e9 == pytest.approx(half, rel=1e-7)


def test_the_profile_is_stored_exactly(files: tuple[Path, Path], tmp_path: Path) -> None:
    profile = read_table(files[0], per_image=files[1])
    profile.save(tmp_path / "p.json")
    assert Profile.load(tmp_path / "p.json") == profile


def test_what_is_not_of_single_images_is_announced(files: tuple[Path, Path]) -> None:
    warnings = read_table(files[0], per_image=files[1]).warnings()
    assert "1 of 4 layers have no rates of single images: one rate for all" in warnings
    (other,) = [warning for warning in warnings if "other means" in warning]
    assert other.startswith("3 layers have other means over images than in the table, such as a;")


@pytest.mark.parametrize(("rate", "other"), [("0.2000001", False), ("0.2000003", True)])
def test_a_mean_that_the_table_has_rounded_is_the_same(rate: str, other: bool, tmp_path: Path) -> None:
    # up to a millionth of the table's 0.2
    (tmp_path / "operations.csv").write_text("layer,macs,rate,runs\na,2000,0.2,4\n")
    (tmp_path / "rates.csv").write_text(f"image,a\n1,{rate}\n2,{rate}\n")
    warnings = read_table(tmp_path / "operations.csv", per_image=tmp_path / "rates.csv").warnings()
    assert any("other means" in warning for warning in warnings) == other


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a,b\n0.1,1\n", "the first column must be image or sequence or sample, not 'a'"),
        ("image,a,x\n1,0.1,1\n", "column 3: 'x' is no layer in the table of operations"),
        ("image,a,a\n1,0.1,0.1\n", "column 3: 'a' is a second column"),
        ("image,a\n", "has no images"),
        ("image\n1\n", "has no columns of layers beside 'image'"),
        ("image,a\n1,1.5\n", "line 2: a must be a finite number, from 0 to 1, not 1.5"),
        ("image,a\n1,150%\n", "line 2: a: a binary input has a rate of at most 1, not 150%"),
        ("image,a\n1,\n", "line 2: a must be a number, not ''"),
        ("image,b\n1,-1\n", "line 2: b must be a finite number, 0 or more, not -1"),
    ],
)
def test_what_cannot_be_is_one_line_with_its_place(text: str, message: str, files: tuple[Path, Path]) -> None:
    files[1].write_text(text)
    with pytest.raises(EnergyError, match=message):
        read_table(files[0], per_image=files[1])


@pytest.mark.slow
def test_a_tracker_on_320_sequences() -> None:
    from msvit_energy.workflows.published.evidence import FOLDER

    rates = FOLDER / "spikefet_tiny_rates.csv.gz"
    report = price(read_table(FOLDER / "spikefet_tiny.csv", per_image=rates), "as-given")
    # mean and standard error of the 320 energies by numpy, 95 % point of Student's t with 17 degrees of freedom
    assert report.total_mj == pytest.approx(18.358204641257082, rel=1e-12)
    assert report.interval_mj == pytest.approx((18.358204641257082 - 0.0941633, 18.358204641257082 + 0.0941633))
