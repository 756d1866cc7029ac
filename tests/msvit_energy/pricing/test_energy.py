"""Pricing from records alone: what each protocol counts, and what it leaves out, worked out by hand."""

import subprocess
import sys
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from msvit_energy import EnergyError, Profile, price
from msvit_energy.pricing.energy import price_counts
from msvit_energy.pricing.operation_counts import count
from msvit_energy.pricing.protocol import QUESTIONS, Operations, Protocol, ProtocolAnswers
from msvit_energy.pricing.protocols import PROTOCOLS, all_choices
from msvit_energy.pricing.technology import get_technology, with_prices
from msvit_energy.profiles.amounts import Amount
from msvit_energy.profiles.memory_estimate import MemoryEstimate
from msvit_energy.profiles.operand import Operand
from msvit_energy.profiles.operators import Operator, Overhead
from tests.support.documentation import DOCS, blocks
from tests.support.plain_profile import plain_profile


def operand(kind: str, rate: float, *, spikes: bool = True, nonzero: float = 0.1, events: int | None = None) -> Operand:
    """Ten elements at each of four runs, all with the same mean."""
    return Operand(
        name="layer#0",
        kind=kind,
        origin="spikes" if spikes else "other",
        neurons=(),
        elements=40,
        sums=(Fraction(rate) * 10,) * 4,
        nonzeros=(Fraction(nonzero) * 10,) * 4,
        maximum=3.0,
        events=events,
        nonzero_events=events,
    )


def operator(op: str, role: str, *operands: Operand) -> Operator:
    """An operator of 100 MACs per run, T = 4."""
    return Operator("layer", "stage", op, role, 400, 4, operands)


def report_of(*operators: Operator, protocol: str = "appendix-c") -> tuple[float, float]:
    priced = price(Profile(1, 4, operators), protocol)
    return priced.macs, priced.acs


def test_entrance_with_real_input_counts_its_macs_once() -> None:
    assert report_of(operator("conv2d", "entrance", operand("analog", -0.3))) == (100, 0)


def test_entrance_fed_with_events_counts_accumulates() -> None:
    assert report_of(operator("conv2d", "entrance", operand("binary", 0.25))) == (0, 100)


def test_integer_inputs_are_accumulates_at_their_mean_even_above_one() -> None:
    assert report_of(operator("conv1d", "", operand("integer", 1.5))) == (0, 600)


def test_real_input_in_the_middle_is_a_mac_at_every_run() -> None:
    assert report_of(operator("conv2d", "", operand("analog", 0.5))) == (400, 0)


def test_key_times_value_counts_at_the_smaller_rate() -> None:
    assert report_of(operator("matmul", "", operand("binary", 0.5), operand("binary", 0.25))) == (0, 100)


def test_query_times_integers_counts_at_the_rate_of_the_query() -> None:
    assert report_of(operator("matmul", "", operand("binary", 0.5), operand("integer", 0.1, spikes=False))) == (0, 200)


def test_ones_own_protocol_is_priced_as_a_named_one() -> None:
    answers = ProtocolAnswers(*["every dense operation is an accumulate"] * len(QUESTIONS))
    own = Protocol(
        "all-dense",
        "this test",
        lambda profile: {row.layer: Operations(acs=Amount(row.macs_per_image)) for row in profile.operators},
        answers,
    )
    report = price(plain_profile(), own)
    assert report.total_pj == pytest.approx((48 + 24 + 16 + 12) * 0.9)
    assert report.protocol == "all-dense"


def test_the_head_is_listed_but_not_in_the_sum() -> None:
    priced = price(Profile(1, 4, (operator("linear", "head", operand("analog", 0.5)),)))
    assert priced.total_pj == 0
    assert priced.to_frame().counted.tolist() == [False]
    assert priced.macs_per_step == 100  # but the ANN of equal shape has it


ENTRANCE = operator("conv2d", "entrance", operand("analog", 0.3))
BINARY = operator("conv2d", "", operand("binary", 0.25))
INTEGER = operator("linear", "", operand("integer", 1.5, nonzero=0.5))
HEAD = operator("linear", "head", operand("analog", 0.5))
SPIKING_HEAD = operator("linear", "head", operand("binary", 0.25, nonzero=0.25))
PRODUCT = operator("matmul", "", operand("binary", 0.5), operand("binary", 0.25))


