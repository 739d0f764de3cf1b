"""The plan: a network, compiled for a capability.

Flow: network file -> checks against the capability -> memory map -> layer table, weights and
parameters (what a host loads) -> predicted cycles (``hw.compile.timing``). Cheap, and all there is
to know before synthesis.
"""

from dataclasses import dataclass, replace
from math import ceil

import numpy as np

from hw.capability import OPERAND_BITS, REQUANTISE_INTERVAL, SLICE_BITS, Capability
from hw.compile.places import Place, PlanError, allocate, sources
from hw.compile.timing import TURNAROUND_CYCLES, layer_timing
from hw.engine.drain import parameter_layout
from hw.layer_entry import LayerEntry, entry_shapes
from hw.soc.stream import BYTE_CYCLES
from model.network import Network
from model.network.count import multiplications

__all__ = ["ClassifierPlace", "LayerPlan", "Plan", "PlanError", "make_plan"]


@dataclass(frozen=True, kw_only=True)
class LayerPlan:
    """One layer as it will run.

    Shapes are (H, W, C); ``multiplications`` are those really needed, ``multiplications_dense``
    those of the dense network with padding; ``cycles`` run from the layer's first issue to the
    next one's (the last layer's: to the next frame's); ``utilisation`` is multiplications / (P x
    cycles); ``place`` is where the output lies, ``words`` how many words a pixel takes there.
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
    memory: dict
    weights: np.ndarray
    parameters: np.ndarray
    table: np.ndarray

    @property
    def multiplications(self):
        return sum(layer.multiplications for layer in self.layers)

    @property
    def image_cycles(self):
        """Cycles from a frame's start after which the next image may be written over its own, byte
        by byte from the first on, at most one each BYTE_CYCLES; None: not before its end.

        A line of the image is free when the last line of output pixels that reads it is done.
        """
        later = self.network.layers[1:]
        entry = self.layers[0].entry
        if entry.projection_image or not later or any(0 in sources(layer) for layer in later):
            return None
        height, width, channels = self.network.input_shape
        lines = layer_timing(entry).lines
        begins = range(entry.start_y, entry.last_y + 1, entry.stride)
        cycles = 0
        for line in range(height):
            last = max((y for y, begin in enumerate(begins) if begin <= line), default=None)
            if last is not None:
                written = BYTE_CYCLES * (width * channels * line // 4 * 4)  # in whole words
                cycles = max(cycles, TURNAROUND_CYCLES + lines[last] + 2 - written)
        return cycles

    @property
    def utilisation(self):
        """Needed multiplications / (P x cycles), the whole inference."""
        return self.multiplications / (self.capability.lanes * self.cycles)

    def images(self):
        """What a host loads: memory region name to its 32-bit words, from address 0."""
        return {"weights": self.weights, "parameters": self.parameters, "layers": self.table}

    def word_address(self, place, offset=0):
        """Host address, in the activation memory, of a place's word."""
        return (place.bank << self.capability.bank_bits) + place.offset + offset

    def unpack_records(self, index, words):
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


