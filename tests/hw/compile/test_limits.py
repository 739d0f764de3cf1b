"""The limits: what fits, and what each refusal says."""

from dataclasses import replace

import numpy as np
import pytest

from hw.capability import Capability
from hw.compile.plan import make_plan
from model.network import Identity, Projection
from tests.hw.compile.helpers import SMALL, conv, network, refused

BUDGETS = [
    (
        network(conv(channels=64, kernel=7, padding=(3, 3, 3, 3), group_size=4)),
        {"parameter_words": 512},
        "Weight memory: the network needs 456 words of P slices, the budget is 400. What would "
        "fit: fewer channels, a smaller kernel or narrower weights",
        {"weight_words": 400},
    ),
    (
        network(conv(channels=64, kernel=1, padding=(0, 0, 0, 0), group_size=4)),
        {},
        "Parameter memory: the network needs 68 channels, the budget is 64. What would fit: "
        "fewer channels or layers",
        {},
    ),
    (
        network(
            *(conv(f"c{n}", n, 8 if n else 2) for n in range(4)),
        ),
        {},
        "Layer table: the network needs 5 layers, the budget is 4. What would fit: fewer layers",
        {},
    ),
    (
        network(conv(inputs=3), shape=(10, 10, 3)),
        {},
        "Image memory: the network needs 300 bytes, the budget is 256. What would fit: a smaller "
        "image",
        {},
    ),
    (
        network(conv()),
        {},
        "Accumulators: the network needs 14 bits, the budget is 12. What would fit: narrower "
        "weights or activations, or fewer inputs a layer",
        {"accumulator_bits": 12},
    ),
]


@pytest.mark.parametrize(
    "made, larger, text, smaller", BUDGETS, ids=[one[2].split(":")[0] for one in BUDGETS]
)
def test_budgets(made, larger, text, smaller):
    assert refused(made, replace(SMALL, **larger, **smaller)) == text


def residual(**values):
    """Two convolutions, the second with the first one's output as a residual."""
    return network(
        conv("a"),
        conv("b", 1, 8),
        conv("c", 2, 8, **values),
    )


LIMITS = [
    (
        network(conv(group_size=8)),
        {},
        "Layer 0 (conv): group size is 8, this hardware does at most 4",
    ),
    (
        network(conv(activation_bits=5)),
        {},
        "Layer 0 (conv): activation width in bits is 5, this hardware does at most 4",
    ),
    (
        network(conv(stride=17)),
        {},
        "Layer 0 (conv): stride is 17, this hardware does at most 16",
    ),
    (
        network(conv(), shape=(9, 2, 2)),
        {"size_bits": 3},
        "Input: height is 9, this hardware does at most 8",
    ),
    (
        network(conv(), shape=(2, 9, 2)),
        {"size_bits": 3},
        "Input: width is 9, this hardware does at most 8",
    ),
    (
        network(conv(padding=(2, 2, 1, 1)), shape=(8, 8, 2)),
        {"size_bits": 3},
        "Layer 0 (conv): output height is 10, this hardware does at most 8",
    ),
    (
        network(conv(kernel=9, padding=(8, 0, 8, 0)), shape=(8, 8, 2)),
        {"size_bits": 3},
        "Layer 0 (conv): kernel height is 9, this hardware does at most 8",
    ),
    (
        network(conv(bias=np.array([0, 2**19] * 4))),
        {},
        "Layer 0 (conv): biases are 0 to 524288, this hardware does -524288 to 524287",
    ),
    (
        network(conv(multiplier=np.full(8, 14))),
        {},
        "Layer 0 (conv): requantiser's multiplier x 2^(16 - shift) must be an integer from 15 to "
        "65535; use another pair of multiplier and shift",
    ),
    (
        network(conv(multiplier=np.full(8, 65536))),
        {},
        "Layer 0 (conv): requantiser's multiplier x 2^(16 - shift) must be an integer from 15 to "
        "65535; use another pair of multiplier and shift",
    ),
    (
        network(conv(multiplier=np.full(8, 257), shift=np.full(8, 17))),
        {},
        "Layer 0 (conv): requantiser's multiplier x 2^(16 - shift) must be an integer from 15 to "
        "65535; use another pair of multiplier and shift",
    ),
    (
        residual(identity=Identity(source=1, factor=np.full(8, 2048))),
        {"weight_words": 1024},
        "Layer 2 (c): residual factors are 2048 to 2048, this hardware does -2048 to 2047",
    ),
    (
        residual(identity=Identity(source=2, factor=np.full(8, 1))),
        {},
        "Layer 2 (c): the identity residual is also the input of the convolution or of the "
        "projection; this hardware reads them from different banks",
    ),
    (
        residual(
            projection=Projection(source=1, stride=1, exponent=5, weights=np.ones((8, 8), int))
        ),
        {},
        "Layer 2 (c): projection's value width plus exponent is 9, this hardware does at most 8",
    ),
    (
        network(conv(), classes=17),
        {},
        "Layer 1 (classifier): number of classes is 17, this hardware does at most 16",
    ),
    (
        network(
            conv("a", inputs=4),
            conv("b", 0, 4, identity=Identity(source=1, factor=np.full(8, 1))),
            shape=(8, 8, 4),
        ),
        {"activation_words": 96, "logit_words": 16},
        "Layer 1 (b): size in bytes of an image read beside an identity residual is 256, this "
        "hardware does at most 192",
    ),
]


