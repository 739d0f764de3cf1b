"""The layer table: each layer's `LayerEntry` for the places of a memory map."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import ceil

from hw.capability import REQUANTISE_INTERVAL, Capability
from hw.compile.places import Place
from hw.compile.words import pixel_words, slices_of, tiles_of
from hw.layer_entry import LayerEntry
from model.network import Classifier, Conv, Identity, Network, Projection, Tensor

__all__ = ["layer_entry"]


@dataclass(frozen=True, kw_only=True)
class _Windows:
    """A layer's windows and what they make: sizes in pixels, ``target`` a record address."""

    kernel_height: int
    kernel_width: int
    top: int
    left: int
    stride: int
    rows: int
    columns: int
    target: int
    group_size: int
    maximum: int


def layer_entry(
    network: Network,
    index: int,
    places: Mapping[int, Place],
    capability: Capability,
    *,
    weights: int,
    parameters: int,
) -> LayerEntry:
    """The entry of layer `index`.

    Parameters
    ----------
    network : Network
        Checked by ``hw.compile.limits``.
    index : int
        Of the layer.
    places : mapping of int to Place
        Of each tensor but the image.
    capability : Capability
    weights, parameters : int
        Addresses of the layer's first weight word and of its first channel's parameters.
    """
    layer = network.layers[index]
    tensors = network.tensors
    source = tensors[layer.source]
    wrap = 2**capability.record_address_bits
    conv = layer.kind == "conv"
    if layer.kind == "conv":
        windows = _conv_windows(layer, tensors[index + 1], places[index + 1], capability)
    else:
        windows = _classifier_windows(layer, source, capability)
    base, x_step, y_step = _steps(source, layer.source, places, capability)
    before = layer.kind != "conv" or layer.order == "before"
    tiles, per_tile = tiles_of(layer, capability)
    last_lanes = (layer.channels - (tiles - 1) * per_tile) * slices_of(layer)
    # The requantiser takes a sum every few cycles: of each group, or of each channel.
    spacing = slices_of(layer) * (windows.group_size if before else 1)
    lane_cycles = ceil(REQUANTISE_INTERVAL / spacing)
    entry = LayerEntry(
        image=int(layer.source == 0),
        before=int(before),
        binary=int(layer.kind == "conv" and layer.binary),
        wide=int(slices_of(layer) == 2),
        classifier=int(not conv),
        final=int(not conv),
        kernel_height=windows.kernel_height,
        kernel_width=windows.kernel_width,
        input_height=source.height,
        input_width=source.width,
        start_y=-windows.top,
        start_x=-windows.left,
        last_y=(windows.rows - 1) * windows.stride - windows.top,
        last_x=(windows.columns - 1) * windows.stride - windows.left,
        stride=windows.stride,
        tiles=tiles,
        tile_lanes=last_lanes,
        lane_cycles=lane_cycles,
        drain_cycles=capability.lanes * lane_cycles,
        last_drain_cycles=max(2, last_lanes * lane_cycles),  # the walker needs 2
        maximum=windows.maximum,
        source=(base - windows.top * y_step - windows.left * x_step) % wrap,
        kernel_x_step=x_step,
        kernel_return=(y_step - (windows.kernel_width - 1) * x_step) % wrap,
        line_return=windows.stride * (y_step - (windows.columns - 1) * x_step) % wrap,
        groups=source.groups,
        group=source.group_size,
        weights=weights,
        weight_step=source.channels if conv else 0,
        tile_step=0 if conv else source.channels,
        output=windows.target,
        output_group=windows.group_size,
        parameters=parameters,
    )
    if layer.projection is not None:
        columns = windows.columns
        entry = _with_projection(entry, layer.projection, columns, tensors, places, capability)
    if layer.identity is not None:
        entry = _with_identity(entry, layer.identity, tensors, places, capability)
    return entry


def _conv_windows(layer: Conv, output: Tensor, place: Place, capability: Capability) -> _Windows:
    kernel_height, kernel_width = layer.weights.shape[1:3]
    top, _, left, _ = layer.padding
    return _Windows(
        kernel_height=kernel_height,
        kernel_width=kernel_width,
        top=top,
        left=left,
        stride=layer.stride,
        rows=output.height,
        columns=output.width,
        target=_record_address(place.bank, place.offset, capability),
        group_size=output.group_size,
        maximum=2**layer.activation_bits - 1,
    )


def _classifier_windows(layer: Classifier, source: Tensor, capability: Capability) -> _Windows:
    """One window, as large as the source; the logits are the last words of bank 1."""
    return _Windows(
        kernel_height=source.height,
        kernel_width=source.width,
        top=0,
        left=0,
        stride=1,
        rows=1,
        columns=1,
        target=_record_address(1, capability.bank_words - capability.logit_words, capability),
        group_size=layer.channels,
        maximum=1,
    )


def _with_projection(
    entry: LayerEntry,
    projection: Projection,
    columns: int,
    tensors: tuple[Tensor, ...],
    places: Mapping[int, Place],
    capability: Capability,
) -> LayerEntry:
    wrap = 2**capability.record_address_bits
    tensor = tensors[projection.source]
    base, x_step, y_step = _steps(tensor, projection.source, places, capability)
    return replace(
        entry,
        projection=1,
        projection_image=int(projection.source == 0),
        exponent=projection.exponent,
        projection_source=base,
        projection_x_step=projection.stride * x_step % wrap,
        projection_return=projection.stride * (y_step - (columns - 1) * x_step) % wrap,
        projection_groups=tensor.groups,
        projection_group=tensor.group_size,
        tile_step=tensor.channels,
    )


def _with_identity(
    entry: LayerEntry,
    identity: Identity,
    tensors: tuple[Tensor, ...],
    places: Mapping[int, Place],
    capability: Capability,
) -> LayerEntry:
    tensor = tensors[identity.source]
    base, _, _ = _steps(tensor, identity.source, places, capability)
    return replace(entry, identity=1, identity_source=base, identity_group=tensor.group_size)


def _record_address(bank: int, offset: int, capability: Capability) -> int:
    """Record address of the first record of a word of a bank."""
    return (bank << capability.bank_bits | offset) * capability.records_per_word


def _steps(
    tensor: Tensor, index: int, places: Mapping[int, Place], capability: Capability
) -> tuple[int, int, int]:
    """Record address of a tensor's first record, and its steps per pixel and per row, records."""
    if index == 0:
        return 0, tensor.channels, tensor.width * tensor.channels
    place = places[index]
    step = pixel_words(tensor, capability) * capability.records_per_word
    return _record_address(place.bank, place.offset, capability), step, tensor.width * step
