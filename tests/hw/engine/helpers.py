"""What the engine's tests share: small networks with their plans, and a plain walk over a layer."""

from dataclasses import dataclass, replace
from math import ceil

import pytest

from hw.capability import SLICE_BITS, Capability
from hw.compile.plan import PlanError, make_plan
from hw.engine.layout import INITIAL
from sim.networks import Limits, random_network

CAPABILITY = Capability(
    family="generic", winner_bits=4, weight_words=4096, activation_words=1024,
    parameter_words=256, layer_entries=8, image_bytes=256, logit_words=16,
)  # fmt: skip
#: The same with each pipeline, as parameters of a test.
BY_PIPELINE = [
    pytest.param(replace(CAPABILITY, pipeline=number), id=name)
    for number, name in enumerate(("short", "long"))
]
#: Fields of the tap stream.
TAP_FIELDS = ("address", "weights", "projection", "last", "last_tile", "last_window")
LIMITS = Limits(layers=3, max_pixels=6, channels=20)


def plans(count, first=0, limits=LIMITS, capability=CAPABILITY):
    """Plans of `count` random networks that fit."""
    found, seed = [], first
    while len(found) < count:
        try:
            found.append(make_plan(random_network(seed, limits), capability))
        except PlanError:
            pass
        seed += 1
        assert seed < first + 10 * count + 20, "hardly any network fits"
    return found


async def load_entry(ctx, parts, entry):
    """Give a layer's entry to components, as the sequencer does: initial fields for a cycle."""
    fields = entry.stored()
    for part in parts:
        ctx.set(part.layer, fields)
        if hasattr(part, "loads"):
            ctx.set(part.loads, dict.fromkeys(INITIAL, 1))
    await ctx.tick()
    for part in parts:
        if hasattr(part, "loads"):
            ctx.set(part.layer, fields | dict.fromkeys(INITIAL, 0))
            ctx.set(part.loads, dict.fromkeys(INITIAL, 0))


@dataclass(frozen=True)
class Tap:
    """One tap that counts, as `hw.engine.taps.tap_layout`, with what the walker makes of it."""

    address: int
    weights: int
    projection: int
    last: int
    last_tile: int
    last_window: int
    groups: int
    group: int
    image: int
    exponent: int


def record_address(plan, tensor, y, x):
    """Address of the first record of a pixel, or of an image's byte."""
    network, capability = plan.network, plan.capability
    shape = network.tensors[tensor]
    if tensor == 0:
        return (y * shape.width + x) * shape.channels
    place = plan.layers[tensor - 1].place
    words = ceil(shape.groups / capability.records_per_word)
    word = place.offset + (y * shape.width + x) * words
    return (place.bank << capability.bank_bits | word) * capability.records_per_word


def walk(plan, index):
    """Every tap of a layer, from the network and the places of its tensors alone."""
    network, capability = plan.network, plan.capability
    layer = network.layers[index]
    source = network.tensors[layer.source]
    slices = 1 if layer.weight_bits <= SLICE_BITS else 2
    tiles = ceil(layer.channels * slices / capability.lanes)
    first_word = sum(one.weight_words for one in plan.layers[:index])
    if layer.kind == "classifier":
        rows = columns = 1
        kernel = [(y, x) for y in range(source.height) for x in range(source.width)]
        stride, top, left = 1, 0, 0
        block = source.channels
    else:
        rows, columns = plan.layers[index].output_shape[:2]
        height, width = layer.weights.shape[1:3]
        kernel = [(y, x) for y in range(height) for x in range(width)]
        stride, (top, _, left, _) = layer.stride, layer.padding
        block = len(kernel) * source.channels
    shortcut = layer.projection
    if shortcut is not None:
        block += network.tensors[shortcut.source].channels
    taps = []
    for y in range(rows):
        for x in range(columns):
            for tile in range(tiles):
                window = []
                base = first_word + tile * block
                for number, (ky, kx) in enumerate(kernel):
                    row, column = y * stride + ky - top, x * stride + kx - left
                    if 0 <= row < source.height and 0 <= column < source.width:
                        word = base + (number * source.channels if layer.kind == "conv" else 0)
                        address = record_address(plan, layer.source, row, column)
                        window.append(
                            (address, word, 0, source.groups, source.group_size,
                             layer.source == 0, 0)
                        )  # fmt: skip
                if shortcut is not None:
                    tensor = network.tensors[shortcut.source]
                    address = record_address(
                        plan, shortcut.source, y * shortcut.stride, x * shortcut.stride
                    )
                    window.append(
                        (address, base + block - tensor.channels, 1, tensor.groups,
                         tensor.group_size, shortcut.source == 0, shortcut.exponent)
                    )  # fmt: skip
                for tap in window:
                    address, word, projection, groups, group, image, exponent = tap
                    last_tile = tile == tiles - 1
                    taps.append(
                        Tap(
                            address=address,
                            weights=word,
                            projection=projection,
                            last=int(tap is window[-1]),
                            last_tile=int(last_tile),
                            last_window=int(last_tile and (y, x) == (rows - 1, columns - 1)),
                            groups=groups,
                            group=group,
                            image=int(image),
                            exponent=exponent,
                        )
                    )
    return taps


@dataclass(frozen=True)
class Word:
    """One word that the walker fetches, as `hw.engine.walker.word_layout`, and its tap."""

    address: int
    weights: int
    image: int
    projection: int
    last: int
    last_tile: int
    last_window: int
    records: int
    tap: Tap


def words_of(taps, capability=CAPABILITY):
    """What the walker fetches for taps: words of records, or bytes of the image."""
    found = []
    for tap in taps:
        size = 1 if tap.image else capability.records_per_word
        for first in range(0, tap.groups, size):
            records = min(size, tap.groups - first)
            found.append(
                Word(
                    address=tap.address + first,
                    weights=tap.weights + first * tap.group,
                    image=tap.image,
                    projection=tap.projection,
                    last=int(tap.last and first + records == tap.groups),
                    last_tile=tap.last_tile,
                    last_window=tap.last_window,
                    records=records,
                    tap=tap,
                )
            )
    return found


def random_records(word, rng, zeros=0.5, capability=CAPABILITY):
    """Records (value, winner) of a word, some of them zero; of the image one byte."""
    if word.image:
        return [(rng.randrange(256), 0)]
    return [
        (0, 0)
        if rng.random() < zeros
        else (
            rng.randrange(1, 1 << capability.activation_bits),
            rng.randrange(1 << capability.winner_bits),
        )
        for _ in range(word.records)
    ]


def packed(word, records, capability=CAPABILITY):
    """What memory holds of these records: the places behind them are zero."""
    if word.image:
        return records[0][0]
    return sum(
        (winner << capability.activation_bits | value) << number * capability.record_bits
        for number, (value, winner) in enumerate(records)
    )


def issues_of(word, records):
    """What is issued for a word: (value, winner, weights, exponent, whether it ends a window).

    A word that ends a window without a record to multiply gives one entry of Nones.
    """
    tap = word.tap
    found = [
        [value, winner, word.weights + number * tap.group, tap.exponent, 0]
        for number, (value, winner) in enumerate(records)
        if value or word.image
    ]
    if word.last:
        if not found:
            found.append([None, None, None, None, 0])
        found[-1][-1] = 1
    return [tuple(one) for one in found]