def test_totals_are_the_sums_of_the_rows() -> None:
    operators = (
        replace(operator("conv2d", "entrance", operand("analog", 0.1)), layer="a"),
        replace(operator("conv2d", "", operand("binary", 0.125)), layer="b"),
        replace(operator("linear", "", operand("integer", 0.75)), layer="c"),
    )
    priced = price(Profile(1, 4, operators))
    frame = priced.to_frame()
    assert {"layer", "macs", "acs", "energy_pj", "share"} <= set(frame.columns)
    assert frame.energy_pj.tolist() == pytest.approx([4.6 * 100, 0.9 * 50, 0.9 * 300], rel=1e-15)
    assert frame.energy_pj.sum() == priced.total_pj
    assert frame.share.sum() == pytest.approx(1, rel=1e-15)


def test_counts_of_parts_join_to_counts_of_the_whole() -> None:
    # 100 MACs once, 0.25 x 400 and 1.5 x 400 accumulates
    first, second = Profile(1, 4, (ENTRANCE, replace(BINARY, layer="b"))), Profile(1, 4, (replace(INTEGER, layer="c"),))
    joined = count(first) + count(second)
    assert [entry.layer for entry in joined.entries] == ["layer", "b", "c"]
    assert (float(joined.total.macs), float(joined.total.acs)) == (100, 700)
    priced = price_counts(joined, get_technology("45nm-fp32"))
    assert priced.total_pj == pytest.approx(4.6 * 100 + 0.9 * 700, rel=1e-15)
    assert (priced.spread, priced.macs_per_step) == (None, 300)
    with pytest.raises(EnergyError, match="operations counted by appendix-c and by sdt do not add"):
        count(first) + count(second, "sdt")


def test_an_entry_that_a_protocol_leaves_out_has_no_operations() -> None:
    entries = count(Profile(1, 4, (replace(HEAD, layer="h"), replace(BINARY, layer="b")))).entries
    assert [(entry.layer, entry.counted, float(entry.operations.acs)) for entry in entries] == [
        ("h", False, 0), ("b", True, 100)
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("protocol", "one", "macs", "acs"),
    [
        ("appendix-c:first-layer=every-step", ENTRANCE, 400, 0),
        ("spikformer", ENTRANCE, 100, 0),
        ("spikformer:first-layer=every-step", ENTRANCE, 400, 0),
        ("spikformer", INTEGER, 0, 600),
        ("spikformer", PRODUCT, 0, 100),
        ("spikformer", HEAD, 0, 0),
        ("spikingformer-tool", ENTRANCE, 400, 0),
        ("spikingformer-tool", BINARY, 0, 100),
        ("spikingformer-tool", INTEGER, 400, 0),
        ("spikingformer-tool", PRODUCT, 0, 100),
        ("spikingformer-tool", HEAD, 400, 0),
        ("sdt", ENTRANCE, 400, 0),
        ("sdt", INTEGER, 0, 200),  # the non-zero share, 0.5
        ("sdt", HEAD, 400, 0),
        ("sdt", SPIKING_HEAD, 0, 100),
        ("sdt:rate=mean", INTEGER, 0, 600),  # as integer-valued neurons are counted: 1.5 spikes each
        ("sdt:rate=mean", BINARY, 0, 100),
        ("appendix-c:rate=nonzero", INTEGER, 0, 200),
        ("appendix-c:rate=nonzero", ENTRANCE, 100, 0),
        ("syops", ENTRANCE, 400, 0),
        ("syops", BINARY, 0, 100),
        ("syops", INTEGER, 400, 0),
        ("syops", PRODUCT, 0, 0),
        ("syops", HEAD, 400, 0),
        ("syops", SPIKING_HEAD, 0, 100),
        ("spikingresformer", ENTRANCE, 0, 0),
        ("spikingresformer", HEAD, 0, 0),
        ("ann", ENTRANCE, 100, 0),
        ("ann", INTEGER, 100, 0),
        ("ann", HEAD, 100, 0),
        ("ann", PRODUCT, 100, 0),
        ("exact", ENTRANCE, 100, 0),
        ("exact:first-layer=every-step", ENTRANCE, 400, 0),
        ("exact", HEAD, 400, 0),
    ],
)
def test_one_operator_by_each_protocol(protocol: str, one: Operator, macs: float, acs: float) -> None:
    assert report_of(one, protocol=protocol) == (macs, acs)


