"""A network whose steps attend to each other inside chunks: MACs and events by brute force and by plain formulas."""

import pytest
import torch
from torch import Tensor

import msvit
import msvit_energy
from msvit.attention import Matmul
from msvit.classifier import SpikingClassifier
from msvit_energy.precision import excite_
from tests.support.brute_force import BruteForce, Counted

HEADS, DIM, STEPS = 4, 32, 4


def network(*, pooled: bool, chunk: int) -> SpikingClassifier:
    """A small STAtten for frames `[B, 4, 2, 16, 16]` in which every layer fires; 16 tokens, 8 channels a head."""
    size = {"dim": DIM, "depth": 2, "num_heads": HEADS, "img_size": 16, "in_chans": 2, "time_steps": STEPS}
    model = msvit.create_model("statten_cifar", **size, pooled=pooled, chunk=chunk).double().eval()
    excite_(model, seed=0)
    return model


def frames(images: int) -> Tensor:
    generator = torch.Generator().manual_seed(1)
    return (torch.rand(images, STEPS, 2, 16, 16, generator=generator, dtype=torch.float64) < 0.3).double()


@pytest.mark.parametrize("pooled", [False, True])
@pytest.mark.parametrize("chunk", [1, 2, 4])
def test_counts_are_those_of_brute_force(chunk: int, pooled: bool) -> None:
    model, images = network(pooled=pooled, chunk=chunk), frames(3)
    profile = msvit_energy.profile(model, [images[:2], images[2:]])
    with torch.no_grad(), (brute := BruteForce(model, products=4)):
        model(images)
    operators = {operator.layer: operator for operator in profile.operators}
    found = [
        Counted(
            operator.macs_per_image * 3,
            tuple(operand.nonzero_events or 0 for operand in operator.operands),
            tuple(operand.events for operand in operator.operands),
            operator.pairs,
        )
        for operator in profile.operators
    ]
    assert found == brute.counted()
    assert all(operator.driver.kind != "analog" for operator in profile.operators)
    assert {operator.driver.kind for operator in profile.operators} == ({"binary", "integer"} if pooled else {"binary"})
    assert operators["block.1.attn.proj_conv"].driver.maximum == (2 if pooled else 1)
    assert (profile.coverage.unknown, profile.coverage.note) == ((), "")


@pytest.mark.parametrize("chunk", [1, 2, 4])
def test_products_are_those_of_all_tokens_of_a_chunk_at_once(chunk: int) -> None:
    model, images = network(pooled=False, chunk=chunk), frames(2)
    attention = model.get_submodule("block.0.attn")
    seen: list[tuple[Tensor, ...]] = []
    for product in (attention.kv, attention.qkv):
        assert isinstance(product, Matmul)
        product.register_forward_hook(lambda _, args, output: seen.append(args))
    profile = msvit_energy.profile(model, [images])
    with torch.no_grad():
        model(images)
    (k, v), (q, _) = seen[-2:]  # of the last forward
    macs, pairs = 0, torch.zeros(2, dtype=torch.float64)
    for start in range(0, STEPS, chunk):
        one = slice(start, start + chunk)
        keys = torch.cat(list(k[one]), dim=-1)  # [B, heads, d, c N]
        values, queries = (torch.cat(list(each[one]), dim=-2) for each in (v, q))  # [B, heads, c N, d]
        memory = keys @ values
        pairs += torch.stack([memory.sum(), (queries @ memory).sum()])
        macs += keys.numel() * values.shape[-1]
    operators = {operator.layer: operator for operator in profile.operators}
    for name, expected in zip(("kv", "qkv"), pairs.tolist(), strict=True):
        operator = operators[f"block.0.attn.{name}"]
        assert operator.macs_per_image * 2 == macs
        assert operator.macs_per_step * STEPS * 2 == macs
        assert operator.pairs == expected > 0
