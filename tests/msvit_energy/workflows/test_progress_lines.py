"""Lines that say how far a training is, by a clock that the tests set."""

from dataclasses import dataclass, field
from itertools import pairwise

import pytest

from msvit.training.history import Step
from msvit_energy.workflows.progress_lines import ProgressLines, duration


@dataclass
class Watch:
    """A clock that stands, and the lines with the time at which they came."""

    now: float = 1000.0
    lines: list[tuple[float, str]] = field(default_factory=list)

    def __call__(self) -> float:
        return self.now

    def log(self, line: str) -> None:
        self.lines.append((self.now - 1000, line))


def test_an_epoch_of_163_seconds_says_twice_how_far_it_is() -> None:
    watch = Watch()
    shown = ProgressLines(watch.log, epochs=2, clock=watch)
    shown.begin(0.0)
    for number in range(1, 164):  # a batch of 16 images each second
        watch.now += 1
        shown.step(Step(1, number, 163, 16, loss=2.0 if number <= 59 else 1.0))
    # a minute is over after batch 60, so the line comes with batch 59: of 326 batches 267 are left, a second each
    assert watch.lines == [
        (59, "epoch 1, step 59 of 163: 16 images/s, 4 min left, loss 2.0000"),
        (118, "epoch 1, step 118 of 163: 16 images/s, 3 min left, loss 1.0000"),
    ]


def test_no_two_lines_are_more_than_a_minute_apart_while_batches_are_shorter() -> None:
    watch = Watch()
    shown = ProgressLines(watch.log, epochs=1, clock=watch)
    shown.begin(0.0)
    for number in range(1, 41):
        watch.now += 7
        shown.step(Step(1, number, 40, 8, loss=1.0))
    times = [0.0, *(time for time, _ in watch.lines)]
    assert [b - a for a, b in pairwise(times)] == [56] * 5  # the eighth batch, not the ninth


def test_what_comes_between_counts_and_tests_are_told_apart() -> None:
    watch = Watch()
    shown = ProgressLines(watch.log, epochs=3, clock=watch)
    shown.begin(0.0)
    for number in range(1, 5):
        watch.now += 10
        shown.step(Step(1, number, 4, 20, loss=1.0))
    for _ in range(3):
        watch.now += 10
        shown.other("testing", 100)
    watch.now += 1
    shown.said("epoch 1: loss 1.0000")
    watch.now += 50
    shown.step(Step(2, 1, 4, 20, loss=1.0))
    # 20 s of 10 images a second: training's 80 images are not among them
    assert watch.lines[0] == (50, "testing after epoch 1 of 3: 10 images/s")
    assert [time for time, _ in watch.lines] == [50, 71, 121]
    # 20 images in the 51 s since the last test; 1.25 epochs took 121 s: the 1.75 that are left take 169 s
    assert watch.lines[2][1] == "epoch 2, step 1 of 4: 0.392 images/s, 3 min left, loss 1.0000"


def test_a_resumed_run_has_the_time_of_its_own_part_only() -> None:
    watch = Watch()
    shown = ProgressLines(watch.log, epochs=10, clock=watch)
    shown.begin(8.5)
    for number in range(51, 101):
        watch.now += 72
        shown.step(Step(9, number, 100, 4, loss=0.5))
    # a batch takes longer than a minute: each has its line; half an epoch in an hour, so one epoch takes two
    assert len(watch.lines) == 50
    assert watch.lines[-1][1] == "epoch 9, step 100 of 100: 0.0556 images/s, 2 h 0 min left, loss 0.5000"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.4, "0 s"), (89.4, "89 s"), (90, "2 min"), (3599, "1 h 0 min"), (12_000, "3 h 20 min"), (187_200, "2 d 4 h")],
)
def test_durations_have_their_two_largest_units(seconds: float, text: str) -> None:
    assert duration(seconds) == text
