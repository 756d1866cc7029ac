"""What holds over long runs and at large sizes: memory, merging, report pages.

    python benchmarks/soak.py reports/benchmarks

Each part is a process of its own. Linux, and a Chromium as for the tests of the page (MSVIT_ENERGY_CHROMIUM names
another). Ten minutes on one core, 6 GB.
"""

import gc
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from in_turn import ENVIRONMENT, machine, peak

IMAGES, BATCH, SETTLED = 20_000, 8, 500  # the last in batches
PARTS, FILES = (1_000, 10_000), 50
PAGES, LAYERS, OPENED = 50, 3_000, 5
NOTES = (
    "Seconds of opening are from the request to the first frame with all numbers, medians of "
    f"{OPENED} visits in headless Chromium; all others are of the processor.",
    "Networks have random weights. The profiles that are merged are those of "
    f"{FILES} files, read again and again, each time as of other images.",
)


def resident() -> float:
    """Memory of this process at present, in MB."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20


def images() -> Iterator[str]:
    """Many images through msvit_digits: memory and living objects."""
    import torch

    import msvit
    from msvit_energy import profile

    torch.manual_seed(0)
    model = msvit.create_model("msvit_digits").eval()
    at: list[float] = []
    objects: list[int] = []

    def note(_: int) -> None:
        at.append(resident())
        if len(at) % SETTLED == 0:
            objects.append(len(gc.get_objects()))

    measured = profile(model, (torch.rand(BATCH, 1, 12, 12) for _ in range(IMAGES // BATCH)), on_batch=note)
    settled, last, highest = at[SETTLED - 1], statistics.median(at[-100:]), max(at[SETTLED:])
    yield f"| images measured | {measured.images:,} |"
    yield f"| resident memory after {SETTLED} batches of {BATCH} | {settled:.0f} MB |"
    yield f"| in the end (median of the last 100 batches) | {last:.0f} MB, {last / settled - 1:+.1%} |"
    yield f"| most in between | {highest:.0f} MB, {highest / settled - 1:+.1%} |"
    yield f"| living Python objects, then and in the end | {objects[0]:,}, {objects[-1]:,} |"


def merging() -> Iterator[str]:
    """Thousands of profiles joined to one."""
    import torch

    import msvit
    from msvit_energy import Preparation, Profile, profile
    from msvit_energy.profiles.merge import merge

    torch.manual_seed(0)
    model, preparation = msvit.create_model("msvit_digits").eval(), Preparation()
    with tempfile.TemporaryDirectory() as folder:
        for number in range(FILES):
            part = profile(model, [torch.rand(10, 1, 12, 12)], preparation=preparation, provenance={"data": {}})
            part.save(Path(folder) / f"{number}.json")

        def parts(many: int) -> Iterator[Profile]:
            for number in range(many):
                part = Profile.load(Path(folder) / f"{number % FILES}.json")
                data = replace(part.provenance.data, indices=f"{10 * number}-{10 * number + 9}")  # type: ignore[type-var]
                yield replace(part, provenance=replace(part.provenance, data=data))

        before = peak()
        for many in PARTS:
            seconds, joined = timed(lambda many=many: merge(parts(many)))
            assert joined.images == 10 * many
            yield f"| {many:,} profiles read and merged | {seconds:.1f} s, {1e3 * seconds / many:.1f} ms each |"
        yield f"| memory beyond that of the measurement | {peak() - before:.0f} MB |"


def pages() -> Iterator[str]:
    """A page of many profiles."""
    from importlib import resources

    from msvit_energy import Profile
    from msvit_energy.profiles.provenance import Provenance
    from msvit_energy.reporting.page import page

    stored = resources.files("msvit_energy.reporting") / "data" / "rivals" / "msvit_digits.profile.json"
    with resources.as_file(stored) as path:
        one = Profile.load(path)
    facts = one.provenance.as_mapping()
    many = {
        f"epoch {epoch}": replace(one, provenance=Provenance.of(facts | {"epoch": epoch}))
        for epoch in range(1, PAGES + 1)
    }
    yield from written_and_opened(
        f"page of {PAGES} profiles of {len(one.entries)} entries", lambda: page(many, *basis())
    )


def deep() -> Iterator[str]:
    """A network of thousands of layers, from measurement to page."""
    import torch
    from spikingjelly.activation_based import functional, layer, neuron
    from torch import nn

    from msvit_energy import price, profile
    from msvit_energy.reporting.page import page

    torch.manual_seed(0)
    blocks = []
    for _ in range(LAYERS):
        weights = layer.Linear(8, 8, bias=False)
        nn.init.uniform_(weights.weight)
        blocks.append(nn.Sequential(weights, neuron.LIFNode()))
    net = nn.Sequential(*blocks)
    functional.set_step_mode(net, "m")
    seconds, measured = timed(lambda: profile(net, [2 * torch.rand(4, 8) for _ in range(2)], time_steps=4))
    assert len(measured.operators) == LAYERS
    yield f"| {LAYERS:,} layers measured, 2 batches | {seconds:.0f} s, at most {peak() / 1024:.1f} GB |"
    yield f"| priced | {timed(lambda: price(measured))[0]:.1f} s |"
    yield from written_and_opened(f"page of {LAYERS:,} layers", lambda: page({"deep": measured}, *basis()))


def basis() -> tuple[str, Any]:
    """Protocol and prices that pages begin with."""
    from msvit_energy.pricing.technology import get_technology

    return "appendix-c", get_technology("45nm-fp32")


def timed(work: Callable[[], Any]) -> tuple[float, Any]:
    """Seconds of the processor, and the result."""
    started = time.process_time()
    result = work()
    return time.process_time() - started, result


def written_and_opened(what: str, write: Callable[[], str]) -> Iterator[str]:
    """A page's time of writing and of opening, and its size."""
    seconds, html = timed(write)
    yield f"| {what}, written | {seconds:.1f} s, {len(html) / 1e6:.1f} MB |"
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "page.html"
        file.write_text(html, encoding="utf-8")
        opened = opening(file)
    yield f"| opened | {statistics.median(opened):.2f} s (from {min(opened):.2f} to {max(opened):.2f}) |"


