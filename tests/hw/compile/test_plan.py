"""The plan: what fits, what each resource says when it does not, and what a host loads."""

from dataclasses import replace

import numpy as np
import pytest

from hw.capability import Capability
from hw.compile.plan import ClassifierPlace, PlanError, make_plan
from hw.compile.timing import layer_timing
from hw.pipeline import TURNAROUND_CYCLES
from model.network import Classifier, Conv, Identity, Network, Projection, validate
from tests.hw.engine.helpers import plans, record_address

SMALL = Capability(
    family="generic", weight_words=512, activation_words=512, parameter_words=64,
    layer_entries=4, image_bytes=256, logit_words=16,
)  # fmt: skip


def conv(name="conv", source=0, inputs=2, channels=8, kernel=3, **values):
    values = {
        "weight_bits": 4, "stride": 1, "padding": (1, 1, 1, 1), "group_size": 2,
        "activation_bits": 4, "bias": np.zeros(channels, np.int64),
        "multiplier": np.full(channels, 256), "shift": np.full(channels, 16),
        "weights": np.ones((channels, kernel, kernel, inputs), np.int64),
    } | values  # fmt: skip
    return Conv(name=name, source=source, **values)


def network(*layers, shape=(8, 8, 2), classes=4, **values):
    """A sound network of these convolutions and a classifier."""
    made = Network(
        name="made",
        input_shape=shape,
        layers=(
            *layers,
            Classifier(
                **{
                    "name": "classifier",
                    "source": len(layers),
                    "weights": np.ones((classes, layers[-1].channels), np.int64),
                    "weight_bits": 4,
                    "bias": np.zeros(classes, np.int64),
                }
                | values
            ),
        ),
        classes=tuple(f"class {index}" for index in range(classes)),
    )
    validate(made)
    return made


def refused(made, capability=SMALL):
    with pytest.raises(PlanError) as caught:
        make_plan(made, capability)
    return str(caught.value)


def test_fits():
    plan = make_plan(network(conv()), SMALL)
    assert [layer.kind for layer in plan.layers] == ["conv", "classifier"]
    assert plan.memory["weights"] == (9 * 2 + 8, 512)
    assert plan.memory["parameters"] == (12, 64)
    assert plan.memory["layers"] == (2, 4)
    assert plan.memory["image"] == (128, 256)
    assert plan.memory["activations"] == (64, 512)
    assert plan.multiplications == sum(layer.multiplications for layer in plan.layers)
    assert 0 < plan.utilisation < 1
    assert set(plan.images()) == {"weights", "parameters", "layers"}


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


def test_image_cycles():
    """Lines of the image are free one after the other; 16 of its bytes take the DMA 144 cycles."""
    plan = make_plan(network(conv()), SMALL)
    lines = layer_timing(plan.layers[0].entry).lines
    assert len(lines) == 8 and list(lines) == sorted(lines)
    # Line 0 is read for output lines 0 and 1, line 7 for 6 and 7.
    last = [lines[min(line + 1, 7)] for line in range(8)]
    done = [TURNAROUND_CYCLES + cycle + 2 for cycle in last]
    assert plan.image_cycles == max(cycle - 144 * line for line, cycle in enumerate(done))
    assert plan.image_cycles < plan.cycles


def test_image_that_is_read_till_the_end():
    shortcut = Projection(source=0, stride=1, exponent=0, weights=np.ones((8, 2), np.int64))
    for made in (
        network(conv(), conv("b", 1, 8, 8, projection=shortcut)),
        network(conv(projection=shortcut)),
        network(conv(), classes=4, source=0, weights=np.ones((4, 2), np.int64)),
    ):
        assert make_plan(made, SMALL).image_cycles is None


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


