"""Tables of layers as people have them, read as profiles: what counts as which column, percent, and what is refused."""

import re
import subprocess
import sys
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import pytest
import torch
from openpyxl import Workbook
from spikingjelly.activation_based import layer, neuron
from torch import nn

import msvit_energy
from msvit_energy import EnergyError, Profile, price, read_table

PLAIN = "layer,macs_per_step,input_rate,runs\n"
KINDS = "layer,macs_per_step,input_rate,runs,kind\n"


def table(folder: Path, text: str, name: str = "table.csv") -> Path:
    path = folder / name
    path.write_text(text)
    return path


def rates(profile: Profile) -> dict[str, Fraction]:
    return {item.layer: Fraction(sum(item.driver.sums), item.driver.elements) for item in profile.operators}


def test_operations_by_hand(tmp_path: Path) -> None:
    path = table(tmp_path, KINDS + "stem,1000,0.5,1,analog\na.conv,2000,0.125,4,binary\na.sum,300,1.5,4,integer\n")
    profile = read_table(path)
    assert profile.time_steps == 4
    report = price(profile)
    assert report.acs == 4 * (2000 * 0.125 + 300 * 1.5)
    assert report.macs == 1000
    assert profile.macs_per_step == 3300
    assert price(profile, "sdt:rate=mean").acs == report.acs
    # of real numbers nothing larger than their mean is known; of whole ones with a mean of 1.5 some are 2
    assert [operator.driver.maximum for operator in profile.operators] == [0.5, 1, 2]


@pytest.mark.parametrize(
    "text",
    [
        "FLOPs,Extra,Name,FR (%),Runs\n2000,x,a,12.5,4\n\n1.2M,,b,3,4\n",
        "name;ops;rate;time steps\na;2e3;12.5%;4\nb;1.2 M;3%;4\n",
        "module\tMACs\tfiring_rate_percent\truns\n\n\nb\t1200000\t3\t4\na\t2k\t12.5\t4\n",
        "\ufefflayer,macs-per-step,Firing Rate [%],runs\r\na,2000.0,12.5,4\r\nb,1200000,3.00,4\r\n",
        "layer,operations,spike_rate,runs\na,2000,.125,4\nb,1200000,0.03,4\n",
    ],
)
def test_spellings_of_one_table(text: str, tmp_path: Path) -> None:
    profile = read_table(table(tmp_path, text))
    assert rates(profile) == {"a": Fraction(1, 8), "b": Fraction(3, 100)}
    assert {item.layer: (item.macs_per_step, item.runs_per_image) for item in profile.operators} == {
        "a": (2000, 4),
        "b": (1200000, 4),
    }


def test_a_spreadsheet_with_cells_in_percent_is_the_same_table(tmp_path: Path) -> None:
    book = Workbook()
    sheet = book.active
    for row in (["Layer", "FLOPs", "Rate", "Note"], ["a", 2000, 0.125, None], [], ["b", 1.2e6, 0.03, "x"]):
        sheet.append(row)
    for cell in sheet["C"][1:]:
        cell.number_format = "0.0%"
    book.save(tmp_path / "table.xlsx")
    profile = read_table(tmp_path / "table.xlsx", time_steps=4)
    assert {layer: float(rate) for layer, rate in rates(profile).items()} == {"a": 0.125, "b": 0.03}
    plain = read_table(table(tmp_path, "layer,flops,rate\na,2000,0.125\nb,1200000,0.03\n"), time_steps=4)
    assert price(profile).acs == price(plain).acs == 4 * (250 + 36000)


def test_counted_accumulates_stand_for_operations_and_rate(tmp_path: Path) -> None:
    text = (
        "layer,macs_per_step,input_rate,runs,accumulates,priced_as\nq,,,4,12.25,AC\nk,100,,4,25,AC\nstem,10,1,4,,MAC\n"
    )
    profile = read_table(table(tmp_path, text))
    as_given = price(profile, "as-given")
    assert (as_given.acs, as_given.macs) == (4 * (12.25 + 25), 40)
    assert rates(profile)["k"] == Fraction(1, 4)
    assert any("1 of 3 layers have accumulates and no operations" in warning for warning in profile.warnings())


def test_the_authors_prices_are_needed_to_follow_them(tmp_path: Path) -> None:
    with pytest.raises(EnergyError, match="there is none for 1 layers, such as a"):
        price(read_table(table(tmp_path, PLAIN + "a,1,0.5,4\n")), "as-given")


def test_what_was_not_said_is_announced(tmp_path: Path) -> None:
    profile = read_table(table(tmp_path, PLAIN + "a,10,0.5,4\nb,10,1.5,4\n"))
    assert [item.driver.kind for item in profile.operators] == ["binary", "integer"]
    assert any("2 of 2 layers have no kind" in warning for warning in profile.warnings())
    assert any("no layer has a role" in warning for warning in profile.warnings())
    said = read_table(table(tmp_path, "layer,macs,rate,runs,kind,role\na,10,0.5,4,binary,Entrance\n"))
    assert said.warnings() == ["operations and rates from table.csv, not measured here"]
    assert said.operators[0].role == "entrance"