def opening(file: Path) -> list[float]:
    """Seconds until a page stands in the browser, for each of some visits."""
    from playwright.sync_api import sync_playwright

    path = os.environ.get("MSVIT_ENERGY_CHROMIUM") or shutil.which("chromium")
    seconds = []
    with sync_playwright() as playwright:
        root = hasattr(os, "geteuid") and os.geteuid() == 0
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"] if root else [])
        for _ in range(OPENED):
            page = browser.new_page(viewport={"width": 1280, "height": 900})
            complaints: list[str] = []
            page.on("pageerror", lambda error, complaints=complaints: complaints.append(str(error)))
            started = time.perf_counter()
            page.goto(file.as_uri(), timeout=300_000)
            page.evaluate("new Promise((done) => requestAnimationFrame(() => setTimeout(done)))")
            seconds.append(time.perf_counter() - started)
            assert not complaints, complaints
            page.close()
        browser.close()
    return seconds


PARTS_OF_SOAK: Mapping[str, Callable[[], Iterator[str]]] = {
    "images": images,
    "merging": merging,
    "pages": pages,
    "deep": deep,
}


def main(report: Path) -> None:
    """Run all parts, write soak.md."""
    rows = []
    for name in PARTS_OF_SOAK:
        environment = os.environ | ENVIRONMENT | {"OMP_NUM_THREADS": "1"}
        command = [sys.executable, __file__, "--as", name]
        done = subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE, text=True)
        rows += json.loads(done.stdout)
        print(done.stdout, flush=True)
    lines = ["# Long runs and large sizes", "", machine(1), "", "| | |", "| --- | ---: |", *rows, "", *NOTES]
    report.mkdir(parents=True, exist_ok=True)
    (report / "soak.md").write_text("\n".join(lines) + "\n")
    print("\n".join(lines))


if __name__ == "__main__":
    if sys.argv[1] == "--as":
        import torch

        torch.set_num_threads(1)
        print(json.dumps(list(PARTS_OF_SOAK[sys.argv[2]]())))
    else:
        main(Path(sys.argv[1]))
