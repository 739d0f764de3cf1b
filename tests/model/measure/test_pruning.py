"""Pruning: removed maps never win, on any network, and nothing else changes; ranks and counts."""

import copy

import numpy as np
import pytest
import torch

from model.data.cifar import Images, to_input
from model.dham.resnet import ResNet
from model.dham.shapes import shape_of
from model.integers import oracle
from model.measure.multiplications import skeleton
from model.measure.pruning import CRITERIA, choose, cost, curve, prune, scores
from model.network import validate
from model.network.count import multiplications
from sim.networks import images_for, random_network
from tests.model.without import run_without


def random_masks(network, seed, share=0.4):
    draw = np.random.default_rng(seed)
    masks = [draw.random(layer.channels) < share for layer in network.convs]
    for mask in masks:
        mask[draw.integers(len(mask))] = False
    return masks


@pytest.mark.parametrize("seed", range(40))
def test_removed_maps_never_win_and_nothing_else_changes(seed):
    network = random_network(seed)
    masks, images = random_masks(network, seed), images_for(network, seed)
    before = [layer.weights.copy() for layer in network.layers]
    pruned = prune(network, masks)
    validate(pruned)
    assert pruned.accumulator_bits <= network.accumulator_bits
    assert (pruned.golden, pruned.metadata, pruned.sha256) == (None, {}, None)
    assert all(np.array_equal(a, b.weights) for a, b in zip(before, network.layers, strict=True))
    found = oracle.run(pruned, images)
    records, logits = run_without(network, masks, images)
    for mine, expected, layer, mask in zip(
        found.records, records, network.convs, masks, strict=True
    ):
        assert np.array_equal(mine.value, expected.value)
        assert np.array_equal(mine.winner, expected.winner)
        maps = np.arange(layer.channels // layer.group_size) * layer.group_size + mine.winner
        assert not mask[maps[mine.value > 0]].any()
    assert np.array_equal(found.logits, logits)


def test_pruned_maps_would_have_won():
    """Or the test above would show nothing."""
    changed = 0
    for seed in range(40):
        network = random_network(seed)
        images = images_for(network, seed)
        pruned = prune(network, random_masks(network, seed))
        changed += not np.array_equal(
            oracle.run(network, images).logits, oracle.run(pruned, images).logits
        )
    assert changed > 20


def test_no_map_removed_is_the_same_network():
    network = random_network(3)
    pruned = prune(network, [np.zeros(layer.channels, bool) for layer in network.convs])
    for mine, other in zip(pruned.layers, network.layers, strict=True):
        assert np.array_equal(mine.weights, other.weights)
        assert np.array_equal(mine.bias, other.bias)


@pytest.mark.parametrize("seed", range(12))
def test_cost_without_pruning_is_the_usual_count(seed):
    network = random_network(seed)
    tensors = network.tensors
    products = sum(multiplications(layer, tensors).dham for layer in network.layers)
    weights = sum(layer.weights.size for layer in network.layers)
    weights += sum(layer.projection.weights.size for layer in network.convs if layer.projection)
    assert cost(network, [np.zeros(layer.channels, bool) for layer in network.convs]) == (
        products,
        weights,
    )


@pytest.mark.parametrize("seed", range(12))
def test_cost_counts_what_is_left_one_product_at_a_time(seed):
    network = random_network(seed)
    masks = random_masks(network, seed, 0.6)
    live = [np.ones(network.input_shape[2], bool), *(~mask for mask in masks)]
    tensors, products, weights = network.tensors, 0, 0
    for index, layer in enumerate(network.convs):
        source, output = tensors[layer.source], tensors[index + 1]
        for o in np.flatnonzero(live[index + 1]):
            top, _, left, _ = layer.padding
            parts = [
                (layer.source, (y * layer.stride + ky - top, x * layer.stride + kx - left))
                for y, x in np.ndindex(output.height, output.width)
                for ky, kx in np.ndindex(*layer.weights.shape[1:3])
            ]
            if layer.projection is not None:
                parts += [(layer.projection.source, (0, 0))] * output.pixels
                weights += live[layer.projection.source].sum()
            weights += layer.weights[o, :, :, live[layer.source]].size
            for tensor, (y, x) in parts:
                if 0 <= y < tensors[tensor].height and 0 <= x < tensors[tensor].width:
                    groups = live[tensor].reshape(-1, tensors[tensor].group_size)
                    products += int(groups.any(1).sum())
        assert source is tensors[layer.source]
    last = network.classifier
    groups = live[last.source].reshape(-1, tensors[last.source].group_size).any(1).sum()
    products += tensors[last.source].pixels * int(groups) * last.channels
    weights += live[last.source].sum() * last.channels
    assert cost(network, masks) == (products, weights)


# --- which maps -----------------------------------------------------------------------------------


def test_choose_by_layer():
    found = choose([np.array([3.0, 1, 2, 0]), np.array([5.0, 5, 5])], 0.5)
    assert [mask.tolist() for mask in found] == [
        [False, True, False, True],
        [False, False, True],  # of equals the later one
    ]
    for share, counts in ((0, [0, 0]), (0.3, [1, 0]), (0.34, [1, 1]), (0.99, [3, 2])):
        masks = choose([np.arange(4.0), np.arange(3.0)], share)
        assert [int(mask.sum()) for mask in masks] == counts
    # 0.3 · 10 is 3, though 0.3 is a little less.
    assert choose([np.arange(10.0)], 0.3)[0].sum() == 3
    assert choose([np.arange(100.0)], 0.29)[0].sum() == 29


def test_choose_globally():
    found = choose([np.array([9.0, 8, 7, 6]), np.array([0.0, 1, 2])], 3 / 7, "global")
    # The second layer keeps its best map, whatever the others have.
    assert [mask.tolist() for mask in found] == [[False, False, False, True], [True, True, False]]
    found = choose([np.arange(4.0), np.arange(3.0)], 0.99, "global")
    assert [mask.tolist() for mask in found] == [[True] * 3 + [False], [True] * 2 + [False]]


@pytest.mark.parametrize(
    "call, text",
    [
        (lambda: choose([np.arange(4.0)], 1.0), "Share to prune must be from 0 to below 1, not 1"),
        (lambda: choose([np.arange(4.0)], -0.1), "from 0 to below 1, not -0.1"),
        (lambda: choose([np.arange(4.0)], 0.1, "all"), "Scope must be layer or global, not 'all'"),
        (lambda: scores(random_network(1), "size"), "Criterion must be one of wins, magnitude"),
        (lambda: scores(random_network(1), "wins"), "Ranking by wins needs at least one image"),
        (lambda: prune(random_network(1), []), r"Masks are of \[\] maps"),
    ],
)
def test_wrong_arguments(call, text):
    with pytest.raises(ValueError, match=text):
        call()


def small(group_size=2, order="before", seed=0, **options):
    """An untrained ResNet whose statistics are those of noise, so that it is alive."""
    torch.manual_seed(seed)
    shape = shape_of("resnet8", width=8, group_sizes=(group_size,), order=order, size=16, **options)
    network = ResNet(shape)
    with torch.no_grad():
        for layer in network.layers:
            layer.beta += 0.3 * torch.randn_like(layer.beta)
        network.train()
        for _ in range(30):
            network(to_input(noise(16).pixels))
    return network.eval()


def noise(count, seed=0, size=16):
    draw = torch.Generator().manual_seed(seed)
    pixels = torch.randint(0, 256, (count, size, size, 3), dtype=torch.uint8, generator=draw)
    return Images(pixels, torch.randint(0, 10, (count,), generator=draw))


@pytest.mark.parametrize("seed", [7, 8, 9])
def test_scores_by_wins(seed):
    """The share of pixels at which the oracle has a value above 0 in the map."""
    network = random_network(seed)
    images = Images(torch.from_numpy(images_for(network, 1, 6)), torch.zeros(6, dtype=torch.int64))
    found = scores(network, "wins", images)
    result = oracle.run(network, images.pixels.numpy())
    for mine, layer, records in zip(found, network.convs, result.records, strict=True):
        dense = oracle.expand(records, layer.group_size)
        assert np.allclose(mine, (dense > 0).mean((0, 1, 2)))


def test_scores_of_a_trained_network():
    network, images = small(4), noise(20)
    network.train()
    outputs = copy.deepcopy(network).eval().activations(to_input(images.pixels))
    for mine, output in zip(scores(network, "wins", images), outputs, strict=True):
        assert np.allclose(mine, (output > 0).float().mean((0, 2, 3)))
    assert network.training  # as it was
    for mine, layer in zip(scores(network, "magnitude"), network.layers, strict=True):
        assert np.isclose(mine.mean(), 1)
        norm = layer.weight.detach().abs().sum(1)
        assert int(mine.argmax()) == int(norm.argmax())


def test_scores_by_magnitude_and_chance():
    network = random_network(12)
    for mine, layer in zip(scores(network, "magnitude"), network.convs, strict=True):
        norms = [
            sum(abs(int(w)) for w in layer.weights[o].ravel())
            + (
                0
                if layer.projection is None
                else sum(abs(int(w)) for w in layer.projection.weights[o])
                * 2**layer.projection.exponent
            )
            for o in range(layer.channels)
        ]
        assert np.allclose(mine * np.mean(norms), norms)
    one, same, other = (scores(network, "random", seed=seed) for seed in (1, 1, 2))
    assert all(np.array_equal(a, b) for a, b in zip(one, same, strict=True))
    assert not all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))


