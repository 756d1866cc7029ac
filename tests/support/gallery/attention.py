"""Spiking attention and token mixers, written with bare products."""

from typing import Any

import torch
from spikingjelly.activation_based import functional, layer, neuron
from torch import Tensor, nn

from tests.support.gallery.entry import STEPS, Entry, images, multi_step, once, stepwise, time_first
from tests.support.gallery.home_made import LoopLIF

TOKENS, FEATURES, HEADS = 9, 12, 2


class SSA(nn.Module):
    """Spiking self-attention over `[T, B, N, D]`, (Q K^T) V / 8 by torch.matmul, as in Spikformer."""

    def __init__(self) -> None:
        super().__init__()
        self.embed, self.embed_lif = nn.Linear(7, FEATURES), neuron.LIFNode(step_mode="m")
        self.q, self.k, self.v = (nn.Linear(FEATURES, FEATURES) for _ in range(3))
        self.q_lif, self.k_lif, self.v_lif = (neuron.LIFNode(step_mode="m", v_threshold=0.5) for _ in range(3))
        self.attn_lif = neuron.LIFNode(step_mode="m", v_threshold=0.25)
        self.proj, self.head = nn.Linear(FEATURES, FEATURES), nn.Linear(FEATURES, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = self.embed_lif(self.embed(x))
        parts = (self.q_lif(self.q(x)), self.k_lif(self.k(x)), self.v_lif(self.v(x)))
        q, k, v = (part.unflatten(-1, (HEADS, -1)).transpose(-2, -3) for part in parts)
        attention = torch.matmul(q, k.transpose(-2, -1))
        x = self.attn_lif((torch.matmul(attention, v) * 0.125).transpose(-2, -3).flatten(-2))
        return self.head(self.proj(x).mean(-2)).mean(0)


class LinearSSA(nn.Module):
    """The same in the order Q (K^T V), by einsum over `[B, N, D]`, called once per step."""

    def __init__(self) -> None:
        super().__init__()
        self.embed, self.embed_lif = nn.Linear(7, FEATURES), neuron.LIFNode()
        self.q, self.k, self.v = (nn.Linear(FEATURES, FEATURES) for _ in range(3))
        self.q_lif, self.k_lif, self.v_lif = (neuron.LIFNode(v_threshold=0.5) for _ in range(3))
        self.attn_lif = neuron.LIFNode(v_threshold=0.25)
        self.proj, self.head = nn.Linear(FEATURES, FEATURES), nn.Linear(FEATURES, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = self.embed_lif(self.embed(x))
        parts = (self.q_lif(self.q(x)), self.k_lif(self.k(x)), self.v_lif(self.v(x)))
        q, k, v = (part.unflatten(-1, (HEADS, -1)) for part in parts)
        context = torch.einsum("bnhd,bnhe->bhde", k, v)
        x = torch.einsum("bnhd,bhde->bnhe", q, context) * 0.125
        return self.head(self.proj(self.attn_lif(x.flatten(-2))).mean(-2))


class LinearSSATwin(LinearSSA):
    """Over `[T, B, N, D]`, by `@`."""

    def forward(self, x: Tensor) -> Tensor:
        x = self.embed_lif(self.embed(x))
        parts = (self.q_lif(self.q(x)), self.k_lif(self.k(x)), self.v_lif(self.v(x)))
        q, k, v = (part.unflatten(-1, (HEADS, -1)).transpose(-2, -3) for part in parts)
        x = (q @ (k.transpose(-2, -1) @ v)) * 0.125
        return self.head(self.proj(self.attn_lif(x.transpose(-2, -3).flatten(-2))).mean(-2))


class MarkedLIF(LoopLIF):
    """The attribute says that it is a neuron, so that products of spikes are known as such."""

    activation_op = "neuron"


class AttentionInside(nn.Module):
    """Q (K^T V) with home-made neurons over `[B, T, N, D]`, which repeats the tokens itself."""

    def __init__(self) -> None:
        super().__init__()
        self.time_step = STEPS
        self.embed, self.embed_lif = nn.Linear(7, FEATURES), MarkedLIF()
        self.q, self.k, self.v = (nn.Linear(FEATURES, FEATURES) for _ in range(3))
        self.q_lif, self.k_lif, self.v_lif = (MarkedLIF(0.5) for _ in range(3))
        self.attn_lif = MarkedLIF(0.25)
        self.proj, self.head = nn.Linear(FEATURES, FEATURES), nn.Linear(FEATURES, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = x.unsqueeze(1).repeat(1, self.time_step, 1, 1)
        x = self.embed_lif(self.embed(x))
        parts = (self.q_lif(self.q(x)), self.k_lif(self.k(x)), self.v_lif(self.v(x)))
        q, k, v = (part.unflatten(-1, (HEADS, -1)).transpose(-2, -3) for part in parts)
        x = q @ (k.transpose(-2, -1) @ v)
        return self.head(self.proj(self.attn_lif(x.transpose(-2, -3).flatten(-2))).mean((1, 2)))


class AttentionTwin(LinearSSA):
    def __init__(self) -> None:
        super().__init__()
        functional.set_step_mode(self, "m")

    def forward(self, x: Tensor) -> Tensor:
        x = self.embed_lif(self.embed(x))
        parts = (self.q_lif(self.q(x)), self.k_lif(self.k(x)), self.v_lif(self.v(x)))
        q, k, v = (part.unflatten(-1, (HEADS, -1)).transpose(-2, -3) for part in parts)
        x = q @ (k.transpose(-2, -1) @ v)
        return self.head(self.proj(self.attn_lif(x.transpose(-2, -3).flatten(-2))).mean((0, 2)))


# token mixers


class Mixer(nn.Module):
    """A linear layer over tokens, then one over features, each behind a neuron; one step a call."""

    def __init__(self) -> None:
        super().__init__()
        self.lif1, self.tokens = neuron.LIFNode(v_threshold=0.5), nn.Linear(TOKENS, TOKENS)
        self.lif2, self.features = neuron.LIFNode(v_threshold=0.5), nn.Linear(7, 7)
        self.lif3, self.head = neuron.LIFNode(v_threshold=0.5), nn.Linear(7, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.tokens(self.lif1(x).transpose(-1, -2)).transpose(-1, -2)
        x = x + self.features(self.lif2(x))
        return self.head(self.lif3(x).mean(-2))


class ConvMixer(nn.Module):
    """The same with convolutions of width 1 along tokens and features, over `[T, B, N, D]`."""

    def __init__(self) -> None:
        super().__init__()
        self.lif1, self.tokens = neuron.LIFNode(v_threshold=0.5), layer.Conv1d(TOKENS, TOKENS, 1)
        self.lif2, self.features = neuron.LIFNode(v_threshold=0.5), layer.Linear(7, 7)
        self.lif3, self.head = neuron.LIFNode(v_threshold=0.5), layer.Linear(7, 3)
        functional.set_step_mode(self, "m")

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.tokens(self.lif1(x))
        x = x + self.features(self.lif2(x))
        return self.head(self.lif3(x).mean(-2))


def multi(model: type[nn.Module]) -> Any:
    return lambda: multi_step(model())[0]


class HeadsInFront(SSA):
    """With time, images and heads in one axis of each product."""

    def forward(self, x: Tensor) -> Tensor:
        x = self.embed_lif(self.embed(x))
        parts = (self.q_lif(self.q(x)), self.k_lif(self.k(x)), self.v_lif(self.v(x)))
        q, k, v = (part.unflatten(-1, (HEADS, -1)).transpose(-2, -3).flatten(0, 2) for part in parts)
        mixed = torch.bmm(torch.bmm(q, k.transpose(-2, -1)), v).unflatten(0, (*x.shape[:2], HEADS))
        x = self.attn_lif((mixed * 0.125).transpose(-2, -3).flatten(-2))
        return self.head(self.proj(x).mean(-2)).mean(0)


SEQUENCES, T_IS = images(TOKENS, 7), {"time_steps": STEPS}

ENTRIES = (
    Entry(
        "attention matmul", "(Q K^T) V by torch.matmul, [T, B, N, D], heads in one product", SSA, HeadsInFront,
        SEQUENCES, time_first, passed=T_IS, products=2,
    ),
    Entry(
        "attention einsum", "Q (K^T V) by einsum, called once per step", LinearSSA, multi(LinearSSATwin), SEQUENCES,
        stepwise, passed=T_IS, products=2,
    ),
    Entry(
        "attention inside", "marked home-made neurons over [B, T, N, D], repeats the tokens, self.time_step",
        AttentionInside, AttentionTwin, SEQUENCES, once, passed=T_IS, products=2,
    ),
    Entry(
        "token mixer", "a linear layer over tokens, one over features", Mixer, ConvMixer, SEQUENCES, stepwise,
        passed=T_IS,
    ),
)  # fmt: skip
