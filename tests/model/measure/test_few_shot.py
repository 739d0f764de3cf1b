"""Few-shot accuracy against a plain loop over episodes, classes and queries."""

import numpy as np
import pytest
import torch

from model.data import cifar
from model.integers import oracle
from model.measure.few_shot import (
    VARIANTS,
    decide,
    draws,
    few_shot,
    pooled,
    transform,
    used,
)
from tests.model.generated import tiny_network

SIZES = (9, 12, 9, 15, 10, 11, 9)


def clouds(seed=0, sizes=SIZES, dimensions=6):
    """Features of overlapping classes, shuffled, and their labels."""
    rng = np.random.default_rng(seed)
    labels = rng.permutation(np.repeat(np.arange(len(sizes)), sizes))
    centres = rng.normal(0, 1, (len(sizes), dimensions))
    features = centres[labels] + rng.normal(0, 1, (len(labels), dimensions)) + 0.5
    return torch.from_numpy(features), torch.from_numpy(labels)


def plain_transform(vector, variant, centre):
    vector = [float(x) for x in vector]
    if variant == "CL2N":
        vector = [x - float(c) for x, c in zip(vector, centre, strict=True)]
    if variant != "UN":
        length = sum(x * x for x in vector) ** 0.5
        vector = [x / length if length else 0.0 for x in vector]
    return vector


def plain(features, labels, variant, centre, drawn, query_count):
    """Accuracy of each episode, by loops, with every decision in order."""
    classes = [
        [plain_transform(v, variant, centre) for v, label in zip(features, labels, strict=True)
         if int(label) == number]
        for number in range(int(labels.max()) + 1)
    ]  # fmt: skip
    accuracies, decisions = [], []
    for draw in drawn:
        for episode in range(len(draw.classes)):
            members = [classes[int(number)] for number in draw.classes[episode]]
            means = []
            for way, images in enumerate(members):
                chosen = [images[int(place)] for place in draw.support[episode, way]]
                means.append([sum(column) / len(chosen) for column in zip(*chosen, strict=True)])
            right = asked = 0
            for way, images in enumerate(members):
                if query_count is None:
                    support = set(draw.support[episode, way].tolist())
                    places = [place for place in range(len(images)) if place not in support]
                else:
                    places = draw.queries[episode, way].tolist()
                for place, image in enumerate(images):
                    distances = [
                        sum((a - b) ** 2 for a, b in zip(image, mean, strict=True))
                        for mean in means
                    ]
                    decided = distances.index(min(distances))
                    decisions.append((len(accuracies), way, place, decided))
                    if place in places:
                        right += decided == way
                        asked += 1
            accuracies.append(100 * right / asked)
    return accuracies, decisions


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("queries", [None, 4])
def test_equals_a_plain_loop(variant, queries, monkeypatch):
    monkeypatch.setattr("model.measure.few_shot.BLOCK", 13)  # episodes in more than one block
    features, labels = clouds()
    centre = torch.linspace(-1, 1, 6, dtype=torch.float64)
    sampling = {"ways": 4, "shots": 3, "queries": queries, "episodes": 30, "seed": 5}
    drawn = list(draws(SIZES, **sampling))
    accuracies, decisions = plain(features, labels, variant, centre, drawn, queries)

    table = torch.zeros(len(SIZES), max(SIZES), 6, dtype=torch.float64)
    changed = transform(features, variant, centre)
    for number in range(len(SIZES)):
        table[number, : SIZES[number]] = changed[labels == number]
    found = torch.cat([decide(table, draw) for draw in drawn])
    for episode, way, place, decided in decisions:
        assert int(found[episode, way, place]) == decided

    done = []
    result = few_shot(
        features, labels, base_mean=centre, variant=variant, advance=done.append, **sampling
    )
    assert result.mean == pytest.approx(np.mean(accuracies), rel=1e-12)
    assert result.interval == pytest.approx(1.96 * np.std(accuracies) / 30**0.5, rel=1e-9)
    assert done == [13, 13, 4] and 30 < result.mean < 95


def test_variants_differ():
    features, labels = clouds()
    features = features * torch.logspace(-1, 1, len(labels), dtype=torch.float64)[:, None]
    found = {
        variant: few_shot(
            features, labels, base_mean=features.mean(0), variant=variant, episodes=50
        ).mean
        for variant in VARIANTS
    }
    assert len(set(found.values())) == 3


def test_draws():
    drawn = list(draws(SIZES, ways=3, shots=2, queries=5, episodes=700, seed=1))
    assert [len(draw.classes) for draw in drawn] == [500, 200]
    classes = torch.cat([draw.classes for draw in drawn])
    support = torch.cat([draw.support for draw in drawn])
    queries = torch.cat([draw.queries for draw in drawn])
    assert classes.shape == (700, 3) and support.shape == (700, 3, 2)
    assert queries.shape == (700, 3, 5)
    for row in classes.tolist():
        assert len(set(row)) == 3
    # Every class, and every image of it, comes as often as any other.
    counts = classes.flatten().bincount(minlength=7)
    assert int(counts.min()) > 250 and int(counts.max()) < 350
    both = torch.cat([support, queries], 2)
    for number, size in enumerate(SIZES):
        places = both[classes == number]
        for row in places.tolist():
            assert len(set(row)) == 7 and max(row) < size
        share = support[classes == number].flatten().bincount(minlength=size) / len(places)
        assert len(share) == size and float((share - 2 / size).abs().max()) < 0.12
    again = next(draws(SIZES, ways=3, shots=2, queries=5, episodes=10, seed=1))
    other = next(draws(SIZES, ways=3, shots=2, queries=5, episodes=10, seed=2))
    assert not torch.equal(again.classes, other.classes)
    repeated = next(draws(SIZES, ways=3, shots=2, queries=5, episodes=10, seed=1))
    assert torch.equal(again.support, repeated.support)