# --- trained networks, and the curve --------------------------------------------------------------


@pytest.mark.parametrize("quantised", [False, True])
@pytest.mark.parametrize("order", ["before", "after"])
def test_removed_maps_of_a_resnet_never_win(order, quantised):
    network = small(4, order, dense_sums=order == "after")
    network.mode.quantised = quantised
    images = noise(12)
    with torch.no_grad():
        before = network.activations(to_input(images.pixels))
        network(to_input(images.pixels))  # fixes the projections' exponents, once quantised
    masks = [np.arange(layer.window[0]) % 3 == 0 for layer in network.layers]
    pruned = prune(network, masks)
    with torch.no_grad():
        after = pruned.activations(to_input(images.pixels))
        again = network.activations(to_input(images.pixels))
    for index, (old, new, mask) in enumerate(zip(before, after, masks, strict=True)):
        gone = torch.from_numpy(mask)
        assert (old[:, gone] > 0).any() and not new[:, gone].any(), network.layers[index].name
        assert (new > 0).any()
        assert torch.equal(old, again[index])  # the network itself stays as it is
    # In the first layer, whose input is the same, the rest of each group competes as before.
    lost = old_winner_is_gone(before[0], torch.from_numpy(masks[0]), network.layers[0].group_size)
    kept = ~lost.repeat_interleave(network.layers[0].group_size, 1)
    assert torch.equal(before[0][kept], after[0][kept])
    assert (after[0][~kept] > 0).any()