def make_plan(network, capability, classifier=None):
    """Compile `network` for `capability`, with the classifier's words at a `ClassifierPlace`.

    Raises :class:`PlanError` that names the resource, the need, the budget and what would fit;
    ``ValueError`` where tiles of the classifier overlap and differ.
    """
    classifier = classifier or ClassifierPlace()
    _check_network(network, capability)
    tensors = network.tensors
    words = {
        index: tensor.pixels * _pixel_words(tensor, capability)
        for index, tensor in enumerate(tensors)
        if index > 0
    }
    places = allocate(network, words, capability)
    entries, counts, weights, parameters = [], [], [], []
    weight_words, parameter_words = 0, 0
    for index, layer in enumerate(network.layers):
        block = _weight_words(layer, capability)
        step = None
        if layer.kind == "classifier":
            weights.append(np.zeros((classifier.weights, capability.lanes), np.int64))
            weight_words += classifier.weights
            parameters.append(np.zeros(2 * classifier.parameters, np.int64))
            parameter_words += classifier.parameters
            step = classifier.tile_step
            block = _overlapped(block, tensors[layer.source].channels, step)
        entry = _entry(network, index, places, capability, weight_words, parameter_words)
        entries.append(entry if step is None else replace(entry, tile_step=step))
        counts.append(len(block))
        weights.append(block)
        weight_words += len(block)
        parameters.append(_parameter_words(layer, capability))
        parameter_words += layer.channels
    _budget(
        "Weight memory",
        weight_words,
        capability.weight_words,
        "words of P slices",
        "fewer channels, a smaller kernel or narrower weights",
    )
    _budget(
        "Parameter memory",
        parameter_words,
        capability.parameter_words,
        "channels",
        "fewer channels or layers",
    )

    timings = [layer_timing(entry) for entry in entries]
    total = sum(TURNAROUND_CYCLES + timing.end for timing in timings)
    layers = []
    logits = Place(1, capability.bank_words - capability.logit_words, len(network.classes))
    for index, (layer, entry, timing) in enumerate(
        zip(network.layers, entries, timings, strict=True)
    ):
        following = timings[(index + 1) % len(timings)]
        cycles = timing.end - timing.first_issue + TURNAROUND_CYCLES + following.first_issue
        dense, needed = multiplications(layer, tensors)
        source = tensors[layer.source]
        output = tensors[index + 1] if layer.kind == "conv" else None
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
                multiplications=needed,
                multiplications_dense=dense,
                cycles=cycles,
                utilisation=needed / (capability.lanes * cycles),
                weight_words=counts[index],
                activation_words=words.get(index + 1, len(network.classes)),
                place=places.get(index + 1, logits),
                entry=entry,
            )
        )
    peak = max(_live_words(network, places, index) for index in range(len(network.layers)))
    table = np.concatenate([entry.words(capability) for entry in entries])
    return Plan(
        network=network,
        capability=capability,
        layers=tuple(layers),
        cycles=total,
        memory={
            "weights": (weight_words, capability.weight_words),
            "activations": (peak, capability.activation_words),
            "parameters": (parameter_words, capability.parameter_words),
            "layers": (len(entries), capability.layer_entries),
            "image": (tensors[0].pixels * tensors[0].channels, capability.image_bytes),
        },
        weights=_bus_words(np.concatenate(weights), capability),
        parameters=np.concatenate(parameters).astype(np.uint32),
        table=table.astype(np.uint32),
    )


def _live_words(network, places, index):
    """Activation words in use while layer `index` runs; a place taken over in it counts once."""
    later = {tensor for layer in network.layers[index:] for tensor in sources(layer)}
    return sum(
        {places[t]: places[t].words for t in places if t <= index + 1 and t in later}.values()
    )


# --- checks -------------------------------------------------------------------------------------


def _budget(resource, need, budget, unit, remedy):
    if need > budget:
        raise PlanError(
            f"{resource}: the network needs {need} {unit}, the budget is {budget}. "
            f"What would fit: {remedy}"
        )


def _limit(where, what, need, budget):
    if need > budget:
        raise PlanError(f"{where}: {what} is {need}, this hardware does at most {budget}")


def _check_network(network, capability):
    height, width, channels = network.input_shape
    fields = entry_shapes(capability)
    _limit("Input", "height", height, fields["input_height"].most)
    _limit("Input", "width", width, fields["input_width"].most)
    _budget(
        "Image memory",
        height * width * channels,
        capability.image_bytes,
        "bytes",
        "a smaller image",
    )
    _budget("Layer table", len(network.layers), capability.layer_entries, "layers", "fewer layers")
    _budget(
        "Accumulators",
        network.accumulator_bits,
        capability.accumulator_bits,
        "bits",
        "narrower weights or activations, or fewer inputs a layer",
    )
    tensors = network.tensors
    for index, layer in enumerate(network.layers):
        where = f"Layer {index} ({layer.name})"
        source = tensors[layer.source]
        _limit(where, "number of input groups", source.groups, fields["groups"].most)
        _limit(where, "number of input channels", source.channels, fields["weight_step"].most)
        tiles, _ = _tiles(layer, capability)
        _limit(where, "tiles of output channels", tiles, fields["tiles"].most)
        if layer.kind == "conv":
            _check_conv(where, layer, index, tensors, capability)
        else:
            most = min(fields["output_group"].most, capability.logit_words)
            _limit(where, "number of classes", layer.channels, most)
            _limit(where, "height of its input", source.height, fields["kernel_height"].most)
            _limit(where, "width of its input", source.width, fields["kernel_width"].most)
        low, high = int(layer.bias.min()), int(layer.bias.max())
        reach = 2 ** (capability.bias_bits - 1)
        if low < -reach or high >= reach:
            raise PlanError(
                f"{where}: biases are {low} to {high}, this hardware does {-reach} to {reach - 1}"
            )