@pytest.mark.parametrize(
    "made, changes, text", LIMITS, ids=[text.split(", this")[0][:60] for _, _, text in LIMITS]
)
def test_limits(made, changes, text):
    assert refused(made, replace(SMALL, **changes)) == text


#: Memories and widths that no case of `EDGES` exceeds.
ROOMY = Capability(
    family="generic", weight_words=65536, activation_words=16384, parameter_words=4096,
    layer_entries=8, image_bytes=65536, logit_words=1024, accumulator_bits=24,
)  # fmt: skip
#: More lanes, so that channels are limited before their tiles are; groups of eight.
MORE_CHANNELS = replace(ROOMY, lanes=32, winner_bits=3, weight_words=32768)


def point(name="conv", source=0, inputs=1, **values):
    """A convolution of one tap whose outputs are a group each, unless told otherwise."""
    values = {"padding": (0, 0, 0, 0), "kernel": 1, "group_size": 1} | values
    return conv(name, source, inputs, **values)


def shortcut(inputs, exponent=0, **values):
    """A network whose second layer projects a tensor of `inputs` channels of `values`."""
    projection = Projection(
        source=1, stride=1, exponent=exponent, weights=np.ones((8, inputs), np.int64)
    )
    return network(
        point("a", channels=inputs, **values),
        point("b", 1, inputs, channels=8),
        point("c", 2, 8, projection=projection),
        shape=(1, 1, 1),
    )


#: What is limited: a network that has so much of it; the most; that much more is too much; what
#: the refusal says. Each limit of the planner that no memory sets (docs/building.md).
EDGES = {
    "groups": (
        lambda n: network(point(channels=n), point("b", 1, n), shape=(1, 1, 1)),
        256, 1, "Layer 1 (b): number of input groups",
    ),
    "channels": (
        lambda n: network(
            point(channels=n, group_size=8), point("b", 1, n), shape=(1, 1, 1)
        ),
        2040, 8, "Layer 1 (b): number of input channels",
    ),
    "tiles": (
        lambda n: network(
            point(channels=16 * n - 1), shape=(1, 1, 1), source=0, weights=np.ones((4, 1), int)
        ),
        64, 1, "Layer 0 (conv): tiles of output channels",
    ),
    "tiles of wide weights": (
        lambda n: network(
            point(channels=8 * n - 1, weight_bits=5), shape=(1, 1, 1), source=0,
            weights=np.ones((4, 1), int),
        ),
        64, 1, "Layer 0 (conv): tiles of output channels",
    ),
    "projection's groups": (
        lambda n: shortcut(n), 256, 1, "Layer 1 (b): number of input groups",
    ),
    "exponent": (
        lambda n: shortcut(8, n, activation_bits=1, multiplier=np.full(8, 1)),
        7, 1, "Layer 2 (c): projection's value width plus exponent",
    ),
    "classes": (
        lambda n: network(point(channels=8), classes=n, shape=(1, 1, 1)),
        256, 1, "Layer 1 (classifier): number of classes",
    ),
    "stride": (lambda n: network(conv(stride=n)), 16, 1, "Layer 0 (conv): stride"),
    "height": (lambda n: network(conv(), shape=(n, 2, 2)), 64, 1, "Input: height"),
    "width": (lambda n: network(conv(), shape=(2, n, 2)), 64, 1, "Input: width"),
    "kernel": (
        lambda n: network(conv(kernel=n, inputs=1, padding=(0, 0, 0, 0)), shape=(n, n, 1)),
        64, 1, "Input: height",
    ),
    "group size": (
        lambda n: network(point(channels=n, group_size=n), shape=(1, 1, 1)),
        4, 1, "Layer 0 (conv): group size",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", EDGES)
def test_the_most_and_one_more(name):
    make, most, step, text = EDGES[name]
    capability = MORE_CHANNELS if name == "channels" else ROOMY
    plan = make_plan(make(most), capability)
    assert len(plan.table)
    message = refused(make(most + step), capability)
    assert message.startswith(f"{text} is "), message


def test_projection_from_further_back():
    """Its own groups and channels are limited where the convolution's are few."""
    for channels, group_size, what in ((264, 1, "groups"), (2048, 8, "channels")):
        projection = Projection(
            source=1, stride=1, exponent=0, weights=np.ones((8, channels), np.int64)
        )
        made = network(
            point("a", channels=channels, group_size=group_size),
            point("b", 0),
            point("c", 2, 8, projection=projection),
            shape=(1, 1, 1),
        )
        text = refused(made, MORE_CHANNELS)
        most = {"groups": 256, "channels": 2047}[what]
        assert text == (
            f"Layer 2 (c): projection's number of input {what} is {channels}, this hardware does "
            f"at most {most}"
        )
