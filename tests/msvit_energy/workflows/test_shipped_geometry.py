"""What is shipped of the models is what counting says today.

Where it is not: python -m msvit_energy.workflows.loading.shipped_geometry
"""

import subprocess
import sys

import pytest

import msvit
from msvit_energy.workflows.loading.shipped_geometry import (
    _of_tables,
    counted,
    counted_record,
    geometry_of,
    model_records,
)

RECORDS = {row["name"]: row for row in model_records()}


def test_every_registered_model_is_listed() -> None:
    assert list(RECORDS) == msvit.list_models()


@pytest.mark.slow
@pytest.mark.parametrize("name", list(RECORDS))
def test_size_and_cost_are_those_of_the_model(name: str) -> None:
    assert counted_record(name) == RECORDS[name]


@pytest.mark.slow
@pytest.mark.parametrize(("name", "args"), list(_of_tables()), ids=str)
def test_operators_are_those_of_the_model(name: str, args: dict[str, int]) -> None:
    assert geometry_of(name, args) == counted(name, args)


def test_another_input_size_or_t_is_counted() -> None:
    shipped, larger, longer = (
        geometry_of("msvit_10_384", args, size).profile
        for args, size in (({}, None), ({}, "288"), ({"time_steps": 8}, None))
    )
    convolution = next(operator for operator in shipped.operators if "conv" in operator.op)
    of_larger = next(operator for operator in larger.operators if operator.layer == convolution.layer)
    assert of_larger.macs_per_image * 224**2 == convolution.macs_per_image * 288**2
    assert (shipped.time_steps, longer.time_steps) == (4, 8)


def test_a_part_of_a_name_is_a_pattern() -> None:
    assert [row["name"] for row in model_records("msvit_cifar")] == ["msvit_cifar", "msvit_cifar_qq"]
    assert [row["name"] for row in model_records("msvit_cifar?")] == []
    assert [row["name"] for row in model_records("msvit_1*")] == ["msvit_10_384", "msvit_10_512", "msvit_10_768"]


@pytest.mark.parametrize("command", [["models"], ["table1"], ["energy", "--model", "msvit_10_384", "--rate", "0.2"]])
def test_no_torch_is_needed(command: list[str]) -> None:
    code = "import sys; from msvit_energy.commands import app; app({}, standalone_mode=False); sys.modules['torch']"
    done = subprocess.run([sys.executable, "-c", code.format(command)], capture_output=True, text=True, check=False)
    assert done.stderr.endswith("KeyError: 'torch'\n")