def _check_conv(where, layer, index, tensors, capability):
    output = tensors[index + 1]
    fields = entry_shapes(capability)
    # The output is a later layer's source.
    _limit(where, "output height", output.height, fields["input_height"].most)
    _limit(where, "output width", output.width, fields["input_width"].most)
    _limit(where, "stride", layer.stride, fields["stride"].most)
    _limit(where, "kernel height", layer.weights.shape[1], fields["kernel_height"].most)
    _limit(where, "kernel width", layer.weights.shape[2], fields["kernel_width"].most)
    _limit(where, "group size", layer.group_size, capability.largest_group)
    _limit(where, "activation width in bits", layer.activation_bits, capability.activation_bits)
    if layer.projection is not None:
        shortcut = tensors[layer.projection.source]
        most = fields["projection_groups"].most
        _limit(where, "projection's number of input groups", shortcut.groups, most)
        most = fields["tile_step"].most
        _limit(where, "projection's number of input channels", shortcut.channels, most)
        _limit(
            where,
            "projection's value width plus exponent",
            (shortcut.maximum << layer.projection.exponent).bit_length(),
            OPERAND_BITS,
        )
    if layer.identity is not None:
        factor = layer.identity.factor
        reach = 2 ** (capability.factor_bits - 1)
        if int(factor.min()) < -reach or int(factor.max()) >= reach:
            raise PlanError(
                f"{where}: residual factors are {int(factor.min())} to {int(factor.max())}, "
                f"this hardware does {-reach} to {reach - 1}"
            )
        read = sources(layer, identity=False)
        if layer.identity.source in read:
            raise PlanError(
                f"{where}: the identity residual is also the input of the convolution or of the "
                "projection; this hardware reads them from different banks"
            )
        if 0 in read:
            # Image addresses must not look like those of the other bank.
            _limit(
                where,
                "size in bytes of an image read beside an identity residual",
                tensors[0].pixels * tensors[0].channels,
                capability.bank_words * capability.records_per_word,
            )
    multipliers = _multipliers(layer, capability)
    low = 2**layer.activation_bits - 1
    high = 2**capability.multiplier_bits - 1
    if multipliers is None or min(multipliers) < low or max(multipliers) > high:
        raise PlanError(
            f"{where}: requantiser's multiplier x 2^({capability.requantise_bits} - shift) must "
            f"be an integer from {low} to {high}; use another pair of multiplier and shift"
        )


def _multipliers(layer, capability):
    """The multipliers for the hardware's fixed shift, or None where one is no integer."""
    found = []
    for multiplier, shift in zip(layer.multiplier.tolist(), layer.shift.tolist(), strict=True):
        scaled = multiplier << capability.requantise_bits
        if scaled % (1 << shift):
            return None
        found.append(scaled >> shift)
    return found


# --- what a host loads --------------------------------------------------------------------------


def _slices(layer):
    """Lanes that one output channel takes."""
    return 1 if layer.weight_bits <= SLICE_BITS else 2


def _pixel_words(tensor, capability):
    return ceil(tensor.groups / capability.records_per_word)


def _tiles(layer, capability):
    per_tile = capability.lanes // _slices(layer)
    return ceil(layer.channels / per_tile), per_tile


def _steps(tensor, index, places, capability):
    """Address of a tensor's first record, and its steps per pixel and per row."""
    if index == 0:
        return 0, tensor.channels, tensor.width * tensor.channels
    place = places[index]
    step = _pixel_words(tensor, capability) * capability.records_per_word
    base = (place.bank << capability.bank_bits | place.offset) * capability.records_per_word
    return base, step, tensor.width * step


