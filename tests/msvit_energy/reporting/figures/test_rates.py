"""The heatmap of firing rates, read back from what it draws."""

from dataclasses import replace

import numpy as np
import pytest

from msvit_energy import EnergyError, Profile
from msvit_energy.reporting.figures import Look, firing_rate_heatmap
from tests.support.figures import (
    THREE,
    cells,
    neuron,
    rows_marked,
    words,
)


def test_cells_are_the_sums_per_element_in_the_networks_order() -> None:
    figure = firing_rate_heatmap(THREE)
    assert cells(figure).tolist() == [[0.1, 0.2, 0.05, 0], [0, 0, 0, 0], [0.93, 0.95, 0.96, 0.96]]
    assert {"0.0875", "0.9500", "firing rate".capitalize() + ", model on given images"} <= set(words(figure))
    names = [word for word in words(figure) if word in ("embed", "lif", "stage1", "q", "k")]
    assert names == ["lif", "embed", "q", "stage1", "k"]  # a stage's name once, beside its first layer


def test_exactly_the_silent_and_the_saturated_layers_have_a_sign_that_the_legend_explains() -> None:
    figure = firing_rate_heatmap(THREE)
    assert rows_marked(figure, "silent") == [1]
    assert rows_marked(figure, "saturated") == [2]  # the mean of 0.93, 0.95, 0.96, 0.96 is 0.95
    assert {"silent at every time step (1 layer)", "saturated: mean ≥ 0.95 (1 layer)"} <= set(words(figure))
    below = replace(THREE, neurons=(neuron("a.lif", 930, 950, 960, 959), neuron("a.b", 0, 0, 0, 1)))
    assert rows_marked(firing_rate_heatmap(below), "saturated") == []
    assert rows_marked(firing_rate_heatmap(below), "silent") == []


def test_a_layer_called_twice_per_step_has_its_mean_and_no_cells() -> None:
    twice = replace(THREE, neurons=(*THREE.neurons, neuron("stage1.v", *range(100, 900, 100))))
    figure = firing_rate_heatmap(twice)
    assert np.isnan(cells(figure)[3]).all()
    assert cells(figure)[:3].tolist() == cells(firing_rate_heatmap(THREE)).tolist()
    assert {"0.4500", "several calls per step: mean only"} <= set(words(figure))


def test_a_network_of_silent_layers_is_drawn() -> None:
    silent = replace(THREE, neurons=(neuron("a.b", 0, 0, 0, 0),))
    assert cells(firing_rate_heatmap(silent)).tolist() == [[0, 0, 0, 0]]


def test_without_neurons_there_is_nothing_to_draw() -> None:
    with pytest.raises(EnergyError, match="no layer of spiking neurons"):
        firing_rate_heatmap(replace(THREE, neurons=()))


def blocks(count: int, *parts: str, steps: int = 4) -> Profile:
    """Two stages of `count` blocks with those layers each, and one layer before them; no two rates are equal."""
    names = ["embed.lif", *(f"stage{s}.{b}.{part}" for s in (1, 2) for b in range(count) for part in parts)]
    layers = [neuron(name, *(10 * i + t for t in range(steps))) for i, name in enumerate(names, start=1)]
    return replace(THREE, neurons=tuple(layers), time_steps=steps)


def test_blocks_of_a_long_network_stand_beside_each_other() -> None:
    profile = blocks(6, "q", "k", "v", "proj")  # 49 layers
    figure = firing_rate_heatmap(profile)
    found = cells(figure)
    assert found.shape == (9, 24)
    rows = [("embed", "lif"), *((f"stage{s}", part) for s in (1, 2) for part in ("q", "k", "v", "proj"))]
    for row, (stage, part) in enumerate(rows):
        for layer in profile.neurons:
            first, *block, last = layer.neuron.split(".")
            if (first, last) == (stage, part):
                place = 4 * int(block[0]) if block else 0
                assert found[row, place : place + 4].tolist() == list(layer.firing_rates)
    assert np.isfinite(found).sum() == 4 * 49
    written = words(figure)
    assert {"*.q", "*.proj", "block, in each time steps 0 to 3", "lif"} <= set(written)
    # stage1's q is the layers 2, 6, 10, ... 22 of 49; its sums are 10 i + t, of 1000 neurons each
    assert f"{sum(10 * i + 1.5 for i in range(2, 23, 4)) / 6 / 1000:.4f}" in written