def test_exact_counts_events_instead_of_rates() -> None:
    spikes = operator("conv2d", "", operand("binary", 0.25, events=96))
    integers = operator("conv2d", "", replace(operand("integer", 1.5, events=580), nonzero_events=190))
    met = replace(operator("matmul", "", operand("binary", 0.5, events=100), operand("binary", 0.25)), pairs=31)
    with_integers = replace(
        operator("matmul", "", operand("binary", 0.5, events=80), operand("integer", 2.0, spikes=False)), pairs=99
    )
    assert report_of(spikes, protocol="exact") == (0, 96)
    assert report_of(integers, protocol="exact") == (0, 580)
    assert report_of(integers, protocol="exact:integers=macs") == (190, 0)
    assert report_of(met, protocol="exact") == (0, 31)
    assert report_of(with_integers, protocol="exact") == (0, 80)
    # of a product one operand is kept, the other all ones: not the pairs that meet
    every = [report_of(one, protocol="spikingresformer") for one in (spikes, integers, with_integers)]
    assert every == [(0, 96), (0, 580), (0, 80)]
    kept = replace(met, operands=(operand("binary", 0.5), operand("binary", 0.25, events=50)))
    assert report_of(kept, protocol="spikingresformer") == (0, 50)
    assert report_of(replace(HEAD, role=""), protocol="spikingresformer") == (400, 0)


def test_bias_is_an_operation_per_output_element_for_spikingformers_tool_alone() -> None:
    bias = Overhead("layer.bias", "stage", "bias", elements_per_image=40)  # 10 at each of 4 runs
    profile = Profile(1, 4, (BINARY,), overheads=(bias,))
    assert price(profile, "spikingformer-tool").acs == 0.25 * (400 + 40)
    assert price(profile, "appendix-c").acs == price(profile, "spikformer").acs == 0.25 * 400


def test_bias_of_a_linear_layer_on_tokens_is_an_operation_per_feature_and_step() -> None:
    """5 tokens of 6 features to 8 at each of 4 steps, in 2 images: 4 x (5 x 6 x 8 + 8), and not 4 x 5 x 8 biases."""
    tokens = replace(operand("binary", 0.25), elements=2 * 4 * 5 * 6, sums=(Fraction(15),) * 4)
    linear = Operator("layer", "stage", "linear", "", 4 * 5 * 6 * 8, 4, (tokens,))
    bias = Overhead("layer.bias", "stage", "bias", elements_per_image=4 * 5 * 8)
    profile = Profile(2, 4, (linear,), overheads=(bias,))
    for protocol in ("spikingformer-tool", "syops"):
        assert price(profile, protocol).acs == 0.25 * 4 * (5 * 6 * 8 + 8)
    assert price(Profile(2, 4, (linear,)), "syops").acs == 0.25 * 4 * 5 * 6 * 8


def test_syops_counts_batch_norm_twice_and_neurons_once_for_each_element() -> None:
    overheads = (
        Overhead("norm", "stage", "batch_norm", 40),
        Overhead("fire", "stage", "neuron_update", 30),
        Overhead("pool", "stage", "pooling", 20),
        Overhead("layer_norm", "stage", "normalisation", 10),
    )
    rows = price(Profile(1, 4, (BINARY,), overheads=overheads), "syops").rows
    counted = {row.layer: (row.macs, row.acs) for row in rows}
    assert counted == {"layer": (0, 100), "norm": (80, 0), "fire": (0, 30)}


def product(layer: str, *operands: Operand) -> Operator:
    """Of 100 MACs per run, T = 4."""
    return replace(operator("matmul", "", *operands), layer=layer)


