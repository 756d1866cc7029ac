"""Published rates on a model's own geometry.

`spikingformer/8_512.log.csv` is the authors' log of a trained Spikingformer-8-512 on the 50,000 ImageNet validation
images (github.com/zhouchenlin2096/Spikingformer at 4378623, imagenet/energy_consumption_logs), which prints
7.463502601886196 mJ; `8_512.rates.csv` has its rates to nine digits, and those of q, k and v in full.
"""

import csv
from pathlib import Path

import pytest
import torch

import msvit
from msvit_energy import EnergyError, Profile, price
from msvit_energy.geometry import geometry
from msvit_energy.pricing.published_rates import Rate, fill, fill_uniform, read_rates

DATA = Path(__file__).parents[2] / "data" / "spikingformer"
LOG = "name,type,dense_ops_per_image,ac_ops,mac_ops,spike_rate_percent"
PRINTED_MJ = 7.463502601886196


def skeleton_of(name: str, **arguments: object) -> tuple[Profile, list[str]]:
    """A registered model's geometry and the names of its modules."""
    with torch.device("meta"):
        model = msvit.create_model(name, **arguments)
    return geometry(model, model.input_size, model.time_steps), [module for module, _ in model.named_modules()]


@pytest.fixture(scope="module")
def spikingformer() -> tuple[Profile, list[str]]:
    return skeleton_of("spikingformer_8_512")


def priced(spikingformer: tuple[Profile, list[str]], file: str, protocol: str) -> float:
    return price(fill(spikingformer[0], read_rates(DATA / file), spikingformer[1], file), protocol).total_mj


def test_nine_digit_rates_give_the_printed_energy(spikingformer: tuple[Profile, list[str]]) -> None:
    assert priced(spikingformer, "8_512.rates.csv", "spikingformer-tool") == pytest.approx(PRINTED_MJ, rel=1e-9)


@pytest.mark.parametrize(
    ("protocol", "energy"),
    [
        ("spikingformer-tool", PRINTED_MJ),
        ("appendix-c", 6.26011915),
        ("appendix-c:first-layer=every-step", 7.456636116),
        ("appendix-c-mean", 5.803056681),
    ],
)
def test_the_log_as_it_is_gives_the_energies_worked_out_from_its_rows(
    protocol: str, energy: float, spikingformer: tuple[Profile, list[str]]
) -> None:
    # the log prints the rates of q, k and v, which the products need, to three decimals of a percent
    assert priced(spikingformer, "8_512.log.csv", protocol) == pytest.approx(energy, rel=2e-7)


