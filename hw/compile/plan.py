"""The plan: a network, compiled for a capability.

Flow: network file -> checks against the capability (``hw.compile.limits``) -> memory map
(``hw.compile.places``) -> layer table (``hw.compile.entries``), weights and parameters as a host
loads them (``hw.compile.words``) -> cycles at most (``hw.compile.timing``). Cheap, and all there
is to know before synthesis.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from hw.capability import Capability
from hw.compile.entries import layer_entry
from hw.compile.limits import check_budget, check_network
from hw.compile.places import Place, PlanError, allocate, sources
from hw.compile.timing import layer_timing
from hw.compile.words import bus_words, overlapped, parameter_words, pixel_words, weight_words
from hw.layer_entry import LayerEntry
from hw.pipeline import BYTE_CYCLES, OVERWRITE_CYCLES, pipeline_of
from model.network import Network
from model.network.count import multiplications

__all__ = ["ClassifierPlace", "LayerPlan", "Plan", "PlanError", "make_plan"]


@dataclass(frozen=True, kw_only=True)
class LayerPlan:
    """One layer as it will run.

    Shapes are (H, W, C); ``multiplications`` are those really needed, ``multiplications_dense``
    those of the dense network with padding; ``cycles`` are the most, and run from the layer's first
    word to the next one's (the last layer's: to the next frame's); ``utilisation`` is
    multiplications / (P x cycles); ``place`` is where the output lies, ``words`` how many words a
    pixel takes there.
    """

    index: int
    name: str
    kind: str
    input_shape: tuple[int, int, int]
    output_shape: tuple[int, int, int]
    group_size: int
    weight_bits: int
    multiplications: int
    multiplications_dense: int
    cycles: int
    utilisation: float
    weight_words: int
    activation_words: int
    place: Place
    entry: LayerEntry


@dataclass(frozen=True, kw_only=True)
class Plan:
    """The compiled network. ``memory`` maps a resource to (used, available)."""

    network: Network
    capability: Capability
    layers: tuple[LayerPlan, ...]
    cycles: int
    memory: Mapping[str, tuple[int, int]]
    weights: np.ndarray
    parameters: np.ndarray
    table: np.ndarray

    @property
    def multiplications(self) -> int:
        """Needed multiplications of a frame."""
        return sum(layer.multiplications for layer in self.layers)

    @property
    def image_cycles(self) -> int | None:
        """Cycles from a frame's start after which the next image may be written over its own, byte
        by byte from the first on, at most one each BYTE_CYCLES; None: not before its end.

        A line of the image is free when the last line of output pixels that reads it is done.
        """
        later = self.network.layers[1:]
        entry = self.layers[0].entry
        if entry.projection_image or not later or any(0 in sources(layer) for layer in later):
            return None
        height, width, channels = self.network.input_shape
        lines = layer_timing(entry, self.capability).lines
        turnaround = pipeline_of(self.capability).turnaround_cycles
        begins = range(entry.start_y, entry.last_y + 1, entry.stride)
        cycles = 0
        for line in range(height):
            last = max((y for y, begin in enumerate(begins) if begin <= line), default=None)
            if last is not None:
                written = BYTE_CYCLES * (width * channels * line // 4 * 4)  # in whole words
                cycles = max(cycles, turnaround + lines[last] + OVERWRITE_CYCLES - written)
        return cycles

    @property
    def utilisation(self) -> float:
        """Needed multiplications / (P x cycles), the whole inference."""
        return self.multiplications / (self.capability.lanes * self.cycles)

    def images(self) -> dict[str, np.ndarray]:
        """What a host loads: memory region name to its 32-bit words, from address 0."""
        return {"weights": self.weights, "parameters": self.parameters, "layers": self.table}

    def word_address(self, place: Place, offset: int = 0) -> int:
        """Host address, in the activation memory, of a place's word."""
        return (place.bank << self.capability.bank_bits) + place.offset + offset

    def unpack_records(
        self, index: int, words: Sequence[int] | np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Records (value, winner), each [H, W, G], of layer `index` from its memory `words`."""
        layer = self.layers[index]
        height, width, channels = layer.output_shape
        groups = channels // layer.group_size
        capability = self.capability
        words = np.asarray(words, np.uint64).reshape(height, width, -1)
        shifts = np.arange(capability.records_per_word, dtype=np.uint64) * np.uint64(
            capability.record_bits
        )
        records = (words[..., None] >> shifts).reshape(height, width, -1)[..., :groups]
        value = records & np.uint64(2**capability.activation_bits - 1)
        winner = records >> np.uint64(capability.activation_bits)
        return value.astype(np.int64), winner.astype(np.int64) & (capability.largest_group - 1)


@dataclass(frozen=True, kw_only=True)
class ClassifierPlace:
    """Where a classifier's words lie, so that several of them share a memory
    (``hw.compile.heads``).

    ``weights`` and ``parameters`` are words left free between those of the convolutions and its
    own; ``tile_step`` is the number of weight words from one of its tiles to the next. With fewer
    than it has input channels (None), its tiles overlap.
    """

    weights: int = 0
    parameters: int = 0
    tile_step: int | None = None


@dataclass(frozen=True, kw_only=True)
class _Loaded:
    """What a host loads: entries and weight words of each layer; words of the whole network."""

    entries: list[LayerEntry]
    counts: list[int]
    weights: np.ndarray
    parameters: np.ndarray
    weight_words: int
    parameter_words: int


def make_plan(
    network: Network, capability: Capability, classifier: ClassifierPlace | None = None
) -> Plan:
    """Compile `network` for `capability`, with the classifier's words at a `ClassifierPlace`.

    Raises :class:`PlanError` that names the resource, the need, the budget and what would fit;
    ``ValueError`` if tiles of the classifier overlap and differ.
    """
    check_network(network, capability)
    words = {
        index: tensor.pixels * pixel_words(tensor, capability)
        for index, tensor in enumerate(network.tensors)
        if index > 0
    }
    places = allocate(network, words, capability)
    loaded = _load(network, capability, places, classifier or ClassifierPlace())
    layers = _layer_plans(network, capability, places, loaded)
    table = np.concatenate([entry.words(capability) for entry in loaded.entries])
    return Plan(
        network=network,
        capability=capability,
        layers=layers,
        cycles=sum(layer.cycles for layer in layers),
        memory=_memory(network, capability, places, loaded),
        weights=bus_words(loaded.weights, capability),
        parameters=loaded.parameters,
        table=table.astype(np.uint32),
    )


def _load(
    network: Network,
    capability: Capability,
    places: Mapping[int, Place],
    classifier: ClassifierPlace,
) -> _Loaded:
    """Lay the layers' weights and parameters one behind the other, and write their entries."""
    entries, counts, weights, parameters = [], [], [], []
    weights_end, parameters_end = 0, 0
    for index, layer in enumerate(network.layers):
        block = weight_words(layer, capability)
        step = None
        if layer.kind == "classifier":
            weights.append(np.zeros((classifier.weights, capability.lanes), np.int64))
            weights_end += classifier.weights
            parameters.append(np.zeros(2 * classifier.parameters, np.uint32))
            parameters_end += classifier.parameters
            step = classifier.tile_step
            block = overlapped(block, network.tensors[layer.source].channels, step)
        entry = layer_entry(
            network, index, places, capability, weights=weights_end, parameters=parameters_end
        )
        entries.append(entry if step is None else replace(entry, tile_step=step))
        counts.append(len(block))
        weights.append(block)
        weights_end += len(block)
        parameters.append(parameter_words(layer, capability))
        parameters_end += layer.channels
    check_budget(
        "Weight memory",
        weights_end,
        capability.weight_words,
        "words of P slices",
        "fewer channels, a smaller kernel or narrower weights",
    )
    check_budget(
        "Parameter memory",
        parameters_end,
        capability.parameter_words,
        "channels",
        "fewer channels or layers",
    )
    return _Loaded(
        entries=entries,
        counts=counts,
        weights=np.concatenate(weights),
        parameters=np.concatenate(parameters),
        weight_words=weights_end,
        parameter_words=parameters_end,
    )


def _layer_plans(
    network: Network, capability: Capability, places: Mapping[int, Place], loaded: _Loaded
) -> tuple[LayerPlan, ...]:
    tensors = network.tensors
    timings = [layer_timing(entry, capability) for entry in loaded.entries]
    turnaround = pipeline_of(capability).turnaround_cycles
    logits = Place(1, capability.bank_words - capability.logit_words, len(network.classes))
    layers = []
    for index, (layer, timing) in enumerate(zip(network.layers, timings, strict=True)):
        following = timings[(index + 1) % len(timings)]
        cycles = timing.end - timing.first_word + turnaround + following.first_word
        count = multiplications(layer, tensors)
        source = tensors[layer.source]
        output = tensors[index + 1] if layer.kind == "conv" else None
        place = places[index + 1] if output else logits
        layers.append(
            LayerPlan(
                index=index,
                name=layer.name,
                kind=layer.kind,
                input_shape=(source.height, source.width, source.channels),
                output_shape=(
                    (output.height, output.width, output.channels)
                    if output
                    else (1, 1, layer.channels)
                ),
                group_size=output.group_size if output else 1,
                weight_bits=layer.weight_bits,
                multiplications=count.dham,
                multiplications_dense=count.dense,
                cycles=cycles,
                utilisation=count.dham / (capability.lanes * cycles),
                weight_words=loaded.counts[index],
                activation_words=place.words,
                place=place,
                entry=loaded.entries[index],
            )
        )
    return tuple(layers)


def _memory(
    network: Network, capability: Capability, places: Mapping[int, Place], loaded: _Loaded
) -> dict[str, tuple[int, int]]:
    """Each resource: used and available."""
    image = network.tensors[0]
    peak = max(_live_words(network, places, index) for index in range(len(network.layers)))
    return {
        "weights": (loaded.weight_words, capability.weight_words),
        "activations": (peak, capability.activation_words),
        "parameters": (loaded.parameter_words, capability.parameter_words),
        "layers": (len(loaded.entries), capability.layer_entries),
        "image": (image.pixels * image.channels, capability.image_bytes),
    }


def _live_words(network: Network, places: Mapping[int, Place], index: int) -> int:
    """Activation words in use while layer `index` runs; a place taken over in it counts once."""
    later = {tensor for layer in network.layers[index:] for tensor in sources(layer)}
    return sum(
        {places[t]: places[t].words for t in places if t <= index + 1 and t in later}.values()
    )