def test_what_was_read_is_kept_in_the_file(tmp_path: Path) -> None:
    profile = read_table(table(tmp_path, "Name,FLOPs,FR (%)\na,10,5\n"), time_steps=2)
    rates_origin = profile.provenance.rates
    assert rates_origin
    assert rates_origin.columns == {
        "layer": "'Name'",
        "macs_per_step": "'FLOPs'",
        "input_rate": "'FR (%)'",
        "runs": "2, as given",
    }
    profile.save(tmp_path / "table.profile.json")
    assert Profile.load(tmp_path / "table.profile.json") == profile


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (PLAIN + "a,10,0.5,4\na,10,0.5,4\n", "line 3: a second row for a$"),
        (KINDS + "a,10,1.5,4,binary\n", r"line 2 \(a\): a binary input has a rate of at most 1, not 1.5; percent need"),
        (KINDS + "a,10,50,4,Binary\n", "at most 1, not 50.0"),
        (KINDS + "a,10,0.5,4,spikes\n", r"line 2 \(a\): kind must be binary, integer, analog, not 'spikes'"),
        (PLAIN + "a,10,-0.5,4\n", "a rate must be 0 or more, not -0.5"),
        (PLAIN + "a,,0.5,4\n", r"line 2 \(a\): no number in column macs_per_step"),
        (PLAIN + "a,10,,4\n", r"line 2 \(a\): no number in column input_rate"),
        (PLAIN + "a,10,0.5,\n", r"line 2 \(a\): no number in column runs"),
        (PLAIN + "a,10,0.5,0\n", r"line 2 \(a\): runs must be at least 1, not 0"),
        (PLAIN + ",10,0.5,4\n", "line 2: no name in column layer"),
        (PLAIN + "a,10.5,0.5,4\n", "macs_per_step must be a whole number, not 10.5"),
        (PLAIN + 'a,"1,000",0.5,4\n', "macs_per_step must be a number, not '1,000'; decimals have a point"),
        (PLAIN + "a,10,nan,4\n", "input_rate must be a finite number"),
        (PLAIN + "a,10,0,5,4\n", "'4' is in column 5 of 4"),
        ("layer,flops,macs,rate,runs\na,1,1,1,1\n", "both 'flops' and 'macs' are macs_per_step; rename one"),
        (
            "layer,rate,runs\na,1,1\n",
            r"has no column macs_per_step \(macs_per_step or flops .*its columns: layer, rate",
        ),
        ("layer,macs (%),rate,runs\na,1,1,1\n", "column 'macs \\(%\\)' is in percent; only rates are"),
        ("layer,macs,rate\na,1,1\n", "neither a column runs nor --time-steps"),
        (PLAIN, "has no layers"),
        ("\n\n", "is empty"),
        ("layer,macs,rate,nonzero_rate,runs\na,1,1.5,1.6,4\n", "a share of non-zero values is from 0 to 1, not 1.6"),
        ("layer,macs,rate,nonzero_rate,runs\na,1,0.5,0.6,4\n", "a binary input of rate 0.5 cannot have a share of 0.6"),
        (
            "layer,macs,rate,nonzero_rate,kind,runs\na,1,0.5,0.6,integer,4\n",
            "an? integer input of rate 0.5 cannot have a share of 0.6",
        ),
        (
            "layer,macs,rate,nonzero_rate,kind,runs\na,1,0.5,0,integer,4\n",
            "an? integer input of rate 0.5 cannot have a share of 0.0",
        ),
    ],
)
def test_what_cannot_be_is_one_line_with_its_place(text: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(EnergyError, match=message) as caught:
        read_table(table(tmp_path, text))
    assert "\n" not in str(caught.value)


def test_time_steps_are_given_once(tmp_path: Path) -> None:
    with pytest.raises(EnergyError, match="a column 'runs' and --time-steps; give one of them"):
        read_table(table(tmp_path, PLAIN + "a,10,0.5,4\n"), time_steps=4)


def test_files_that_are_no_tables_are_refused(tmp_path: Path) -> None:
    with pytest.raises(EnergyError, match=r"cannot read .*none\.csv: No such file"):
        read_table(tmp_path / "none.csv")
    (tmp_path / "bad.csv").write_bytes(b"\xff\xfe\x00layer")
    with pytest.raises(EnergyError, match="is not a CSV file"):
        read_table(tmp_path / "bad.csv")
    (tmp_path / "bad.xlsx").write_text("layer,rate\n")
    with pytest.raises(EnergyError, match="is not an XLSX file"):
        read_table(tmp_path / "bad.xlsx")


@pytest.mark.slow
def test_no_torch_is_needed(tmp_path: Path) -> None:
    path = table(tmp_path, PLAIN + "a,1000,0.5,4\n")
    code = (
        "import sys; sys.modules['torch'] = None\n"
        f"sys.argv = ['msvit-energy', 'energy', '--table', {str(path)!r}, '--json']\n"
        "from msvit_energy.commands import main; main()"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert '"acs": 2000.0' in run.stdout, run.stderr


def test_a_table_with_sizes_is_priced_with_memory_as_the_network_is(tmp_path: Path) -> None:
    """A convolution and a linear layer, profiled, and typed from what is known of them."""
    torch.manual_seed(0)
    model = nn.Sequential(
        neuron.IFNode(step_mode="m"), layer.Conv2d(2, 6, 3, stride=2, padding=1, groups=2, step_mode="m"),
        neuron.IFNode(step_mode="m"), layer.Flatten(step_mode="m"), layer.Linear(54, 4, bias=False, step_mode="m"),
    ).eval()  # fmt: skip
    frames = (torch.rand(1, 4, 2, 6, 6) < 0.5).float()
    profile = msvit_energy.profile(model, [frames], frames=True, feed="time-first")
    conv, linear = profile.operators
    shares = [Fraction(sum(operator.driver.sums), operator.driver.elements) for operator in profile.operators]
    sized = table(
        tmp_path,
        "layer,macs,rate,runs,inputs,outputs,weights,kernel,stride,groups\n"
        f"1,{6 * 9 * 9},{float(shares[0])!r},4,72,54,54,3x3,2,2\n"
        f"4,{54 * 4},{float(shares[1])!r},4,54,4,216,,,\n",
    )
    read = read_table(sized)
    assert [operator.shape for operator in read.operators] == [conv.shape, linear.shape]
    for protocol in ("memory", "memory:schedule=dense", "lemaire", "qnn:memory=resident"):
        found = {row.layer: row.energy_pj for row in price(read, protocol).rows}
        wanted = {row.layer: row.energy_pj for row in price(replace(profile, overheads=()), protocol).rows}
        assert found == pytest.approx({name: wanted[name] for name in found}, rel=1e-12)
        assert set(found) == {"1", "4"}


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("1,486,0.1,4,72,54,,3x3,2,2", "inputs, outputs and weights go together; only inputs, outputs is given"),
        ("1,486,0.1,4,72,54,50,3x3,2,2", "50 weights and 54 outputs do not make 486 operations"),
        ("1,486,0.1,4,72,54,54,3y3,2,2", "kernel must be numbers such as 3x3, not '3y3'"),
        ("1,486,0.1,4,72,54,54,3x3,2x2x2,2", "a stride of 3 axes and a kernel of 2"),
        ("1,486,0.1,4,0,54,54,3x3,2,2", "operations, inputs and outputs of at least 1"),
    ],
)
def test_sizes_that_do_not_fit_are_refused(tmp_path: Path, row: str, message: str) -> None:
    sized = table(tmp_path, f"layer,macs,rate,runs,inputs,outputs,weights,kernel,stride,groups\n{row}\n")
    with pytest.raises(EnergyError, match=re.escape(message)):
        read_table(sized)


