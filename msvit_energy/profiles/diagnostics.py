"""What a reader must know before using the numbers of a profile, in words."""

from collections.abc import Mapping, Sequence

from msvit_energy.profiles.operand import Operand
from msvit_energy.profiles.profile import Profile


def warnings(profile: Profile) -> list[str]:
    """What a reader must know before using the numbers, in words."""
    notes = [*stopped(profile), *(profile.provenance.warnings or ())]
    if skipped := profile.provenance.skipped:
        notes.append(skipped_files(skipped, profile.images + len(skipped)))
    rate = profile.firing_rate
    if rate is not None and rate < 0.001:
        notes.append(f"the network hardly fires: mean firing rate {rate:.2g}")
    if profile.time_steps > 1 and not profile.neurons and profile.provenance.is_measured:
        notes.append("no layer of spiking neurons was recognised, so nothing says that T is right")
    silent = [layer.neuron for layer in profile.neurons if layer.firing_rate == 0]
    if silent:
        notes.append(f"{len(silent)} of {len(profile.neurons)} neuron layers never fire: {listed(silent)}")
    if profile.provenance.input and profile.provenance.input.random:
        notes.append(
            "the model draws random numbers as it runs, such as Poisson spikes: all numbers are of one draw, and those "
            "of another seed differ (torch.manual_seed, --seed)"
        )
    notes += contradictions(profile)
    if profile.coverage.unknown:
        names = listed([item.name for item in profile.coverage.unknown], most=6)
        share = (
            f"{profile.coverage.unknown_share:.1%} of the MACs" if profile.coverage.unknown_macs else "of unknown size"
        )
        notes.append(f"unknown work, not in the energy: {names} ({share})")
    if profile.coverage.assumed_order:
        notes.append(
            f"{listed(profile.coverage.assumed_order)}: the values of the first image do not show in which order an "
            "axis has time steps, images and their parts; totals are right, rates of single steps and intervals may "
            "not be"
        )
    if profile.coverage.note:
        notes.append(profile.coverage.note)
    return notes


def stopped(profile: Profile) -> list[str]:
    """That a measurement was stopped before its end, and what its interval then holds for."""
    data = profile.provenance.data
    if not data or not data.planned or data.planned <= profile.images:
        return []
    drawn = "order drawn" in (data.drawn or "")
    order = "" if drawn else ", the first ones in their order: the interval says nothing of the others if they differ"
    return [f"partial: stopped after {profile.images} of {data.planned} images{order}"]


def skipped_files(skipped: Mapping[str, str], images: int) -> str:
    """How many of so many images could not be read, with the first files and the reasons."""
    files = listed([f"{file} ({reason})" for file, reason in skipped.items()])
    return f"{len(skipped)} of {images} images could not be read and are in no number: {files}"


def contradictions(profile: Profile) -> list[str]:
    """Inputs whose observed kind does not fit where they come from, in words: one line for each cause, with its first
    layers."""
    layers: dict[str, list[str]] = {}
    for operator in profile.operators:
        if operator.role != "head" and (cause := _contradiction(operator.driver)):
            layers.setdefault(cause, []).append(operator.layer)
    return [f"{listed(names)}: {cause}" for cause, names in layers.items()]


def _contradiction(operand: Operand) -> str:
    """What does not fit, empty if all does."""
    kind, origin = operand.kind, operand.origin
    if kind != "analog" and origin == "input":
        return (
            f"the model's input is {kind}: right for events, which count as accumulates; "
            "an image that happens to be so would be priced too low"
        )
    if kind != "analog" and origin == "other" and operand.maximum > 0:
        return f"the input is {kind}, but comes from no spiking neuron"
    if kind == "analog" and operand.carries_spikes:
        return "the input comes from spiking neurons, but has values that are no spike counts"
    if kind == "analog" and origin == "scaled":
        return "the input is spikes times constants, but no whole numbers times one constant; priced as real numbers"
    return ""


def listed(names: Sequence[str], most: int = 4) -> str:
    """The first names, and how many more there are."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
