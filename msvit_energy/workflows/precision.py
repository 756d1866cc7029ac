"""`precision`: a model's spikes and SOPs in float32 against float64."""

from dataclasses import dataclass

from torch.utils.data import DataLoader

from msvit.data.readable import Readable, Unreadable, joined, readable_batches
from msvit_energy.precision import Precision, compare_formats, excite_
from msvit_energy.profiles.diagnostics import skipped_files
from msvit_energy.workflows.loading.model_loading import LoadedModel
from msvit_energy.workflows.measuring.measurement import DataOptions


@dataclass(frozen=True)
class FormatComparison:
    """What was compared, on which data at which T, with warnings about both."""

    model: str
    data: str
    time_steps: int
    warnings: list[str]
    found: Precision


def compare_number_formats(loaded: LoadedModel, options: DataOptions, *, excite: bool) -> FormatComparison:
    """Run the model in both formats; with `excite`, first overwrite its weights so that every layer fires."""
    source = options.open(loaded)
    if excite:
        excite_(loaded.model, options.seed)
    unread: dict[int, Unreadable] = {}
    loader = DataLoader(Readable(source.dataset), options.batch_size, collate_fn=joined)
    found = compare_formats(loaded.model, (batch[0] for batch in readable_batches(loader, unread)))
    time_steps = getattr(loaded.model, "time_steps", 1)
    warnings = [*loaded.warnings, *source.warnings]
    if unread:
        warnings.append(skipped_files({each.file: each.reason for each in unread.values()}, len(source)))
    return FormatComparison(loaded.provenance["model"]["name"], source.name, time_steps, warnings, found)
