"""Where tensors lie: none that are needed at once overlap; no bank is read twice in a cycle."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from hw.capability import Capability
from hw.compile.places import Place, PlanError, allocate
from model.network import Projection
from sim.networks import Limits, random_network
from tests.hw.compile.helpers import SMALL, conv, network, refused

CAPABILITY = Capability(
    family="generic", winner_bits=4, activation_words=2048, logit_words=64,
)  # fmt: skip
LIMITS = Limits(layers=7, max_pixels=8, channels=24)


def words_of(network):
    """Words of each layer's output, a pixel's records beginning with a word; by tensor."""
    per_word = CAPABILITY.records_per_word
    return {
        index: -(-tensor.groups // per_word) * tensor.pixels
        for index, tensor in enumerate(network.tensors)
        if index and tensor is not None
    }


def reads(layer):
    """The tensors of a layer that are read in the same cycle as its identity residual."""
    return [layer.source] + ([layer.projection.source] if layer.projection else [])


def check(network, words, places, capability):
    assert set(places) == set(words)
    last = {}
    for index, layer in enumerate(network.layers):
        for tensor in [*reads(layer), *([layer.identity.source] if layer.identity else [])]:
            last[tensor] = index
    for tensor, place in places.items():
        assert place.words == words[tensor]
        assert place.bank in (0, 1)
        assert 0 <= place.offset and place.offset + place.words <= capability.bank_words
    for index, layer in enumerate(network.layers):
        own = index + 1
        if own in places:
            mine = places[own]
            for other, place in places.items():
                if other >= own or last.get(other, -1) < index:
                    continue
                apart = (
                    mine.bank != place.bank
                    or mine.offset + mine.words <= place.offset
                    or place.offset + place.words <= mine.offset
                )
                residual = layer.identity is not None and other == layer.identity.source
                assert apart or (residual and mine == place and last[other] == index)
        else:  # the classifier, whose logits are the last words of bank 1
            source = places.get(layer.source)
            free = capability.bank_words - capability.logit_words
            assert source is None or source.bank == 0 or source.offset + source.words <= free
        if layer.identity is not None:
            bank = places[layer.identity.source].bank
            assert all(bank != (places[one].bank if one else 0) for one in reads(layer))


def test_random_networks():
    found = residuals = 0
    for seed in range(60):
        drawn = random_network(seed, LIMITS)
        words = words_of(drawn)
        try:
            places = allocate(drawn, words, CAPABILITY)
        except PlanError:
            continue
        check(drawn, words, places, CAPABILITY)
        found += 1
        residuals += sum(layer.identity is not None for layer in drawn.layers)
    assert found > 40 and residuals > 10


def test_a_tensor_that_fills_a_bank():
    drawn = random_network(0, Limits(layers=2, max_pixels=4, channels=8))
    words = dict.fromkeys(words_of(drawn), CAPABILITY.bank_words)
    first = min(words)
    one = {**dict.fromkeys(words, 1), first: CAPABILITY.bank_words}
    assert allocate(drawn, one, CAPABILITY)[first].words == CAPABILITY.bank_words
    with pytest.raises(PlanError, match=rf"{CAPABILITY.bank_words + 1}\) = "):
        allocate(drawn, {**one, first: CAPABILITY.bank_words + 1}, CAPABILITY)


@pytest.mark.parametrize(
    ("other", "overlap"),
    [
        (Place(0, 0, 10), False),
        (Place(0, 5, 6), True),
        (Place(0, 19, 1), True),
        (Place(0, 20, 1), False),
        (Place(1, 10, 10), False),
    ],
)
def test_overlap(other, overlap):
    place = Place(0, 10, 10)
    assert place.overlaps(other) == other.overlaps(place) == overlap
    assert place.overlaps(replace(place))


def test_the_classifiers_input_leaves_room_for_its_logits():
    """Tensor 1 is a residual beside the image, so it lies in bank 1; so do the logits."""
    plain = {"projection": None, "identity": None}
    made = SimpleNamespace(
        tensors=[SimpleNamespace(group_size=size) for size in (1, 2, 4)],
        layers=[
            SimpleNamespace(kind="conv", name="first", source=0, **plain),
            SimpleNamespace(
                kind="conv", name="second", source=0, projection=None,
                identity=SimpleNamespace(source=1),
            ),
            SimpleNamespace(kind="classifier", name="third", source=1, **plain),
        ],
    )  # fmt: skip
    room = CAPABILITY.bank_words - CAPABILITY.logit_words
    places = allocate(made, {1: room, 2: 1}, CAPABILITY)
    assert places[1] == Place(1, 0, room)
    with pytest.raises(PlanError, match=r"the classifier's input not in the last 64 words"):
        allocate(made, {1: room + 1, 2: 1}, CAPABILITY)


def test_what_is_said_if_there_is_no_room():
    shortcut = Projection(source=1, stride=1, exponent=0, weights=np.ones((32, 32), np.int64))
    made = network(
        conv(channels=32), conv("second", 1, 32, 32), conv("third", 2, 32, 32, projection=shortcut)
    )
    text = refused(made, replace(SMALL, parameter_words=128, weight_words=2048))
    assert text == (
        "Activation memory: layer 2 (third) needs tensor 1 (256) + tensor 2 (256) + its output "
        "(256) = 768 words of 4 records at once, each tensor within one bank, an identity "
        "residual in another bank than the layer's input, the classifier's input not in the last "
        "16 words; the budget is 2 banks of 256 words, and no such places were found. Larger "
        "groups, fewer channels or a smaller image there would fit"
    )
