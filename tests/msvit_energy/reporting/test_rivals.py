"""Tables of models trained alike, from profiles of one layer whose energies are worked out by hand."""

from dataclasses import replace

import pytest

from msvit_energy import Profile
from msvit_energy.profiles.operators import NeuronLayer, Operator
from msvit_energy.reporting.rivals import (
    Rival,
    claims_text,
    energy_records,
    energy_table,
    entries,
    facts_table,
    found_claims,
    price_all,
    ranking_table,
    unlearned_text,
)
from tests.support.plain_profile import operand

IMAGES, ELEMENTS, MACS = 3, 24, 360
AC_PJ, MAC_PJ = 0.9, 4.6


def profile(spikes: int, correct: int = 3) -> Profile:
    """T = 2; one linear layer of 360 MACs per image, whose 24 inputs (of all images and steps) hold that many spikes;
    each reaches 45 synapses."""
    driver = operand("layer#0", sums=(spikes, 0), nonzeros=(spikes, 0), fan_out=45, events=45 * spikes)
    layer = Operator("layer", "stage1", "linear", "", MACS, 2, (driver,))
    neurons = (NeuronLayer("lif", "stage1", 12, (spikes, 0)),)
    return Profile(IMAGES, 2, (layer,), neurons, labelled=4, correct=correct, parameters=1000)


def dense() -> Profile:
    """The same layer once, fed with real numbers, without neurons."""
    driver = operand("layer#0", "analog")
    return Profile(IMAGES, 1, (Operator("layer", "stage1", "linear", "", MACS, 1, (driver,)),), parameters=2000)


SPARSE = Rival("sparse", (profile(2, correct=2), profile(4, correct=4)))
BUSY = Rival("busy", (profile(18), profile(12)))
DENSE = Rival("dense", (dense(), dense()))
PROTOCOLS = ("appendix-c", "ann", "qnn", "memory")


def by_hand(spikes: int) -> float:
    """mJ by Appendix C: rate x MACs of all steps are accumulates."""
    return spikes / ELEMENTS * MACS * AC_PJ / 1e9


def test_energies_are_those_worked_out_by_hand() -> None:
    prices = price_all([SPARSE, BUSY, DENSE], PROTOCOLS)
    costs = prices.costs("appendix-c")
    assert costs["sparse"].seeds == pytest.approx((by_hand(2), by_hand(4)))
    assert costs["busy"].mean == pytest.approx(by_hand(15))
    assert costs["dense"].mean == pytest.approx(MACS * MAC_PJ / 1e9)
    assert list(prices.left_out) == ["memory"]  # a profile made by hand has no sizes
    assert "measure again" in prices.left_out["memory"]
    assert set(prices.reports["qnn"]) == {"sparse", "busy"}  # no neurons, no quantised rival of them


def test_a_record_for_each_model_seed_and_protocol() -> None:
    prices = price_all([SPARSE, DENSE], PROTOCOLS)
    records = list(energy_records([SPARSE, DENSE], prices))
    assert [(record["model"], record["seed"], record["protocol"]) for record in records[:4]] == [
        ("sparse", 0, "appendix-c"),
        ("sparse", 0, "ann"),
        ("sparse", 0, "qnn"),
        ("sparse", 1, "appendix-c"),
    ]
    assert len(records) == 2 * 3 + 2 * 2
    assert records[3]["energy_mj"] == pytest.approx(by_hand(4))
    assert (records[3]["accuracy"], records[3]["ci95_low_mj"]) == (1.0, None)


def test_facts_are_means_over_seeds_and_the_worst_of_them() -> None:
    prices = price_all([SPARSE, DENSE], PROTOCOLS)
    table = facts_table([SPARSE, DENSE], prices)
    sparse, plain = table.records
    assert (sparse["accuracy"], sparse["worst"], sparse["parameters"], sparse["time_steps"]) == (75, 50, 1000, 2)
    assert sparse["rate"] == pytest.approx(3 / (12 * 2))
    assert sparse["msops"] == pytest.approx(3 / ELEMENTS * MACS / 1e6)
    assert sparse["mevents"] == pytest.approx(45 * 3 / IMAGES / 1e6)
    assert sparse["uj half"] == pytest.approx(1e3 * (by_hand(4) - by_hand(3)))
    assert not plain.keys() & {"rate", "msops", "mevents", "uj half"}
    first, second = energy_table([SPARSE, DENSE], prices).body
    assert first[0] == "sparse"
    assert second[3] == ""  # no quantised rival


def test_ranking_is_of_spiking_models_and_turns_with_the_protocol() -> None:
    wide = replace(profile(1), operators=(replace(profile(1).operators[0], macs_per_image=10 * MACS),))
    models = [SPARSE, BUSY, Rival("wide", (wide, wide)), DENSE]
    table = ranking_table(models, price_all(models, ("appendix-c", "ann")))
    assert list(table.columns) == ["protocol", "sparse", "busy", "wide", "spearman", "least_spearman", "kendall"]
    first, ann = table.records
    # 3600 MACs at one spike of 24 are more than 360 at three and less than 360 at fifteen
    assert [first[name] for name in ("sparse", "busy", "wide")] == [1, 3, 2]
    assert (first["spearman"], first["kendall"]) == (1, 1)
    assert [ann[name] for name in ("sparse", "busy", "wide")] == [1.5, 1.5, 3]
    # places 1.5, 1.5, 3 and 1, 3, 2 about their mean 2: products .5 - .5 + 0 = 0
    assert ann["spearman"] == pytest.approx(0)


def test_claims_leave_out_protocols_that_price_the_dense_shape() -> None:
    prices = price_all([SPARSE, BUSY, DENSE], ("appendix-c", "exact", "ann", "qnn"))
    found = found_claims([SPARSE, BUSY, DENSE], prices)
    assert {(claim.cheaper, claim.dearer, claim.holds) for claim in found} == {
        ("sparse", "busy", ("appendix-c", "exact")),
        ("sparse", "dense", ("appendix-c", "exact")),
        ("busy", "dense", ("appendix-c", "exact")),
    }
    assert claims_text(found) == [
        "3 of 3 pairs under every protocol: sparse < busy; sparse < dense; busy < dense",
        "0 of 3 pairs under some protocols, the opposite under none",
        "0 of 3 pairs under some protocols, the opposite under others",
        "0 of 3 pairs under no protocol, nor the opposite",
    ]


def test_points_of_the_picture() -> None:
    prices = price_all([SPARSE, DENSE], PROTOCOLS)
    point = entries([SPARSE, DENSE], prices, "appendix-c", "digits test")[0]
    assert (point.name, point.data, point.source) == (
        "sparse",
        "digits test, appendix-c",
        "measured, means of 2 seeds",
    )
    assert point.energy_mj == pytest.approx(by_hand(3))
    assert point.energy_mj_half == pytest.approx(by_hand(1))
    assert [entry.name for entry in entries([SPARSE, DENSE], prices, "qnn", "digits test")] == ["sparse"]


def test_who_did_not_learn_is_named() -> None:
    good = Rival("good", (profile(2, correct=4), profile(4, correct=4)))
    assert (good.learned, SPARSE.learned) == (True, False)
    assert unlearned_text([good]) == ""
    assert unlearned_text([good, SPARSE]).endswith("and no claim: `sparse` (worst seed 50.00 %).")
