"""The networks of the conformance set: small, and together at every limit of the layer table.

Each network is drawn as large as the capability's memories allow: `_fitted` halves it until its
plan fits. A capability too small for a network leaves it out.
"""

from collections.abc import Callable

import numpy as np

from hw.capability import OPERAND_BITS, Capability
from hw.compile.plan import PlanError, make_plan
from model.network import Network
from sim.networks import Build, Limits, add_conv, begin, end, geometry, random_network

__all__ = ["conformance_set", "limits_of"]

_HALVINGS = 7  # of a network's size, before it is given up
_RANDOM = 3  # networks drawn at random beside the made ones
_DRAWS = 20  # of a layer, until its output differs from place to place and image to image


def limits_of(capability: Capability) -> Limits:
    """What random networks may use on `capability`, so that most of them fit."""
    pixels = min(12, 2**capability.size_bits, max(4, int((capability.image_bytes // 3) ** 0.5)))
    return Limits(
        layers=min(4, capability.layer_entries - 1),
        max_pixels=pixels,
        channels=min(24, capability.parameter_words // 4),
        classes=min(12, capability.logit_words, capability.parameter_words // 4),
        activation_bits=capability.activation_bits,
        winner_bits=min(4, capability.winner_bits),
        accumulator_bits=capability.accumulator_bits,
        bias_bits=capability.bias_bits,
        multiplier=(2**capability.activation_bits - 1, 2**capability.multiplier_bits - 1),
        requantise_bits=capability.requantise_bits,
        factor=2 ** (capability.factor_bits - 1) - 1,
        negative_factors=True,
        scaled_weight_bits=OPERAND_BITS,
    )


class _Draft:
    """A network in the making for a capability, `halvings` times smaller than it could be."""

    def __init__(self, capability: Capability, seed: int, halvings: int):
        self.capability = capability
        self.size = 2**capability.size_bits
        self._halvings = halvings
        self._rng = np.random.default_rng([seed, 0xC0F])
        self._build: Build | None = None

    def less(self, most: int) -> int:
        """A size that shrinks with each halving, 1 at least."""
        return max(1, most >> self._halvings)

    def image(self, height: int, width: int, channels: int = 1, *, bits: int = 8) -> None:
        """The input: no wider than the image memory has room for."""
        most = self.capability.image_bytes // (height * channels)
        shape = (height, max(1, min(width, most)), channels)
        self._build = begin(self._rng, limits_of(self.capability), shape, bits)

    @property
    def build(self) -> Build:
        assert self._build is not None
        return self._build

    @property
    def last(self) -> int:
        """The latest tensor."""
        return len(self.build.tensors) - 1

    def conv(
        self,
        channels: int,
        *,
        kernel: tuple[int, int] = (1, 1),
        stride: int = 1,
        padding: tuple[int, int, int, int] = (0, 0, 0, 0),
        source: int | None = None,
        identity: int | None = None,
        projection: tuple[int, int] | None = None,
        **chosen,
    ) -> int:
        """Add a convolution; the tensor that it makes. `chosen` as for `sim.networks.add_conv`."""
        source = self.last if source is None else source
        build = self.build
        place = geometry(build.tensors[source], kernel, stride, padding)
        usual = {"requantiser": "spread", "binary": False, "weights": "uniform", "bias": "centre"}
        for _ in range(_DRAWS):
            add_conv(build, source, place, channels, identity, projection, usual | chosen)
            layer = build.layers[-1]
            different = 2 if layer.binary or layer.activation_bits == 1 else 3
            value = build.records[-1].value
            apart = len(np.unique(value.reshape(len(value), -1), axis=0))
            if apart == len(value) and len(np.unique(value)) >= different:
                break  # else it would leave the layers behind it untested
            for made in (build.layers, build.tensors, build.records):
                made.pop()
        else:
            add_conv(build, source, place, channels, identity, projection, usual | chosen)
        return self.last

    def end(self, name: str, classes: int = 2) -> Network:
        """The network."""
        return end(self.build, name, classes=classes, weights="uniform")


Maker = Callable[[_Draft], Network]


def _tall(draft: _Draft) -> Network:
    """The highest image; a kernel as high as that; padding on all sides."""
    group = draft.capability.largest_group
    draft.image(draft.size, draft.less(draft.size))
    draft.conv(group, kernel=(3, 3), stride=2, padding=(1, 1, 1, 1), group_size=group)
    image = draft.build.tensors[0]
    columns = min(2, image.width)
    draft.conv(group, kernel=(image.height, columns), stride=16, source=0, group_size=group,
               padding=(image.height - 1, 0, 0, columns - 1), weight_bits=4)  # fmt: skip
    return draft.end("tall")


def _broad(draft: _Draft) -> Network:
    """The widest image; a kernel as wide as that; padding on one side each."""
    group = draft.capability.largest_group
    draft.image(max(1, min(draft.less(draft.size), draft.capability.image_bytes // draft.size)),
                draft.size)  # fmt: skip
    draft.conv(group, kernel=(2, 3), stride=2, padding=(0, 1, 2, 0), group_size=group)
    image = draft.build.tensors[0]
    draft.conv(group, kernel=(1, image.width), stride=15, source=0,
               padding=(0, 0, image.width - 1, 0), group_size=group)  # fmt: skip
    return draft.end("broad")


def _strides(draft: _Draft) -> Network:
    """Strides from 3 to the largest, and a shortcut's."""
    edge = min(33, draft.size)
    draft.image(draft.less(edge), edge)
    first = draft.conv(4, kernel=(3, 2), stride=16, padding=(1, 1, 1, 0), group_size=2)
    draft.conv(4, kernel=(1, 1), stride=3, source=0, group_size=2)
    draft.conv(8, kernel=(5, 5), stride=5, padding=(2, 2, 2, 2), source=0, group_size=4)
    tensor = draft.build.tensors[first]
    pixels = (tensor.height, tensor.width)
    stride = min(15, (edge - 1) // max(1, pixels[1] - 1) if pixels[1] > 1 else 15,
                 (draft.build.tensors[0].height - 1) // max(1, pixels[0] - 1)
                 if pixels[0] > 1 else 15)  # fmt: skip
    draft.conv(4, source=first, projection=(0, max(1, stride)), exponent=0, group_size=2)
    return draft.end("strides")


def _groups(draft: _Draft) -> Network:
    """The most groups of a tensor, of one map each: as a source, as a shortcut's."""
    many = min(256, draft.less(draft.capability.parameter_words // 2))
    draft.image(1, 2, 1)
    first = draft.conv(many, group_size=1)
    second = draft.conv(4, group_size=2, weight_bits=2)
    draft.conv(4, source=second, projection=(first, 1), exponent=0, group_size=2, weight_bits=2,
               order="before")  # fmt: skip
    return draft.end("groups")


def _tiles(draft: _Draft) -> Network:
    """The most tiles: all channels that there are parameters for, of two slices each."""
    lanes = draft.capability.lanes
    most = min(64 * lanes // 2, draft.less(draft.capability.parameter_words - 8))
    group = draft.capability.largest_group
    draft.image(1, 1, 1)
    draft.conv(most // group * group, group_size=group, weight_bits=8, order="before")
    return draft.end("tiles")


def _winners(draft: _Draft) -> Network:
    """The largest group, and one that is no power of two, in both orders."""
    group = draft.capability.largest_group
    odd = max(n for n in range(1, group + 1) if n & (n - 1) or n == 1)
    draft.image(6, 5, 3)
    for order in ("before", "after"):
        for size in (group, odd):
            draft.conv(2 * size, kernel=(3, 3), padding=(1, 1, 1, 1), group_size=size, order=order)
    draft.conv(draft.capability.lanes, group_size=1, order="after", weight_bits=4)
    draft.conv(1, group_size=1, order="after", weight_bits=4)
    return draft.end("winners", classes=5)


def _binary(draft: _Draft) -> Network:
    """Winners that become 1, in both orders; weights of one bit."""
    draft.image(5, 6, 2, bits=1)
    draft.conv(8, kernel=(3, 3), padding=(1, 1, 1, 1), group_size=2, binary=True, order="before",
               weight_bits=1)  # fmt: skip
    draft.conv(8, kernel=(2, 2), group_size=2, binary=True, order="after")
    return draft.end("binary")


def _residual(draft: _Draft) -> Network:
    """Identity residuals with factors at both ends; of either bank, in place, in other groups."""
    reach = 2 ** (draft.capability.factor_bits - 1)
    factor = np.resize([-reach, reach - 1, -1, 1, 0, -reach, reach - 1, -reach], 8)
    draft.image(4, 5, 2)
    first = draft.conv(8, kernel=(3, 3), padding=(1, 1, 1, 1), group_size=2)
    second = draft.conv(8, group_size=2, order="before")
    draft.conv(8, source=first, identity=second, factor=factor, group_size=2, order="after",
               weight_bits=2)  # fmt: skip
    third = draft.conv(8, source=second, identity=first, factor=factor, group_size=2,
                       weight_bits=2)  # fmt: skip
    draft.conv(8, group_size=1)
    draft.conv(8, identity=third, factor=factor[::-1].copy(), order="before", weight_bits=2,
               group_size=min(4, draft.capability.largest_group))  # fmt: skip
    return draft.end("residual")


def _projection(draft: _Draft) -> Network:
    """A shortcut of the largest exponent; one of the image; one beside a residual."""
    draft.image(6, 6, 1, bits=1)
    first = draft.conv(4, kernel=(3, 3), padding=(1, 1, 1, 1), group_size=2, activation_bits=1)
    second = draft.conv(4, group_size=2, activation_bits=1)
    draft.conv(4, projection=(first, 1), exponent=OPERAND_BITS - 1, group_size=2, weight_bits=2,
               order="after")  # fmt: skip
    draft.conv(4, source=second, projection=(second, 1), identity=first, exponent=1, group_size=1,
               weight_bits=2)  # fmt: skip
    draft.conv(4, kernel=(2, 2), stride=2, projection=(0, 2), exponent=0, group_size=2,
               order="before")  # fmt: skip
    return draft.end("projection")


def _classes(draft: _Draft) -> Network:
    """The most classes, from an input of several pixels."""
    capability = draft.capability
    most = min(256, capability.logit_words, draft.less(capability.parameter_words - 8))
    draft.image(3, 2, 2)
    draft.conv(8, group_size=min(4, capability.largest_group))
    return draft.end("classes", classes=max(2, most))


def _depth(draft: _Draft) -> Network:
    """As many layers as the table has entries; the narrowest values between them."""
    draft.image(min(6, draft.size), min(6, draft.size), 1)
    for number in range(draft.less(draft.capability.layer_entries - 1)):
        bits = 1 + number % draft.capability.activation_bits
        draft.conv(8, kernel=(2, 2), padding=(1, 0, 0, 1), group_size=2, activation_bits=bits,
                   order=("after", "before")[number % 2])  # fmt: skip
    return draft.end("depth")


def _memory(draft: _Draft) -> Network:
    """A tensor that fills a bank; weights up to the end of their memory."""
    capability = draft.capability
    side = draft.less(1 << (capability.bank_words.bit_length() - 1) // 2)
    side = min(side, draft.size, int(capability.image_bytes**0.5))
    draft.image(side, side, 1)
    group = capability.largest_group
    lanes = capability.lanes
    draft.conv(group, kernel=(3, 3), padding=(1, 1, 1, 1), group_size=group)
    tiles = max(1, min(4, capability.parameter_words // (2 * lanes)))
    kernel = min(side, int((capability.weight_words // (tiles * group)) ** 0.5) - 1)
    draft.conv(tiles * lanes // group * group, kernel=(max(1, kernel), max(1, kernel)),
               group_size=group, weight_bits=4, order="before")  # fmt: skip
    return draft.end("memory")


def _extremes(draft: _Draft) -> Network:
    """Weights, multipliers and sums at their ends."""
    draft.image(4, 4, 3)
    for kind in ("ends", "low", "high", "tied"):
        draft.conv(8, kernel=(3, 3), padding=(1, 1, 1, 1), weights=kind, requantiser="ends",
                   group_size=2, order="after")  # fmt: skip
    return draft.end("extremes", classes=8)


_MAKERS: tuple[Maker, ...] = (
    _tall, _broad, _strides, _groups, _tiles, _winners, _binary, _residual, _projection, _classes,
    _depth, _memory, _extremes,
)  # fmt: skip


def conformance_set(capability: Capability) -> list[Network]:
    """The networks of a capability; the same each time. Those for which it has no room are left
    out."""
    found = [_fitted(make, capability, seed) for seed, make in enumerate(_MAKERS)]
    seed = 0
    drawn: list[Network] = []
    while len(drawn) < _RANDOM and seed < 20 * _RANDOM:
        network = random_network(seed, limits_of(capability))
        if _fits(network, capability):
            drawn.append(network)
        seed += 1
    return [network for network in found if network is not None] + drawn


def _fitted(make: Maker, capability: Capability, seed: int) -> Network | None:
    for halvings in range(_HALVINGS):
        network = make(_Draft(capability, seed, halvings))
        if _fits(network, capability):
            return network
    return None


def _fits(network: Network, capability: Capability) -> bool:
    try:
        make_plan(network, capability)
    except PlanError:
        return False
    return True