def test_products_of_running_sums_count_at_three_rates() -> None:
    """q 1/2, k 1/4, v 1/8: 1/2 + 1/4 + 1/4 = 1, and 1/8 + 1/8 + 1/4 = 1/2; k^T v first, 1/4 + 1/8 + 1/8 = 1/2, and
    1/2 + 1/8 + 1/8 = 3/4. Elsewhere, or with numbers that are no product of the same module, the rate of the spikes."""
    q, k, v = (operand("binary", rate) for rate in (0.5, 0.25, 0.125))
    scores = operand("analog", 0.7, spikes=False)
    operators = (
        product("a.scores", q, k),
        product("a.out", scores, v),
        product("b.kv", k, v),
        product("b.out", q, scores),
        product("c.out", q, scores),
    )
    by_layer = {row.layer: row.acs for row in price(Profile(1, 4, operators), "appendix-c:products=spikezip").rows}
    assert by_layer == {"a.scores": 400, "a.out": 200, "b.kv": 200, "b.out": 300, "c.out": 200}
    assert price(Profile(1, 4, operators[:2])).acs == 100 + 50


def test_column_sums_are_additions_for_sdt_and_masks_too_for_exact() -> None:
    added = replace(operand("binary", 0.25, nonzero=0.25), name="sum#0")
    integers = Overhead("sum", "stage", "column_sum", 40, (operand("integer", 1.5, nonzero=0.5),))
    assert [price(Profile(1, 4, (), overheads=(integers,)), text).acs for text in ("sdt", "sdt:rate=mean")] == [20, 60]
    gated = replace(operand("binary", 0.5, nonzero=0.5), name="mask#1")
    overheads = (
        Overhead("sum", "stage", "column_sum", 40, (added,)),
        Overhead("mask", "stage", "mask", 40, (added, gated)),
    )
    profile = Profile(1, 4, (), overheads=overheads)
    assert price(profile, "sdt").to_frame().set_index("layer").acs.to_dict() == {"sum": 10}
    assert price(profile, "exact").to_frame().set_index("layer").acs.to_dict() == {"sum": 10, "mask": 20}
    assert price(profile, "appendix-c").rows == ()


def test_exact_adds_up_once_what_is_the_same_at_all_time_steps() -> None:
    """10 elements at a mean of 1/4, once or at four steps; spikes are spikes even where they never change."""
    still = replace(operand("binary", 0.25, spikes=False), varies=False)
    columns = {
        "still": still,
        "unobserved": replace(still, varies=None),
        "spikes": replace(operand("binary", 0.25), varies=False),
    }
    counts = {}
    for name, column in columns.items():
        profile = Profile(1, 4, (), overheads=(Overhead("sum", "stage", "column_sum", 40, (column,)),))
        counts[name] = [price(profile, text).acs for text in ("exact", "exact:first-layer=every-step")]
    assert counts == {"still": [2.5, 10], "unobserved": [10, 10], "spikes": [10, 10]}


def test_the_mean_rate_weights_inputs_by_their_elements() -> None:
    # 40 values of mean 0.25 and 120 of mean 1.5: (10 + 180) / 160 = 1.1875; the entrance and products are not in it
    wide = replace(INTEGER, layer="wide", operands=(replace(INTEGER.driver, elements=120, sums=(Fraction(45),) * 4),))
    profile = Profile(1, 4, (ENTRANCE, replace(BINARY, layer="b"), wide, replace(PRODUCT, layer="p")))
    rows = price(profile, "appendix-c-mean").to_frame().set_index("layer").acs
    assert rows[["b", "wide", "p"]].tolist() == [475, 475, 475]
    assert price(profile, "appendix-c-mean").macs == 100
    # shares of non-zero values: 4 of 40, 20 of 120
    shares = price(profile, "appendix-c-mean:rate=nonzero").to_frame().set_index("layer").acs
    assert shares["b"] == pytest.approx(400 * (4 + 20) / 160, rel=1e-15)


def test_lemaire_is_priced_from_the_estimate_alone() -> None:
    estimate = MemoryEstimate("model", {"ops": (1e9, 3e9), "params": (4e9, 4e9)})
    priced = price(Profile(5, 4, (BINARY,), memory=estimate), "lemaire-estimate", "45nm-int8")
    assert priced.total_mj == 6.0
    assert priced.spread is not None
    assert priced.spread.standard_error == pytest.approx(1e9)  # of 1 and 3: s = sqrt 2, by sqrt 2
    with pytest.raises(EnergyError, match=r"measure again with `profile --lemaire N`"):
        price(Profile(1, 4, (BINARY,)), "lemaire-estimate")


def test_every_protocol_answers_every_question() -> None:
    for protocol in PROTOCOLS.values():
        answers = protocol.answers.by_question()
        assert tuple(answers) == tuple(QUESTIONS.values())
        assert all(len(answer) > 3 for answer in answers.values())
        assert protocol.source


