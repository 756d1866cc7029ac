"""What the fields of a profile must agree on, beyond their types."""

from collections.abc import Iterator, Sequence
from fractions import Fraction

from msvit_energy.profiles.amounts import Moments
from msvit_energy.profiles.field_types import MOST_REAL
from msvit_energy.profiles.operand import Operand
from msvit_energy.profiles.profile import Profile


def inconsistencies(profile: Profile) -> Iterator[tuple[str, str]]:
    """The path of each field that cannot be right, and why."""
    if profile.labelled > profile.images:
        yield "$.labelled", f"{profile.labelled} of {profile.images} images"
    if profile.correct > profile.labelled:
        yield "$.correct", f"{profile.correct} of {profile.labelled} labelled images"
    yield from _repeated_names(profile)
    for i, layer in enumerate(profile.neurons):
        yield from _too_large(layer.sums, layer.elements, f"$.neurons[{i}].sums")
        yield from _step(layer.step, f"$.neurons[{i}].step")
    for i, operator in enumerate(profile.operators):
        lengths = [len(operand.sums) for operand in operator.operands]
        if lengths[0] != operator.runs_per_image:
            yield f"$.operators[{i}].operands[0].sums", f"{lengths[0]} sums of {operator.runs_per_image} runs"
        for j, length in enumerate(lengths):
            if length not in (1, operator.runs_per_image, profile.time_steps):
                yield f"$.operators[{i}].operands[{j}].sums", f"{length} sums of {operator.runs_per_image} runs"
        if operator.shape is not None and len(operator.shape.taps) != len(operator.shape.stride):
            taps, strides = operator.shape.taps, operator.shape.stride
            yield f"$.operators[{i}].shape.stride", f"{len(strides)} strides of {len(taps)} axes"
    for i, entry in enumerate(profile.entries):
        operators = len(profile.operators)
        path = f"$.operators[{i}]" if i < operators else f"$.overheads[{i - operators}]"
        for j, operand in enumerate(entry.operands):
            yield from _operand(operand, entry.layer, f"{path}.operands[{j}]")
    yield from _moments(profile.moments, profile.count_keys())
    yield from _memory(profile)


def _repeated_names(profile: Profile) -> Iterator[tuple[str, str]]:
    layers = [(f"$.operators[{i}].layer", entry.layer) for i, entry in enumerate(profile.operators)]
    layers += [(f"$.overheads[{i}].layer", entry.layer) for i, entry in enumerate(profile.overheads)]
    neurons = [(f"$.neurons[{i}].neuron", layer.neuron) for i, layer in enumerate(profile.neurons)]
    for named in (layers, neurons):
        seen: dict[str, str] = {}
        for path, name in named:
            if name in seen:
                yield path, f"{name!r} is also {seen[name]}"
            seen[name] = path


def _operand(operand: Operand, layer: str, path: str) -> Iterator[tuple[str, str]]:
    if operand.layer != layer:
        yield f"{path}.name", f"{operand.name!r} is no argument of {layer!r}"
    yield from _too_large(operand.sums, operand.elements, f"{path}.sums")
    if operand.kind != "analog" and any(total < 0 for total in operand.sums):
        yield f"{path}.sums", f"expected sums from 0, since the input is {operand.kind}"
    yield from _step(operand.step, f"{path}.step")
    if operand.kind == "analog" and operand.scaled:
        yield f"{path}.kind", "real numbers have no step and no sign of their own"
    if operand.kind == "analog" and operand.events is not None:
        yield f"{path}.events", f"real numbers have no events, got {operand.events}"
    if operand.nonzeros and len(operand.nonzeros) != len(operand.sums):
        yield f"{path}.nonzeros", f"{len(operand.nonzeros)} counts of {len(operand.sums)} runs"
    if any(count < 0 for count in operand.nonzeros) or sum(operand.nonzeros) > operand.elements:
        yield f"{path}.nonzeros", f"expected counts from 0, together at most the {operand.elements} elements"


def _step(step: int | Fraction, path: str) -> Iterator[tuple[str, str]]:
    if not 0 < step <= int(MOST_REAL):
        yield path, f"expected a constant above 0, got {step}"


def _too_large(sums: Sequence[int | Fraction], elements: int, path: str) -> Iterator[tuple[str, str]]:
    most = elements * int(MOST_REAL)
    for step, total in enumerate(sums):
        if not -most <= total <= most:
            yield f"{path}[{step}]", f"expected a sum of values up to {MOST_REAL:g}"


def _moments(moments: Moments, wanted: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    size = len(moments.keys)
    if size and sorted(moments.keys) != sorted(wanted):
        other = sorted(set(moments.keys) ^ set(wanted))[:3]
        yield "$.moments.keys", f"not the counts of this profile: {', '.join(map(repr, other)) or 'one stands twice'}"
    if len(moments.sums) != size:
        yield "$.moments.sums", f"{len(moments.sums)} sums of {size} keys"
    elif [len(row) for row in moments.products] != list(range(size, 0, -1)):
        yield "$.moments.products", f"not the upper triangle of {size} x {size}"
    else:
        for i, total in enumerate(moments.sums):
            if total < 0:
                yield f"$.moments.sums[{i}]", f"expected a sum from 0, got {total}"
        for i, row in enumerate(moments.products):
            for j, product in enumerate(row):
                if product < 0:
                    yield f"$.moments.products[{i}][{j}]", f"expected a product from 0, got {product}"
                if product > moments.sums[i] * moments.sums[i + j]:
                    yield f"$.moments.products[{i}][{j}]", f"{product} is more than the product of the sums"


def _memory(profile: Profile) -> Iterator[tuple[str, str]]:
    if profile.memory is None:
        return
    images = {len(values) for values in profile.memory.parts_pj.values()}
    if len(images) > 1 or max(images) > profile.images:
        yield "$.memory.parts_pj", f"expected the same images for each part, at most {profile.images}"
