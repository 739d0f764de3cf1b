"""The memory map: tensors that are needed lie apart, and what is said if there is no room."""

from dataclasses import replace

import numpy as np

from model.network import Projection
from tests.hw.compile.helpers import SMALL, conv, network, refused
from tests.hw.engine.helpers import plans


def test_activation_memory():
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


def test_places_do_not_overlap():
    """No two tensors that are needed share a word, but a residual and what replaces it."""
    for plan in plans(60, 2000):
        made = plan.network
        places = {index + 1: layer.place for index, layer in enumerate(plan.layers[:-1])}
        for index, layer in enumerate(made.layers):
            needed = {
                source
                for later in made.layers[index:]
                for source in (
                    later.source,
                    *([later.projection.source] if later.projection else []),
                    *([later.identity.source] if later.identity else []),
                )
                if 0 < source <= index
            }
            if layer.kind != "conv":
                continue
            output = places[index + 1]
            assert 0 <= output.offset and output.end <= plan.capability.bank_words
            for source in needed:
                if output.overlaps(places[source]):
                    assert layer.identity is not None and layer.identity.source == source
                    assert output == places[source]
            if layer.identity is not None:
                bank = places[layer.identity.source].bank
                assert places[layer.source].bank != bank if layer.source else bank == 1
