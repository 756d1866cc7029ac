"""What people who use the package from Python and notebooks meet first."""

import re
import subprocess
import sys
from typing import Any

import pytest
import torch
from torch import nn

import msvit
import msvit_energy
from msvit_energy import EnergyError, Profile, compare, diff, price, profile, report
from tests.support.plain_profile import plain_profile

PLAIN = plain_profile()


class Net(nn.Module):
    """A layer, neurons and a compiled layer."""

    time_steps = 2

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(4, 6), nn.Linear(6, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.second(self.first(x))


def test_everything_public_is_listed_and_there() -> None:
    assert set(msvit_energy.__all__) <= set(dir(msvit_energy))
    for name in msvit_energy.__all__:
        assert getattr(msvit_energy, name) is not None
    with pytest.raises(AttributeError, match="has no attribute 'profil'"):
        msvit_energy.profil  # noqa: B018


def test_comparing_and_reporting_needs_no_torch() -> None:
    names = "compare, diff, report, evidence, figures"
    code = f"import sys; from msvit_energy import {names}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_objects_show_themselves_in_a_few_lines() -> None:
    priced = price(PLAIN)
    for shown in (PLAIN, priced):
        assert len(repr(shown)) < 400
        assert "\n" not in repr(shown)
        assert repr(shown).startswith(f"<{type(shown).__name__}: {shown.summary().splitlines()[0]}")
    assert f"{PLAIN.images} images, T = {PLAIN.time_steps}" in PLAIN.summary()
    assert re.findall("<tr><td>(.*?)</td>", PLAIN._repr_html_()) == [operator.layer for operator in PLAIN.operators]
    headings = re.findall("<th>(.*?)</th>", PLAIN._repr_html_())
    assert headings == ["layer", "input", "rate", "MACs per step", "SOPs"]
    assert re.findall("<tr><td>(.*?)</td>", priced._repr_html_()) == [row.layer for row in priced.rows]


def test_notebooks_get_text_and_no_markup_of_names() -> None:
    from dataclasses import replace

    layer = replace(PLAIN.operators[0], layer="<script>alert(1)</script>")
    evil = replace(PLAIN, operators=(layer, *PLAIN.operators[1:]))
    for shown in (evil, price(evil), diff(PLAIN, evil)):
        assert "<script" not in shown._repr_html_()
        assert "&lt;script" in shown._repr_html_()


def test_commands_are_functions_too(tmp_path: Any) -> None:
    table = compare([PLAIN, PLAIN], baselines="qkformer", protocol="exact")
    assert table.to_frame().energy_mj[:2].tolist() == [price(PLAIN, "exact").total_mj] * 2
    assert table.to_frame().name[0].endswith(" (1)")
    PLAIN.save(tmp_path / "profile.json")
    assert compare({"mine": Profile.load(tmp_path)}).to_frame().name.tolist() == ["mine"]
    assert diff(PLAIN, PLAIN).to_frame().layer.tolist() == ["total"]
    text = report(PLAIN, tmp_path / "page.html")
    assert (tmp_path / "page.html").read_text() == text
    assert "|" in repr(table)


@pytest.mark.parametrize(
    ("model", "batches", "message"),
    [
        ("msvit_digits", [torch.ones(1, 4)], "a model is a torch.nn.Module, not a str"),
        (lambda x: x, [torch.ones(1, 4)], "a model is a torch.nn.Module, not a function"),
        (Net().to("meta"), [torch.ones(1, 4)], "the weights first.weight are on the meta device and have no values"),
        (Net(), None, r"batches are an iterable of batches, such as a DataLoader or \[images\], not a NoneType"),
        (Net(), torch.ones(2, 4), r"such as a DataLoader or \[images\], not a tensor \[2, 4\]"),
        (Net(), "folder", "not a str"),
        (Net(), [torch.ones(2, 4, device="meta")], r"images \[2, 4\] are on the meta device and have no values"),
    ],
)
def test_what_cannot_be_measured_is_said_in_one_line(model: Any, batches: Any, message: str) -> None:
    with pytest.raises(EnergyError, match=message) as raised:
        profile(model, batches)
    assert "\n" not in str(raised.value)


@pytest.mark.slow
def test_a_compiled_model_is_measured_as_it_was_written() -> None:
    torch.manual_seed(0)
    net = msvit.create_model("msvit_digits")
    images = [torch.rand(2, 1, 12, 12)]
    plain = profile(net, images)
    assert profile(torch.compile(net), images) == plain
    net.compile()
    assert profile(net, images) == plain
    part = Net()
    expected = profile(part, [torch.ones(2, 4)])
    part.second = torch.compile(part.second)  # type: ignore[assignment]
    found = profile(part, [torch.ones(2, 4)])
    assert [operator.macs_per_image for operator in found.operators] == [
        operator.macs_per_image for operator in expected.operators
    ]