def test_weights_lie_where_the_walk_reads_them():
    """Slice by slice: word (tile, tap, group, winner), lane (channel, slice)."""
    for plan in plans(6, 2100):
        capability = plan.capability
        halves = plan.weights.reshape(-1, capability.bus_words_per_weight_word)
        lanes = [
            [int(half) >> 4 * lane & 15 for half in word for lane in range(8)] for word in halves
        ]
        first = 0
        for index, layer in enumerate(plan.network.layers):
            slices = 1 if layer.weight_bits <= 4 else 2
            per_tile = capability.lanes // slices
            taps = layer.weights.reshape(layer.channels, -1)
            if layer.projection is not None:
                taps = np.concatenate([taps, layer.projection.weights], axis=1)
            for channel in range(layer.channels):
                tile, lane = divmod(channel, per_tile)
                for number, weight in enumerate(taps[channel].tolist()):
                    word = lanes[first + tile * taps.shape[1] + number]
                    found = word[slices * lane : slices * lane + slices]
                    value = found[0] if slices == 1 else found[0] | found[1] << 4
                    assert value == weight % (1 << 4 * slices)
            first += plan.layers[index].weight_words
        assert first == len(lanes)


def test_unpack_records():
    plan = plans(1, 2200)[0]
    capability = plan.capability
    height, width, channels = plan.layers[0].output_shape
    groups = channels // plan.layers[0].group_size
    rng = np.random.default_rng(0)
    value = rng.integers(0, 16, (height, width, groups))
    winner = rng.integers(0, plan.layers[0].group_size, value.shape)
    words = []
    for pixel in np.stack([value, winner], -1).reshape(-1, groups, 2).tolist():
        padded = pixel + [[0, 0]] * (-groups % capability.records_per_word)
        for start in range(0, len(padded), capability.records_per_word):
            word = padded[start : start + capability.records_per_word]
            words.append(sum((v | k << 4) << n * capability.record_bits
                             for n, (v, k) in enumerate(word)))  # fmt: skip
    found = plan.unpack_records(0, words)
    assert (found[0] == value).all() and (found[1] == winner).all()
    assert record_address(plan, 1, 0, 0) == capability.records_per_word * plan.word_address(
        plan.layers[0].place
    )


def test_classifier_elsewhere():
    """Words left free are zeros; the entry says where it is; nothing else changes."""
    for plan in plans(6, 2300):
        network, capability = plan.network, plan.capability
        moved = make_plan(network, capability, ClassifierPlace(weights=5, parameters=3))
        before, after = plan.layers[-1].entry, moved.layers[-1].entry
        assert after == replace(
            before, weights=before.weights + 5, parameters=before.parameters + 3
        )
        assert [layer.entry for layer in moved.layers[:-1]] == [
            layer.entry for layer in plan.layers[:-1]
        ]
        assert moved.layers[-1].weight_words == plan.layers[-1].weight_words
        assert moved.memory["weights"][0] == plan.memory["weights"][0] + 5
        assert moved.memory["parameters"][0] == plan.memory["parameters"][0] + 3
        for name, gap in (
            ("weights", 5 * capability.bus_words_per_weight_word),
            ("parameters", 6),
        ):
            first = getattr(before, name) * gap // {"weights": 5, "parameters": 3}[name]
            old, new = getattr(plan, name), getattr(moved, name)
            assert (new[:first] == old[:first]).all()
            assert (new[first : first + gap] == 0).all()
            assert (new[first + gap :] == old[first:]).all()
        assert moved.cycles == plan.cycles


def test_overlapping_tiles():
    """Three tiles of 8 channels, 2 words apart: what they share is there once."""
    rows = np.zeros((48, 8), np.int64)
    for output in range(48):
        tile, lane = divmod(output, 16)
        for channel in range(8):
            rows[output, channel] = (2 * tile + channel + lane) % 3
    made = network(conv(), classes=48, weights=rows)
    capability = replace(SMALL, logit_words=64)
    whole = make_plan(made, capability)
    plan = make_plan(made, capability, ClassifierPlace(tile_step=2))
    assert whole.layers[-1].weight_words == 24 and plan.layers[-1].weight_words == 12
    assert plan.layers[-1].entry == replace(whole.layers[-1].entry, tile_step=2)
    first = 2 * plan.layers[-1].entry.weights
    tiles = [plan.weights[first + 4 * tile :][:16] for tile in range(3)]
    assert (np.concatenate(tiles) == whole.weights[first:]).all()
    rows[20, 3] += 1
    with pytest.raises(ValueError) as caught:
        make_plan(network(conv(), classes=48, weights=rows), capability,
                  ClassifierPlace(tile_step=2))  # fmt: skip
    assert str(caught.value) == "Tiles of the classifier differ where they overlap, 2 words on"