def test_support_is_not_asked():
    """One image of class 1 lies far away, the others on class 0; a class has a single query.

    Where the far one is support, class 1's query is nearest to class 0; where it is the query,
    both means are equal and the first wins: 50 % either way. Support that is asked would add the
    far image, which is right.
    """
    features, labels = torch.ones(12, 2), torch.arange(12) % 2
    features[1] = 9.0
    result = few_shot(features, labels, variant="UN", ways=2, shots=5, episodes=200)
    assert (result.mean, result.interval) == (50.0, 0.0)


def test_first_of_equal_means_wins():
    draw = next(draws([6, 6, 6], ways=3, shots=2, episodes=4))
    assert not decide(torch.ones(3, 6, 2, dtype=torch.float64), draw).any()


@pytest.mark.parametrize("queries", [None, 2])
@pytest.mark.parametrize("episodes", [1, 2, 40])
def test_images_that_episodes_use(queries, episodes):
    """Exactly those that a plain walk through the episodes meets, and no result depends on more."""
    features, labels = clouds()
    labels = labels[torch.randperm(len(labels), generator=torch.Generator().manual_seed(1))]
    sampling = {"ways": 3, "shots": 2, "queries": queries, "episodes": episodes, "seed": 5}
    members = [(labels == c).nonzero().flatten().tolist() for c in range(int(labels.max()) + 1)]
    met = set()
    for draw in draws([len(one) for one in members], **sampling):
        for e, classes in enumerate(draw.classes.tolist()):
            for n, c in enumerate(classes):
                if queries is None:
                    met |= set(members[c])
                else:
                    places = [*draw.support[e, n].tolist(), *draw.queries[e, n].tolist()]
                    met |= {members[c][place] for place in places}
    found = used(labels, **sampling)
    assert found.tolist() == sorted(met)
    part = torch.zeros_like(features)
    part[found] = features[found]
    assert few_shot(part, labels, variant="L2N", **sampling) == few_shot(
        features, labels, variant="L2N", **sampling
    )


def test_perfect_and_random_features():
    labels = torch.arange(200) % 10
    perfect = torch.nn.functional.one_hot(labels, 10).float()
    result = few_shot(perfect, labels, base_mean=perfect.mean(0), episodes=100)
    assert (result.mean, result.interval) == (100.0, 0.0)
    torch.manual_seed(0)
    chance = few_shot(torch.randn(600, 4), torch.arange(600) % 10, variant="L2N", episodes=2000)
    assert abs(chance.mean - 20) < 1.5 and 0 < chance.interval < 1


def test_lengths_of_zero_are_kept():
    found = transform(torch.tensor([[0.0, 0.0], [3.0, 4.0]]), "L2N")
    assert found.tolist() == [[0, 0], [0.6, 0.8]] and found.dtype == torch.float64


@pytest.mark.parametrize(
    "change, text",
    [
        ({"ways": 8}, "8 ways need as many classes, but there are 7"),
        ({"shots": 9}, "9 shots and 1 queries need 10 images of each class, but a class has 9"),
        ({"queries": 5}, "5 shots and 5 queries need 10 images of each class, but a class has 9"),
        ({"shots": 0}, "Shots must be a positive integer, not 0"),
        ({"episodes": 0}, "Episodes must be a positive integer, not 0"),
        ({"variant": "CL2"}, "Variant 'CL2': did you mean CL2N?"),
        ({"base_mean": None}, "Variant CL2N needs the mean feature of the base classes"),
    ],
)
def test_wrong_arguments(change, text):
    features, labels = clouds()
    options = {"base_mean": features.mean(0), "episodes": 5, **change}
    with pytest.raises(ValueError, match=text.replace("?", r"\?")):
        few_shot(features, labels, **options)


def test_wrong_features():
    features, labels = clouds()
    with pytest.raises(ValueError, match="75 features need as many labels, not 74"):
        few_shot(features, labels[1:], variant="UN", episodes=5)
    with pytest.raises(ValueError, match="Class 3 has no images"):
        few_shot(features[labels != 3], labels[labels != 3], variant="UN", episodes=5)
    features[4, 2] = float("nan")
    with pytest.raises(ValueError, match="Features must be finite numbers"):
        few_shot(features, labels, variant="UN", episodes=5)


# --- features of a network file -------------------------------------------------------------------


def tiny(classes=cifar.CLASSES):
    return tiny_network(classes, bias=3)


def test_pooled_features_are_the_records():
    network = tiny()
    images = np.random.default_rng(3).integers(0, 256, (7, 32, 32, 3)).astype(np.uint8)
    records = oracle.run(network, images).records[0]
    expected = np.zeros((7, 6))
    for frame, y, x, group in np.ndindex(*records.value.shape):
        channel = group * 3 + records.winner[frame, y, x, group]
        expected[frame, channel] += records.value[frame, y, x, group]
    done = []
    found = pooled(network, images, done.append)
    assert np.array_equal(found.numpy() * 16, expected) and expected.any()
    assert sum(done) == 7