def old_winner_is_gone(output, gone, size):
    return (output * gone[:, None, None]).unflatten(1, (-1, size)).amax(2) > 0


def test_curve_of_a_resnet():
    network, ranking, images = small(2), noise(16, 1), noise(30, 2)
    state = copy.deepcopy(network.state_dict())
    done = []
    for criterion in CRITERIA:
        rows = curve(network, ranking, images, [0, 0.25, 0.6], criterion, advance=done.append)
        with torch.no_grad():
            right = int((network(to_input(images.pixels)).argmax(1) == images.labels).sum())
        assert rows[0]["right"] == right and rows[0]["accuracy"] == 100 * right / 30
        assert [row["share"] for row in rows] == [0, 0.25, 0.6]
        assert rows[0]["removed"] == 0 and rows[1]["removed"] == 30 == rows[0]["maps"] // 4
        products = [row["multiplications"] for row in rows]
        assert products[0] > products[1] > products[2]
        nothing = [np.zeros(c.channels, bool) for c in network.shape.convolutions()]
        assert (products[0], rows[0]["weights"]) == cost(skeleton(network.shape), nothing)
        assert {row["criterion"] for row in rows} == {criterion}
        assert rows[0]["seed"] == (0 if criterion == "random" else None)
    assert sum(done) == 3 * 3 * 30
    for key, value in network.state_dict().items():
        assert torch.equal(value, state[key])
    with pytest.raises(ValueError, match="Accuracy needs at least one image"):
        curve(network, ranking, Images(images.pixels[:0], images.labels[:0]), [0], "wins")


def test_a_removed_map_that_wins_is_found(monkeypatch):
    """The check within the curve: should a map win after all, no number comes out."""
    monkeypatch.setattr("model.measure.pruning.NEVER", 100.0)
    with pytest.raises(RuntimeError, match="A removed map of stem has won"):
        curve(small(2), noise(4), noise(4), [0.5], "magnitude")


def test_curve_of_a_file_ranks_by_wins():
    """Maps that never win on the ranking images may go without any change on them."""
    network = random_network(21)
    images = Images(torch.from_numpy(images_for(network, 1, 8)), torch.zeros(8, dtype=torch.int64))
    found = scores(network, "wins", images)
    never = [score == 0 for score in found]
    for mask in never:
        mask[0] &= not mask.all()  # one map stays
    assert sum(mask.sum() for mask in never) > 3
    pruned = oracle.run(prune(network, never), images.pixels.numpy())
    whole = oracle.run(network, images.pixels.numpy())
    assert np.array_equal(pruned.logits, whole.logits)
    rows = curve(network, images, images, [0, 0.5], "wins", scope="global")
    assert rows[0]["right"] == int((whole.decisions == 0).sum())
    assert rows[1]["scope"] == "global" and rows[1]["removed"] == rows[0]["maps"] // 2
