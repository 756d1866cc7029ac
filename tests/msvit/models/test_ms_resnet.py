"""MS-ResNet: what its reference vector, of the 18 layers, does not hold."""

import torch
from torch import Tensor, nn

import msvit
from msvit.models import ms_resnet
from tests.support import parity


def drawn(model: nn.Module) -> nn.Module:
    """With random weights in float64, under which neurons fire."""
    model.double().eval()
    parity.draw(model, {"seed": 3, "gain": 2.0, "input_shape": (1,), "input_kind": "image"})
    return model


def noise(*shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def test_a_block_of_the_deep_model_step_by_step() -> None:
    block, x = drawn(ms_resnet.Block(4, 6, 2, pooled=True)), noise(3, 2, 4, 8, 8)
    parts = [block.get_submodule(f"residual_function.{place}") for place in (1, 2, 4, 5)]
    membranes: list[Tensor] = [torch.zeros(2, 4, 8, 8), torch.zeros(2, 6, 4, 4)]
    out = block(x)
    fired = 0.0
    for step in range(3):
        y = x[step]
        for place in (0, 1):
            charged = membranes[place] + y
            spikes = (charged > 0.5).double()
            membranes[place] = 0.25 * charged * (1 - spikes)
            y = parts[2 * place + 1](parts[2 * place](spikes))
            fired += spikes.mean().item()
        pooled = x[step].reshape(2, 4, 4, 2, 4, 2).mean(dim=(3, 5))
        y = y + block.get_submodule("shortcut.2")(block.get_submodule("shortcut.1")(pooled))
        torch.testing.assert_close(out[step], y, rtol=0, atol=1e-12)
    assert 1 < fired < 5


def test_first_weights_of_batch_norms_are_the_threshold_and_nothing() -> None:
    block = ms_resnet.Block(4, 6, 2, pooled=False)
    first = [block.get_submodule(name).weight for name in ("residual_function.2.bn", "shortcut.1.bn")]
    assert {weight.item() for weights in first for weight in weights} == {0.5}
    assert not block.get_submodule("residual_function.5.bn").weight.any()


def test_dropout_is_in_the_deep_model_and_in_training_only() -> None:
    with torch.device("meta"):
        rates = {name: msvit.create_model(name).dropout.p for name in ("ms_resnet18", "ms_resnet34", "ms_resnet104")}
    assert rates == {"ms_resnet18": 0.0, "ms_resnet34": 0.0, "ms_resnet104": 0.2}
    model = drawn(msvit.create_model("ms_resnet104", blocks=(1, 1, 1, 1), num_classes=4, time_steps=2))
    images = noise(1, 3, 36, 36)  # whose maps have odd edges
    seen: list[Tensor] = []
    model.fc.register_forward_hook(lambda _, args, out: seen.append(args[0]))
    with torch.inference_mode():
        assert torch.equal(model(images), model(images))
        model.dropout.train()
        model(images)
    zeros = [(rates == 0).double().mean() for rates in seen]
    assert zeros[0] == zeros[1] < zeros[2]