def test_syops_counts_what_the_log_lists_apart_from_pooling(spikingformer: tuple[Profile, list[str]]) -> None:
    """The log has what the engine, a copy of syops-counter, counts in each module. The official code repeats the image,
    so that the stem's batch norm runs four times; ours runs it once, three times 6,422,528 operations less."""
    with (DATA / "8_512.log.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if row["type"] != "MaxPool2d"]
    macs, acs = (sum(float(row[name]) for row in rows) for name in ("mac_ops", "ac_ops"))
    filled = fill(spikingformer[0], read_rates(DATA / "8_512.log.csv"), spikingformer[1], "log")
    report = price(filled, "syops")
    assert (report.macs, report.acs) == pytest.approx((macs - 3 * 6_422_528, acs), rel=1e-12)


def test_one_rate_gives_the_line_through_the_published_value() -> None:
    # E(r) = 146.773 r + 1.197 mJ for MSViT-10-768, counted independently of this code
    skeleton, _ = skeleton_of("msvit_10_768")
    assert price(fill_uniform(skeleton, 0.306)).total_mj == pytest.approx(146.773 * 0.306 + 1.197, abs=1e-3)
    assert skeleton.integer_share == 0  # nothing was observed
    filled = fill_uniform(skeleton, 0.306)
    assert filled.integer_share == pytest.approx(18.32 / 41.0311, abs=1e-3)


@pytest.mark.parametrize("name", ["sdt_cifar", "qkformer_cifar", "msvit_cifar", "sdtv2_15m", "spikingresformer_ti"])
def test_one_rate_fits_every_family(name: str) -> None:
    skeleton, _ = skeleton_of(name)
    half, whole = (price(fill_uniform(skeleton, rate)) for rate in (0.5, 1.0))
    assert whole.acs == pytest.approx(2 * half.acs, rel=1e-12)
    assert half.acs > 0


def test_rates_survive_exactly(spikingformer: tuple[Profile, list[str]], tmp_path: Path) -> None:
    filled = fill_uniform(spikingformer[0], 0.1)
    assert {operator.driver.rate for operator in filled.operators if operator.driver.carries_spikes} == {0.1}
    filled.save(tmp_path / "p.json")
    assert Profile.load(tmp_path / "p.json") == filled


def test_integers_need_their_nonzero_rate_where_a_protocol_uses_it() -> None:
    skeleton, modules = skeleton_of("msvit_digits")
    rates = {layer.neuron: Rate(0.1) for layer in skeleton.neurons}
    rates |= {o.layer: Rate(0.25, nonzero=0.2) for o in skeleton.operators if o.driver.carries_spikes}
    frame = fill(skeleton, rates, modules, "rates").to_frame().set_index("layer")
    assert frame.nonzero_rate["stage1.0.tssa.q_conv"] == pytest.approx(0.2)
    assert frame.kind["stage1.0.tssa.q_conv"] == "integer"
    with pytest.raises(EnergyError, match="share of non-zero inputs is unknown; give its nonzero_rate"):
        price(fill_uniform(skeleton, 0.25), "sdt")


def test_missing_and_unknown_layers_are_listed(spikingformer: tuple[Profile, list[str]]) -> None:
    rates = read_rates(DATA / "8_512.rates.csv")
    del rates["block.3.attn.k_lif"], rates["block.0.mlp.fc1_conv"]
    rates["block.9.attn.q_conv"] = Rate(0.1)
    with pytest.raises(EnergyError) as raised:
        fill(spikingformer[0], rates, spikingformer[1], "rates.csv")
    assert str(raised.value) == (
        "rates.csv does not fit the model: no rate for block.0.mlp.mlp1_conv, block.3.attn.k_lif; "
        "no layer called block.9.attn.q_conv"
    )


def test_a_rate_of_a_product_is_that_of_its_spikes(spikingformer: tuple[Profile, list[str]]) -> None:
    rates = read_rates(DATA / "8_512.rates.csv")
    for name in "qkv":
        del rates[f"block.0.attn.{name}_lif"]
    rates |= {"block.0.attn.product.kv": Rate(0.5), "block.0.attn.product.qkv": Rate(0.25)}
    rows = fill(spikingformer[0], rates, spikingformer[1], "rates").to_frame().set_index("layer").input_rate
    assert (rows["block.0.attn.product.kv"], rows["block.0.attn.product.qkv"]) == (0.5, 0.25)


def test_a_log_of_another_size_or_other_time_steps_is_refused(spikingformer: tuple[Profile, list[str]]) -> None:
    log = read_rates(DATA / "8_512.log.csv")
    with pytest.raises(EnergyError, match=r"no layer called block\.6\.attn\.proj_lif"):
        fill(*_with(skeleton_of("spikingformer_8_512", depth=6), log))
    with pytest.raises(EnergyError, match=r"other dense operations at T = 2 in patch_embed\.proj_conv"):
        fill(*_with(skeleton_of("spikingformer_8_512", time_steps=2), log))


def _with(
    skeleton: tuple[Profile, list[str]], rates: dict[str, Rate]
) -> tuple[Profile, dict[str, Rate], list[str], str]:
    return skeleton[0], rates, skeleton[1], "log"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("layer,input_rate\na,-0.1\n", "line 2: input_rate must be 0 or more, not -0.1"),
        ("layer,input_rate\na,nan\n", "line 2: input_rate must be a finite number, 0 or more, not nan"),
        ("layer,input_rate\na,x\n", "line 2: input_rate must be a number, not 'x'"),
        ("layer,input_rate\na,\n", "line 2: input_rate must be a number, not ''"),
        ("layer,input_rate\na,0.1\na,0.2\n", "line 3: a second rate for a"),
        ("layer,input_rate,kind\na,0.1,spiky\n", "line 2: kind must be binary, integer, analog, not 'spiky'"),
        ("layer,input_rate,kind\na,1.5,binary\n", "line 2: a binary input has a rate of at most 1"),
        (
            "layer,input_rate,nonzero_rate\na,1.5,1.1\n",
            "line 2: nonzero_rate must be a finite number, from 0 to 1, not",
        ),
        (
            'layer,input_rate\na,"0,5"\n',
            "line 2: input_rate must be a number, not '0,5'; decimals have a point, not a comma",
        ),
        (
            "layer,input_rate\na,0.1\n\nb,0,5\n",
            r"line 4: '5' is in column 3 of 2 \(layer,input_rate\); decimals have a",
        ),
        ("layer,input_rate,kind\na,0.1,binary,x\n", r"line 2: 'x' is in column 4 of 3 \(layer,input_rate,kind\)"),
        ("layer,input_rate,kind\na,0.1\n", "line 2: no cell in column 3, kind"),
        ("layer,input_rate\na\n", "line 2: no cell in column 2, input_rate"),
        ("layer,input_rate\na,0_5\n", "line 2: input_rate must be a number, not '0_5'"),
        ("layer,input_rate,nonzero_rate,kind\na,0,0.1,integer\n", r"line 2: nonzero_rate is 0\.1 and input_rate 0\.0"),
        (
            "layer,input_rate,nonzero_rate,kind\na,0.2,0.3,integer\n",
            r"line 2: nonzero_rate is 0\.3 and input_rate 0\.2",
        ),
        ("layer,input_rate,nonzero_rate,kind\na,0.2,0,integer\n", r"line 2: nonzero_rate is 0\.0 and input_rate 0\.2"),
        ("layer,input_rate,input_rate\na,1,2\n", "has the columns layer,input_rate,input_rate; rates have"),
        (f"{LOG}\na,Conv2d,8,4,0,12,5\n", "line 2: '5' is in column 7 of 6"),
        (f"{LOG}\na,Conv2d,8,4,0\n", "line 2: no cell in column 6, spike_rate_percent"),
        ("layer,rate\na,0.1\n", "has the columns layer,rate; rates have layer,input_rate and perhaps"),
        ("", r"has the columns \(none\)"),
        (f"{LOG}\na,Conv2d,0,0,0,1\n", "ops_per_image is 0"),
    ],
)
def test_damaged_tables_of_rates_are_named(content: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "r.csv").write_text(content)
    with pytest.raises(EnergyError, match=message):
        read_rates(tmp_path / "r.csv")


