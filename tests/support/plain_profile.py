"""A small profile of everything that a profile may hold, made by hand; no model is run."""

from dataclasses import replace
from fractions import Fraction

from msvit_energy import Profile
from msvit_energy.profiles.amounts import Moments
from msvit_energy.profiles.coverage import Coverage, Unknown
from msvit_energy.profiles.memory_estimate import MemoryEstimate
from msvit_energy.profiles.operand import Operand
from msvit_energy.profiles.operators import NeuronLayer, Operator, Overhead
from msvit_energy.profiles.provenance import Provenance

IMAGES = 3
HALF = Fraction(-1, 2)


def operand(name: str, kind: str = "binary", **given: object) -> Operand:
    """Twelve elements at each of two runs, of three images."""
    spikes = Operand(name, "binary", "spikes", ("lif",), 24, (5, 4), (5, 4), 1.0, 3, 27, 27)
    if kind == "integer":
        spikes = replace(spikes, kind="integer", origin="sum", sums=(9, 6), maximum=3.0, events=45)
    elif kind == "analog":
        spikes = replace(spikes, kind="analog", origin="input", sums=(HALF, HALF), maximum=1.5, events=None)
    return replace(spikes, **given)  # type: ignore[arg-type]


def plain_profile() -> Profile:
    """T = 2, three images: an encoding convolution, integers, a product, a head, and work beside them."""
    operators = (
        Operator("conv", "stem", "conv2d", "entrance", 48, 2, (operand("conv#0", "analog"),)),
        Operator("mlp", "stage1", "linear", "", 24, 2, (operand("mlp#0", "integer", fan_out=None),)),
        Operator("qk", "stage1", "matmul", "", 16, 2, (operand("qk#0"), operand("qk#1")), pairs=7),
        Operator("head", "head", "linear", "head", 12, 2, (operand("head#0"),)),
    )
    overheads = (
        Overhead("conv.bias", "stem", "bias", 24),
        Overhead("sum", "stage1", "column_sum", 24, (operand("sum#0"),)),
        Overhead("mask", "stage1", "mask", 24, (operand("mask#0"), operand("mask#1"))),
        Overhead("lif", "stage1", "neuron_update", 24),
    )
    profile = Profile(
        images=IMAGES,
        time_steps=2,
        operators=operators,
        neurons=(NeuronLayer("lif", "stage1", 12, (5, 4)), NeuronLayer("graded", "stage1", 12, (HALF, Fraction(7, 4)))),
        overheads=overheads,
        coverage=Coverage({"conv": 48, "mlp": 24}, {"add": 3}, (Unknown("fft", 2, 10), Unknown("sort", 1)), ("aux",)),
        memory=MemoryEstimate("model", {"operations": (1.0, 2.5), "memory": (4.0, 4.5)}, ("products are left out",)),
        labelled=3,
        correct=2,
        parameters=100,
        provenance=Provenance.of(
            {
                "checkpoint": {"file": "a.safetensors", "sha256": "00", "ema": False, "inferred": ["T = 2"]},
                "model": {"name": "net", "args": {"depth": 1}},
                "data": {"name": "digits", "split": "test", "indices": "0-2", "input_size": [1, 12, 12], "seed": 0},
                "batch_size": 2,
                "created": "2026-01-01T00:00:00+00:00",
                "command": ["msvit-energy", "profile"],
                "versions": {"torch": "2.6"},
                "warnings": ["untrained"],
                "merged": [{"images": 2, "command": ["msvit-energy"]}, {"images": 1}],
            }
        ),
    )
    return replace(profile, moments=moments(profile.count_keys()))


def moments(keys: tuple[str, ...]) -> Moments:
    """Of counts that are 1, 2 and 3 in the three images, in another order from key to key."""
    seen = [[1 + (i + image) % 3 for image in range(IMAGES)] for i in range(len(keys))]
    products = (
        tuple(sum(a * b for a, b in zip(seen[i], seen[j], strict=True)) for j in range(i, len(keys)))
        for i in range(len(keys))
    )
    return Moments(keys, tuple(map(sum, seen)), tuple(products))
