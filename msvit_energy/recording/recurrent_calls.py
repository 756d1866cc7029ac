"""What recurrent layers of torch do: a product of each input, and one of each earlier output, with their weights."""

import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from msvit_energy.recording.operator_calls import Call, linear


def _cell(input: Tensor, hx: Tensor | Sequence[Tensor], w_ih: Tensor, w_hh: Tensor, *biases: Any) -> tuple[Call, ...]:
    """`[B, in]`, and the hidden state `[B, hidden]`, with LSTM the first of two."""
    return linear(input, w_ih), linear(hx if isinstance(hx, Tensor) else hx[0], w_hh)


def _over_steps(run: Callable[..., tuple[Tensor, ...]]) -> Callable[..., tuple[Call, ...]]:
    """Of a function that runs several layers over `[L, B, in]`, or `[B, L, in]` with `batch_first`. What stays inside
    is had by running layer after layer once more. The projections of an LSTM, whose inputs stay inside all the same,
    and packed sequences are left to fvcore."""

    def describe(
        input: Tensor,
        hx: Tensor | Sequence[Tensor],
        weights: Sequence[Tensor],
        has_biases: bool,
        layers: int,
        dropout: float,
        train: bool,
        bidirectional: bool,
        batch_first: bool,
    ) -> tuple[Call, ...]:
        if not isinstance(has_biases, bool):
            raise TypeError("a packed sequence")
        directions = 2 if bidirectional else 1
        each = len(weights) // (layers * directions)
        states = [hx] if isinstance(hx, Tensor) else list(hx)
        if input.is_meta:
            states, here = ([tensor.to("meta") for tensor in tensors] for tensors in (states, weights))
        else:
            here = list(weights)
        time, calls, fed = int(batch_first), list[Call](), input
        for layer in range(0, layers * directions, directions):
            rows = slice(layer, layer + directions)
            state = [each_state[rows].contiguous() for each_state in states]
            inside = here[layer * each : (layer + directions) * each]
            first = state[0] if isinstance(hx, Tensor) else state
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", UserWarning)  # of cuDNN, that one layer's weights are parts of a buffer
                output = run(fed, first, inside, has_biases, 1, 0.0, False, bidirectional, batch_first)[0]
            for way, hidden in enumerate(output.chunk(directions, -1)):
                w_ih, w_hh = weights[(layer + way) * each : (layer + way) * each + 2]
                calls += [linear(fed, w_ih), linear(_earlier(hidden, state[0][way], time, back=way == 1), w_hh)]
            fed = output
        return tuple(calls)

    return describe


def _earlier(hidden: Tensor, first: Tensor, time: int, *, back: bool) -> Tensor:
    """What each step is fed with: the output of the step before it, or behind it if steps run `back`."""
    start, steps = first.unsqueeze(time), hidden.shape[time] - 1
    kept = hidden.narrow(time, 1 if back else 0, steps)
    return torch.cat([kept, start] if back else [start, kept], time)


FUNCTIONS: Mapping[Any, Callable[..., tuple[Call, ...]]] = {
    **dict.fromkeys((torch.lstm_cell, torch.gru_cell, torch.rnn_tanh_cell, torch.rnn_relu_cell), _cell),
    **{run: _over_steps(run) for run in (torch.lstm, torch.gru, torch.rnn_tanh, torch.rnn_relu)},
}
