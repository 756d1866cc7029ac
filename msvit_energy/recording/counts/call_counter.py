"""Calls of operators, and of column sums and masks, over all batches: MACs and streams of each layer."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from msvit_energy.profiles.layer_shape import LayerShape
from msvit_energy.profiles.operand import Operand
from msvit_energy.profiles.operators import Operator, stage_of
from msvit_energy.recording.counts.streams import Observed, Streams
from msvit_energy.recording.layouts.layout import Layout
from msvit_energy.recording.operator_calls import Call, Stream
from msvit_energy.recording.spike_lineage import BLANK, OTHER, WEIGHT, Origin, Origins, merge
from msvit_energy.recording.stream_key import INPUT, StreamKey

ENCODED = ("input", "other")  # origins of what an entrance may encode


@dataclass
class Calls:
    """The calls of one layer: MACs and outputs over all images, its streams (all inputs that are no weights) and their
    origins. `shape` is that of one call."""

    op: str
    streams: tuple[StreamKey, ...]
    origins: dict[StreamKey, Origin] = field(default_factory=dict)
    varies: dict[StreamKey, bool] = field(default_factory=dict)  # of inputs that come from no neuron
    macs: int = 0
    outputs: int = 0
    shape: LayerShape | None = None


class CallCounter:
    """Calls by layer, in the order of the first one. `reaching` says whether inputs reach synapses.

    The layers of the present batch may be provisional until its end.
    """

    KEPT = ("layers", "_final")

    def __init__(self, streams: Streams, *, reaching: bool = True) -> None:
        self.layers: dict[str, Calls] = {}
        self._present: dict[str, Calls] = {}  # in the present batch
        self._final: dict[str, str] = {}  # of provisional layers in earlier batches
        self._first_steps: dict[tuple[StreamKey, int], Tensor] = {}  # of each window in the present batch
        self._streams, self._reaching = streams, reaching

    def begin(self) -> None:
        """Start a batch; what is left of one that failed is forgotten."""
        self._present.clear()
        self._first_steps.clear()

    def end(self, repeats: Mapping[str, str]) -> None:
        """Count the batch; `repeats` are provisional layers, and which layer they are a repeat of."""
        for provisional, calls in self._present.items():
            layer = self._final[provisional] = repeats.get(provisional, provisional)
            streams = tuple(key._replace(layer=layer) for key in calls.streams)
            known = self.layers.setdefault(layer, Calls(calls.op, streams))
            known.macs += calls.macs
            known.outputs += calls.outputs
            known.shape = calls.shape if known.shape is None else known.shape
            for key, origin in calls.origins.items():
                own = key._replace(layer=layer)
                known.origins[own] = merge([origin, known.origins.get(own, origin)])
            for key, varies in calls.varies.items():
                own = key._replace(layer=layer)
                known.varies[own] = known.varies.get(own, False) or varies

    def known(self, layer: str) -> bool:
        """Whether a layer was called before."""
        return layer in self._present or layer in self._final

    def streams_of(self, layer: str, call: Call, origins: Origins | None) -> tuple[StreamKey, ...]:
        """The streams that a layer was found to have at its first call: all inputs but those made of parameters."""
        if layer in self._present:
            return self._present[layer].streams
        if layer in self._final:
            return tuple(key._replace(layer=layer) for key in self.layers[self._final[layer]].streams)
        known = origins or Origins()
        return tuple(
            StreamKey(layer, INPUT, position)
            for position, stream in enumerate(call.streams)
            if known.of(stream.values) != WEIGHT
        )

    def observe(self, layer: str, call: Call, origins: Origins | None) -> None:
        """Count the streams of one call; `origins` says where they come from while a forward is followed."""
        if layer not in self._present:
            streams = self.streams_of(layer, call, origins)
            if not streams:
                return
            self._present[layer] = Calls(call.op, streams)
        calls = self._present[layer]
        calls.macs += call.macs
        if call.shape is not None:
            calls.outputs += call.shape.outputs
            calls.shape = calls.shape or _with_weights(call, calls.streams)
        pairs = self._layout_of_pairs(call, calls)
        met: list[tuple[Observed, Tensor]] = []
        for key in calls.streams:
            stream = call.streams[key.position]
            if origins is not None:
                origin = origins.of(stream.values)
                calls.origins[key] = merge([origin, calls.origins.get(key, origin)])
            layout = None if pairs is None else self._streams.layout(key, stream.values, stream.rank)
            steps = self._streams.split(key, stream.values, stream.rank)
            self._compare_steps(calls, key, stream, steps, origins)
            seen = self._streams.observe(key, steps, stream.reached, source=self._origin(calls, key).what)
            if seen is not None:
                met.append((seen, self._as_passed(seen, stream.values, layout)))
        if pairs is not None:
            self._observe_pairs(layer, call, calls, met, pairs)

    def _origin(self, calls: Calls, key: StreamKey) -> Origin:
        """Where a stream comes from, as the first batch showed."""
        layer = self._final.get(key.layer, key.layer)
        earlier = self.layers.get(layer, calls)
        return calls.origins.get(key) or earlier.origins.get(key._replace(layer=layer), OTHER)

    def _as_passed(self, seen: Observed, values: Tensor, layout: Layout | None) -> Tensor:
        """The magnitudes of a stream's tensor in its own shape, or the tensor, where it has no other magnitudes."""
        if layout is None or (seen.magnitudes is None and seen.step == 1):
            return values
        if seen.magnitudes is None:
            return values / float(seen.step)  # a power of two
        passed = torch.empty_like(values, dtype=seen.magnitudes.dtype, device=seen.magnitudes.device)
        steps = layout.split(passed, self._streams.layouts.steps, self._streams.images)
        assert steps is not None
        steps.copy_(seen.magnitudes)
        return passed

    def _layout_of_pairs(self, call: Call, calls: Calls) -> Layout | None:
        """The layout of the pairs that meet in a product, by that of its first operand that has images; None where
        images cannot be told apart."""
        if call.pairs is None or len(calls.streams) < 2:
            return None
        if self._streams.images == 1:
            return Layout(())
        for key, axes in zip(calls.streams, call.pairs.axes, strict=True):
            layout = self._streams.layout(key, call.streams[key.position].values)
            if layout is not None:
                return layout.images_moved(axes)
        return None

    def _compare_steps(
        self, calls: Calls, key: StreamKey, stream: Stream, steps: Tensor, origins: Origins | None
    ) -> None:
        """Note whether a stream that comes from no neuron differs between time steps, until it does once."""
        layer = self._final.get(key.layer, key.layer)
        earlier, own = self.layers.get(layer, calls), key._replace(layer=layer)
        origin = self._origin(calls, key) if origins is None else origins.of(stream.values)
        if origin.what not in ENCODED or calls.varies.get(key) or earlier.varies.get(own) or stream.values.is_meta:
            return
        window = self._streams.window(key, self._streams.layout(key, stream.values, stream.rank))
        first = self._first_steps.setdefault((key, window), steps[0].clone())
        calls.varies[key] = any(step.shape != first.shape or not torch.equal(step, first) for step in steps)

    def _observe_pairs(
        self, layer: str, call: Call, calls: Calls, met: list[tuple[Observed, Tensor]], layout: Layout
    ) -> None:
        unread = (0, math.inf, 1)  # nothing waits for a device
        bounds = [seen.bounds.tolist() if seen.bounds.is_cpu else unread for seen, _ in met]
        if call.pairs is not None and len(met) == 2 and all(whole for *_, whole in bounds):
            (_, left), (_, right) = met
            pairs = call.pairs.count(left, right, max(high for _, high, _ in bounds))
            self._streams.observe_pairs(layer, calls.streams, pairs, layout, tuple(seen.step for seen, _ in met))

    def operands(self, layer: str) -> tuple[Operand, ...]:
        """The operands of a layer, none for one that was not called."""
        if layer not in self.layers:
            return ()
        calls = self.layers[layer]
        counters = self._streams.counters
        return tuple(
            counters[key].operand(
                str(key),
                _settled(calls.origins.get(key, OTHER), analog=counters[key].analog),
                calls.varies.get(key),
                reaching=self._reaching,
            )
            for key in calls.streams
        )

    def operators(self, images: int) -> tuple[Operator, ...]:
        """Every layer as an operator, with the MACs of one of `images` images."""
        found = []
        for layer, calls in self.layers.items():
            operands = self.operands(layer)
            operator = Operator(
                layer=layer,
                stage=stage_of(layer),
                op=calls.op,
                role="",
                macs_per_image=_of_one_image(calls.macs, images),
                runs_per_image=len(operands[0].sums),
                operands=operands,
                pairs=self._streams.pairs(layer, calls.streams),
                shape=calls.shape and replace(calls.shape, outputs=_of_one_image(calls.outputs, images)),
            )
            found.append(operator)
        return tuple(found)


def _settled(origin: Origin, *, analog: bool) -> Origin:
    """As a profile says it: what held nothing at its only step is something else, and averages over windows that are on
    no lattice are no plain averages."""
    if origin.what == "pooled":
        return replace(origin, what="scaled" if analog else "averaged")
    return OTHER if origin == BLANK else origin


def _with_weights(call: Call, streams: Sequence[StreamKey]) -> LayerShape | None:
    """The shape of a call; of a product one side of which is made of parameters, that is a layer with weights."""
    others = [stream for i, stream in enumerate(call.streams) if all(key.position != i for key in streams)]
    if call.shape is None or len(streams) != 1 or len(others) != 1:
        return call.shape
    own = call.streams[streams[0].position]
    reached = own.reached if isinstance(own.reached, int | float) else 0
    return replace(call.shape, weights=others[0].values.numel(), channels=int(reached))


def _of_one_image(total: int, images: int) -> int:
    """MACs or outputs of one image; images of several sizes have their mean, rounded."""
    return total // images if total % images == 0 else round(total / images)
