"""What importing the package brings with it, each in a fresh process."""

import subprocess
import sys

import pytest

import msvit

HEAVY = ("timm", "torchvision", "sklearn", "spikingjelly.datasets", "torch._dynamo")


def loaded(code: str, *modules: str) -> list[str]:
    """Those of the modules that are there after `code`."""
    listing = f"{code}; import sys; print(*(name for name in {modules} if name in sys.modules))"
    return subprocess.run([sys.executable, "-c", listing], check=True, capture_output=True, text=True).stdout.split()


@pytest.mark.slow
def test_a_model_is_built_without_data_sets_timm_or_the_compiler() -> None:
    code = "import msvit; msvit.create_model('msvit_digits')"
    assert loaded(code, *HEAVY, "spikingjelly", "torch") == ["spikingjelly", "torch"]


@pytest.mark.slow
def test_the_digits_are_opened_without_scikit_learn_and_torchvision() -> None:
    code = "from msvit.data import open_data; open_data('digits', (1, 12, 12)).dataset[0]"
    assert loaded(code, *HEAVY, "msvit.data.digits") == ["msvit.data.digits"]


def test_errors_need_no_torch() -> None:
    assert loaded("import msvit; from msvit.errors import ModelError; msvit.ModelError", "torch") == []


@pytest.mark.slow
def test_the_registry_fills_itself() -> None:
    code = "from msvit.registry import create_model; create_model('spikformer_cifar', depth=1, dim=12)"
    assert loaded(code, "msvit.models.sdt") == ["msvit.models.sdt"]


def test_what_is_not_there_is_an_attribute_error() -> None:
    assert {"create_model", "load_checkpoint"} <= set(dir(msvit))
    with pytest.raises(AttributeError, match="module 'msvit' has no attribute 'beauty'"):
        _ = msvit.beauty  # type: ignore[attr-defined]