def test_integers_may_all_be_zero(tmp_path: Path) -> None:
    (tmp_path / "r.csv").write_text("layer,input_rate,nonzero_rate,kind\na,0,0,integer\nb,1.5,1,integer\n")
    assert read_rates(tmp_path / "r.csv") == {"a": Rate(0.0, 0.0, "integer"), "b": Rate(1.5, 1.0, "integer")}


def test_a_share_that_the_layers_input_cannot_have_is_refused_with_its_line(tmp_path: Path) -> None:
    # the kind is the model's: q_conv is fed with sums of spikes, proj_conv of the attention with spikes
    skeleton, modules = skeleton_of("msvit_digits")
    origins = {o.layer: o.driver.origin for o in skeleton.operators}
    summed, fired = (next(layer for layer, origin in origins.items() if origin == kind) for kind in ("sum", "spikes"))
    rows = [f"{layer.neuron},0.1," for layer in skeleton.neurons]
    rows += [f"{o.layer},0.25,0.25" for o in skeleton.operators if o.driver.carries_spikes]
    table = tmp_path / "r.csv"
    for layer, share, message in (
        (summed, "0.3", r"nonzero_rate is 0\.3 and input_rate 0\.25; whole numbers that are not 0 are 1 or more"),
        (fired, "0", r"nonzero_rate is 0\.0 and input_rate 0\.25"),
    ):
        changed = [row.replace("0.25,0.25", f"0.25,{share}") if row.startswith(f"{layer},") else row for row in rows]
        table.write_text("\n".join(["layer,input_rate,nonzero_rate", *changed]))
        line = 2 + next(i for i, row in enumerate(changed) if row.startswith(f"{layer},"))
        with pytest.raises(EnergyError, match=rf"^r\.csv, line {line}: {layer}: {message}"):
            fill(skeleton, read_rates(table), modules, "r.csv")
    table.write_text("\n".join(["layer,input_rate,nonzero_rate", *rows]))
    assert fill(skeleton, read_rates(table), modules, "r.csv").firing_rate == pytest.approx(0.1)


def test_an_old_and_a_new_name_of_one_layer_are_refused(
    spikingformer: tuple[Profile, list[str]], tmp_path: Path
) -> None:
    content = (DATA / "8_512.rates.csv").read_text().rstrip()
    (tmp_path / "r.csv").write_text(
        f"{content}\nblock.0.mlp.mlp1_conv,0.5{',' * (content.split()[0].count(',') - 1)}\n"
    )
    line = len(content.splitlines()) + 1
    message = rf"^r, line {line}: layer 'block.0.mlp.mlp1_conv' is 'block.0.mlp.fc1_conv' by another name"
    with pytest.raises(EnergyError, match=message):
        fill(spikingformer[0], read_rates(tmp_path / "r.csv"), spikingformer[1], "r")


def test_networks_may_be_silent(spikingformer: tuple[Profile, list[str]]) -> None:
    assert price(fill_uniform(spikingformer[0], 0.0)).acs == 0


def test_a_rate_of_spikes_is_at_most_1(spikingformer: tuple[Profile, list[str]]) -> None:
    with pytest.raises(EnergyError, match=r"its input is spikes, so its rate is at most 1, not 1\.5"):
        fill_uniform(spikingformer[0], 1.5)
    with pytest.raises(EnergyError, match="a rate must be a finite number, 0 or more, not nan"):
        fill_uniform(spikingformer[0], float("nan"))


def test_a_missing_table_is_named(tmp_path: Path) -> None:
    with pytest.raises(EnergyError, match="cannot read rates"):
        read_rates(tmp_path / "gone.csv")