def test_a_table_with_sizes_and_rates_of_images_has_an_interval_with_memory(tmp_path: Path) -> None:
    """Two layers, three images: the standard error of energies that are in proportion to the rates."""
    sized = table(tmp_path, "layer,macs,rate,runs,inputs,outputs,weights\na,216,0.2,4,54,4,216\nb,80,0.5,4,20,4,80\n")
    each = table(tmp_path, "image,a\nx,0.1\ny,0.2\nz,0.6\n", "images.csv")
    profile = read_table(sized, per_image=each)
    report = price(profile, "memory")
    by_layer = {row.layer: row for row in report.rows}
    unit = by_layer["a"].energy_pj / 0.3
    assert by_layer["a"].spread is not None
    assert by_layer["a"].spread.standard_error == pytest.approx(unit * 0.07**0.5 / 3**0.5, rel=1e-9)
    assert by_layer["b"].energy_pj == pytest.approx(
        {row.layer: row.energy_pj for row in price(read_table(sized), "memory").rows}["b"], rel=1e-12
    )


def test_a_number_of_parameters_alone_changes_nothing(tmp_path: Path) -> None:
    plain, more = tmp_path / "plain.csv", tmp_path / "more.csv"
    plain.write_text("layer,macs,rate,runs\na,100,0.5,4\n")
    more.write_text("layer,macs,rate,runs,params\na,100,0.5,4,7 thousand\n")
    assert read_table(plain).operators == read_table(more).operators