def test_blocks_with_too_many_time_steps_have_means() -> None:
    profile = blocks(6, "q", "k", "v", "proj", steps=16)
    figure = firing_rate_heatmap(profile)
    assert cells(figure).shape == (9, 6)
    assert cells(figure)[1].tolist() == pytest.approx([layer.firing_rate for layer in profile.neurons[1:25:4]])
    assert "block, means over time" in words(figure)


def test_a_short_network_and_every_layer_if_asked_have_a_row_each() -> None:
    assert cells(firing_rate_heatmap(blocks(4, "q", "k", "v", "proj"))).shape == (33, 4)
    assert cells(firing_rate_heatmap(blocks(6, "q", "k", "v", "proj"), look=Look(every_layer=True))).shape == (49, 4)


def test_silent_layers_are_one_row_and_single_ones_among_blocks_have_a_sign() -> None:
    quiet = [neuron(f"stage1.quiet{i}", 0, 0, 0, 0) for i in range(3)]
    figure = firing_rate_heatmap(replace(THREE, neurons=(*quiet, *THREE.neurons)))
    assert {"4 silent layers", "silent at every time step (4 layers)"} <= set(words(figure))
    assert cells(figure).tolist()[2] == [0, 0, 0, 0]
    assert cells(figure).shape == (3, 4)
    assert rows_marked(figure, "silent") == [2]
    long = blocks(6, "q", "k", "v", "proj")
    silent = (*long.neurons[:5], replace(long.neurons[5], sums=(0, 0, 0, 0)), *long.neurons[6:])
    figure = firing_rate_heatmap(replace(long, neurons=silent))
    (line,) = (line for line in figure.axes[0].lines if line.get_gid() == "silent in cells")
    assert np.asarray(line.get_xydata()).tolist() == [[5.5, 1]]  # the middle of block 1, in the row of q
    assert rows_marked(figure, "silent") == []


def test_silent_layers_among_blocks_stay_in_their_rows_and_count_in_the_means() -> None:
    long = blocks(6, "q", "k", "v", "proj")
    quiet = {"stage1.1.q", "stage1.2.k", *(f"stage2.{b}.v" for b in range(6))}
    neurons = tuple(replace(n, sums=(0,) * 4) if n.neuron in quiet else n for n in long.neurons)
    figure = firing_rate_heatmap(replace(long, neurons=neurons))
    assert cells(figure).shape == (9, 24)
    assert cells(figure)[1, 4:8].tolist() == cells(figure)[2, 8:12].tolist() == [0, 0, 0, 0]
    written = words(figure)
    assert {"6 silent layers", "silent at every time step (8 layers)"} <= set(written)
    assert rows_marked(figure, "silent") == [8]
    (line,) = (line for line in figure.axes[0].lines if line.get_gid() == "silent in cells")
    assert np.asarray(line.get_xydata()).tolist() == [[5.5, 1], [9.5, 2]]
    assert f"{sum(10 * i + 1.5 for i in (2, 10, 14, 18, 22)) / 6 / 1000:.4f}" in written  # of q in stage1


def test_numbers_in_names_that_are_no_blocks_do_not_fold() -> None:
    layers = [neuron(f"features.{i}.lif{i % 20}", 100 + i, 0, 0, 0) for i in range(60)]
    assert cells(firing_rate_heatmap(replace(THREE, neurons=tuple(layers)))).shape == (60, 4)


def test_nothing_is_in_the_legend_that_is_not_drawn() -> None:
    lively = firing_rate_heatmap(replace(THREE, neurons=THREE.neurons[:1]))
    assert not [word for word in words(lively) if "silent" in word or "saturated" in word]


def test_chosen_layers_are_drawn_in_chosen_colours() -> None:
    figure = firing_rate_heatmap(THREE, look=Look(layers="stage1.*", cmap="magma"))
    assert cells(figure).tolist() == [[0, 0, 0, 0], [0.93, 0.95, 0.96, 0.96]]
    mesh = figure.axes[0].collections[0]
    assert mesh.get_cmap().name == "magma"
    assert any(word.endswith("over 3 neuron layers, of which 2 are shown") for word in words(figure))
    with pytest.raises(EnergyError, match=r"no layer drawn here is called 'stage1.qq'; did you mean stage1.q\?"):
        firing_rate_heatmap(THREE, look=Look(layers="stage1.qq"))