def test_answers_are_there_when_python_drops_docstrings() -> None:
    listed = [
        subprocess.run(
            [sys.executable, *options, "-m", "msvit_energy", "protocols"], capture_output=True, text=True, check=True
        ).stdout
        for options in ((), ("-OO",))
    ]
    assert "Head: left out, since it is not in equation 18." in listed[0]
    assert listed[0] == listed[1]


def test_every_choice_of_options_is_priced() -> None:
    assert len(all_choices()) == 37
    assert len(set(all_choices())) == 37


def test_unknown_names_are_answered_with_the_right_ones() -> None:
    empty = Profile(1, 4, ())
    with pytest.raises(EnergyError, match="unknown protocol 'x'; protocols: ann, appendix-c, appendix-c-mean, as-"):
        price(empty, protocol="x")
    with pytest.raises(
        EnergyError, match=r"has no option 'first-layer=twice'; its options: first-layer=once\|every-step"
    ):
        price(empty, protocol="appendix-c:first-layer=twice")
    with pytest.raises(EnergyError, match="protocol ann has no option 'a=b'; its options: none"):
        price(empty, protocol="ann:a=b")
    with pytest.raises(EnergyError, match="unknown technology '7nm'; technologies: 45nm-fp16, 45nm-fp32, 45nm-int32"):
        price(empty, technology="7nm")


@pytest.mark.parametrize(
    ("name", "e_mac", "e_ac"),
    [("45nm-fp32", 4.6, 0.9), ("45nm-fp16", 1.5, 0.4), ("45nm-int8", 0.23, 0.03), ("45nm-int32", 3.2, 0.1)],
)
def test_prices_are_the_published_ones(name: str, e_mac: float, e_ac: float) -> None:
    technology = get_technology(name)
    assert (technology.e_mac, technology.e_ac) == (e_mac, e_ac)
    profile = Profile(1, 4, (ENTRANCE, replace(BINARY, layer="b")))
    assert price(profile, technology=name).total_pj == pytest.approx(100 * e_mac + 100 * e_ac, rel=1e-15)


def test_prices_come_from_a_toml_file_or_by_hand(tmp_path: Path) -> None:
    path = tmp_path / "ours.toml"
    path.write_text('e_mac = 2\ne_ac = 0.5\nsource = "our chip"\n')
    technology = get_technology(str(path))
    assert (technology.name, technology.e_mac, technology.e_ac, technology.source) == ("ours", 2, 0.5, "our chip")
    by_hand = with_prices(technology, None, 0.25)
    assert (by_hand.name, by_hand.e_mac, by_hand.e_ac) == ("custom", 2, 0.25)
    assert by_hand.source == "given by hand: E_AC 0.25 pJ, the rest as ours"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("e_mac = 2\n", "lacks e_ac, source; a technology has e_mac, e_ac"),
        ('e_mac = -2\ne_ac = 1\nsource = ""\n', "e_mac must be a price in pJ, 0 or more, not -2"),
        ('e_mac = nan\ne_ac = 1\nsource = ""\n', "e_mac must be a price in pJ, 0 or more, not nan"),
        ('e_mac = "2"\ne_ac = 1\nsource = ""\n', "e_mac must be a price in pJ, 0 or more, not '2'"),
        ('e_mac = 2\ne_ac = 1\nsource = ""\ne_sop = 1\n', "has unknown entries e_sop"),
        ("e_mac = \n", "is not TOML"),
    ],
)
def test_damaged_price_tables_are_named(content: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "t.toml").write_text(content)
    with pytest.raises(EnergyError, match=message):
        get_technology(str(tmp_path / "t.toml"))
    with pytest.raises(EnergyError, match="cannot read technology"):
        get_technology(str(tmp_path / "gone.toml"))


def test_the_protocol_shown_to_contributors_is_a_protocol() -> None:
    namespace: dict[str, Any] = {}
    exec(blocks(DOCS / "how-to" / "adding-a-protocol.md")[0].text, namespace)
    shown = namespace["NONZERO_ONLY"]
    assert "" not in shown.answers.by_question().values()
    counted = shown.count(Profile(1, 4, (INTEGER,)))
    assert float(counted["layer"].acs) == 0.5 * 400
