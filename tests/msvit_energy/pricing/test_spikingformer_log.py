"""The raw logs of Spikingformer's tool, as it prints them and as terminals keep them."""

import re
from collections.abc import Callable
from importlib import resources
from pathlib import Path

import pytest

from msvit_energy import EnergyError
from msvit_energy.pricing.published_rates import Rate, read_rates
from msvit_energy.pricing.spikingformer_log import read_log

LOGS = Path(str(resources.files("msvit_energy"))) / "reporting" / "data" / "rates"
LOG = LOGS / "spikingformer_8_512.log.txt"
PARSED = Path(__file__).parents[2] / "data" / "spikingformer" / "8_512.log.csv"
BAR = "Processing |####    | (1/9)   12.5000 (12.5000)"


def test_rates_are_those_of_the_table_that_was_parsed_before() -> None:
    log, table = read_log(LOG), read_rates(PARSED)
    assert log.rates.keys() == table.keys()
    products = [name for name in log.rates if name.endswith(("q_lif", "k_lif", "v_lif"))]
    assert len(products) == 24
    for name, rate in log.rates.items():
        if name in products:  # three decimals of a percent there, all digits here
            assert rate.mean == pytest.approx(table[name].mean, abs=5.1e-6)
        else:
            assert rate == table[name]
    assert log.rates["block.0.attn.q_lif"] == Rate(0.17230188630104062)


def test_totals_and_arguments() -> None:
    log, cml = read_log(LOG), read_log(LOGS / "cml_spikingformer_8_768.log.txt")
    assert (log.printed_mj, cml.printed_mj) == (7.463502601886196, 16.306188155064994)
    assert log.tool_arguments == {"depth": 8, "Nheads": 8, "embSize": 512, "patchSize": 14, "Tsteps": 4}
    assert log.conflicts() == []
    (conflict,) = cml.conflicts()
    assert "the tool was given Nheads = 12, the model num_heads = 8" in conflict


@pytest.mark.parametrize(
    "kept",
    [
        lambda text: text.replace("\n", "\r\n"),
        lambda text: "\n".join(f"\x1b[32m{line}\x1b[0m" for line in text.split("\n")),
        lambda text: "\n".join(f"{line}\n{BAR}" for line in text.split("\n")),
        lambda text: "\n".join(f"{BAR}\r\x1b[K{line}" for line in text.split("\n")),
    ],
    ids=["Windows", "colours", "bars between", "bars before"],
)
def test_what_terminals_add_does_not_matter(kept: Callable[[str], str], tmp_path: Path) -> None:
    path = tmp_path / "log.txt"
    path.write_bytes(kept(LOG.read_text()).encode())
    assert read_log(path) == read_log(LOG)


def test_a_log_that_breaks_off_has_rates_and_no_total(tmp_path: Path) -> None:
    path = tmp_path / "log.txt"
    before, heading, _ = LOG.read_text().partition("Firing rate of Q/K/V")
    for text in (before, before + heading + "\n"):
        path.write_text(text)
        log = read_log(path)
        assert log.printed_mj is None
        assert log.rates["block.0.attn.q_lif"] == Rate(0.17230)


def test_a_rate_that_cannot_be_is_refused_with_its_line(tmp_path: Path) -> None:
    lines = LOG.read_text().splitlines()
    place = next(place for place, line in enumerate(lines) if "v_threshold" in line)
    lines[place] = re.sub(r"[0-9.]+%(?= Spike Rate)", "250%", lines[place])
    (tmp_path / "log.txt").write_text("\n".join(lines))
    with pytest.raises(EnergyError, match=rf"log.txt, line {place + 1}: spike_rate_percent"):
        read_log(tmp_path / "log.txt")


def test_other_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(EnergyError, match="is no log of Spikingformer's tool"):
        read_log(PARSED)
    with pytest.raises(EnergyError, match="cannot read"):
        read_log(tmp_path / "none.txt")
    fewer = tmp_path / "fewer.txt"
    fewer.write_text(LOG.read_text().replace("[[0.17230188630104062, 0.03626344770312309, 0.06957707978010177], ", "["))
    with pytest.raises(EnergyError, match="7 rates of q_lif for 8 blocks"):
        read_log(fewer)