def _entry(network, index, places, capability, weight_words, parameter_words) -> LayerEntry:
    """The layer's entry of the layer table."""
    layer = network.layers[index]
    tensors = network.tensors
    source = tensors[layer.source]
    wrap = 2**capability.record_address_bits
    conv = layer.kind == "conv"
    base, x_step, y_step = _steps(source, layer.source, places, capability)
    if conv:
        output = tensors[index + 1]
        kernel_height, kernel_width = layer.weights.shape[1:3]
        top, _, left, _ = layer.padding
        stride, rows, columns = layer.stride, output.height, output.width
        place = places[index + 1]
        target = (place.bank << capability.bank_bits | place.offset) * capability.records_per_word
        group, maximum = output.group_size, 2**layer.activation_bits - 1
    else:
        kernel_height, kernel_width = source.height, source.width
        top = left = 0
        stride, rows, columns = 1, 1, 1
        target = (
            1 << capability.bank_bits | capability.bank_words - capability.logit_words
        ) * capability.records_per_word
        group, maximum = layer.channels, 1
    before = not conv or layer.order == "before"
    tiles, per_tile = _tiles(layer, capability)
    last_lanes = (layer.channels - (tiles - 1) * per_tile) * _slices(layer)
    # The requantiser takes a sum every few cycles: of each group, or of each channel.
    spacing = _slices(layer) * (group if before else 1)
    lane_cycles = ceil(REQUANTISE_INTERVAL / spacing)
    entry = LayerEntry(
        image=int(layer.source == 0),
        before=int(before),
        binary=int(conv and layer.binary),
        wide=int(_slices(layer) == 2),
        classifier=int(not conv),
        final=int(not conv),
        kernel_height=kernel_height,
        kernel_width=kernel_width,
        input_height=source.height,
        input_width=source.width,
        start_y=-top,
        start_x=-left,
        last_y=(rows - 1) * stride - top,
        last_x=(columns - 1) * stride - left,
        stride=stride,
        tiles=tiles,
        tile_lanes=last_lanes,
        lane_cycles=lane_cycles,
        drain_cycles=capability.lanes * lane_cycles,
        last_drain_cycles=max(2, last_lanes * lane_cycles),  # the walker needs 2
        maximum=maximum,
        source=(base - top * y_step - left * x_step) % wrap,
        kernel_x_step=x_step,
        kernel_return=(y_step - (kernel_width - 1) * x_step) % wrap,
        line_return=stride * (y_step - (columns - 1) * x_step) % wrap,
        groups=source.groups,
        group=source.group_size,
        weights=weight_words,
        weight_step=source.channels if conv else 0,
        tile_step=0 if conv else source.channels,
        output=target,
        output_group=group,
        parameters=parameter_words,
    )
    if layer.projection is not None:
        shortcut = layer.projection
        tensor = tensors[shortcut.source]
        base, x_step, y_step = _steps(tensor, shortcut.source, places, capability)
        entry = replace(
            entry,
            projection=1,
            projection_image=int(shortcut.source == 0),
            exponent=shortcut.exponent,
            projection_source=base,
            projection_x_step=shortcut.stride * x_step % wrap,
            projection_return=shortcut.stride * (y_step - (columns - 1) * x_step) % wrap,
            projection_groups=tensor.groups,
            projection_group=tensor.group_size,
            tile_step=tensor.channels,
        )
    if layer.identity is not None:
        tensor = tensors[layer.identity.source]
        base, _, _ = _steps(tensor, layer.identity.source, places, capability)
        entry = replace(entry, identity=1, identity_source=base, identity_group=tensor.group_size)
    return entry


def _weight_words(layer, capability):
    """[words, lanes] slices: tile, tap, input channel; then the projection's channels."""
    taps = layer.weights.reshape(layer.channels, -1)
    if layer.projection is not None:
        taps = np.concatenate([taps, layer.projection.weights], axis=1)
    slices = _slices(layer)
    tiles, per_tile = _tiles(layer, capability)
    padded = np.zeros((tiles * per_tile, taps.shape[1]), np.int64)
    padded[: layer.channels] = taps
    # Two's complement slices, low first, of each channel in neighbouring lanes.
    parts = [(padded >> (SLICE_BITS * number)) & (2**SLICE_BITS - 1) for number in range(slices)]
    lanes = np.stack(parts, axis=1).reshape(tiles, per_tile * slices, -1)
    words = lanes.transpose(0, 2, 1).reshape(-1, per_tile * slices)
    return words


def _overlapped(words, channels, step):
    """Weight words whose tiles begin `step` words apart; raises ``ValueError`` where they differ.

    `words` are those of `_weight_words`, a tile of `channels` words after the other.
    """
    if step is None:
        return words
    tiles = words.reshape(-1, channels, words.shape[1])
    found = np.zeros((channels + (len(tiles) - 1) * step, words.shape[1]), words.dtype)
    for number, tile in enumerate(tiles):
        found[number * step : number * step + channels] = tile
    for number, tile in enumerate(tiles):
        if (found[number * step : number * step + channels] != tile).any():
            raise ValueError(f"Tiles of the classifier differ where they overlap, {step} words on")
    return found


def _bus_words(slices, capability):
    """32-bit bus words, low half first, of weight words given as [words, lanes] slices."""
    per_word = 32 // SLICE_BITS
    halves = slices.reshape(-1, capability.lanes // per_word, per_word).astype(np.uint32)
    shifts = np.arange(per_word, dtype=np.uint32) * SLICE_BITS
    return (halves << shifts).sum(axis=2, dtype=np.uint32).reshape(-1)


def _parameter_words(layer, capability):
    """Bus words, two a channel: multiplier, bias and residual factor (``hw.engine.drain``)."""
    multipliers = _multipliers(layer, capability) if layer.kind == "conv" else None
    factors = layer.identity.factor.tolist() if layer.identity is not None else None
    found = []
    layout = parameter_layout(capability)
    for channel, bias in enumerate(layer.bias.tolist()):
        word = layout.const(
            {
                "multiplier": multipliers[channel] if multipliers else 0,
                "bias": bias,
                "factor": factors[channel] if factors else 0,
            }
        ).as_bits()
        found += [word & 0xFFFFFFFF, word >> 32]
    return np.array(found, np.int64)
