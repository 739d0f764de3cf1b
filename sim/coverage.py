"""What of the hardware a set of networks exercises: counted from plans and records, not claimed."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass

import numpy as np

from hw.compile.frames import non_zero_of
from hw.compile.plan import Plan
from hw.compile.schedule import output_pixels
from hw.layer_entry import LayerEntry, entry_shapes
from hw.pipeline import QUEUED_WORDS
from model.network import Network

__all__ = ["FEATURES", "RECORD_FEATURES", "Coverage", "coverage"]


def _any_factor(network: Network, sign: int) -> bool:
    return any(
        layer.identity is not None and bool((sign * layer.identity.factor > 0).any())
        for layer in network.convs
    )


def _layers(test: Callable[[LayerEntry], int]) -> Callable[[Plan], bool]:
    """A feature that a layer's entry shows."""
    return lambda plan: any(test(layer.entry) for layer in plan.layers)


def _in_bank(kind: str, bank: int) -> Callable[[Plan], bool]:
    """A feature: a shortcut of this kind whose tensor lies in this bank."""

    def test(plan: Plan) -> bool:
        first = 1 << plan.capability.bank_bits + plan.capability.sub_bits
        return any(
            getattr(layer.entry, kind)
            and not getattr(layer.entry, f"{kind}_image", 0)
            and (getattr(layer.entry, f"{kind}_source") >= first) == bool(bank)
            for layer in plan.layers
        )

    return test


def _largest(name: str) -> Callable[[Plan], bool]:
    """A feature: the largest value that a field of the layer table holds."""
    return lambda plan: any(
        getattr(layer.entry, name) == entry_shapes(plan.capability)[name].most
        for layer in plan.layers
    )


FEATURES: dict[str, Callable[[Plan], bool]] = {
    "order before": _layers(lambda one: one.before and not one.classifier),
    "order after": _layers(lambda one: not one.before),
    "binary layer": _layers(lambda one: one.binary),
    "weights of two slices": _layers(lambda one: one.wide),
    "identity residual in bank 0": _in_bank("identity", 0),
    "identity residual in bank 1": _in_bank("identity", 1),
    "identity residual of another group size": _layers(
        lambda one: one.identity and one.identity_group != one.output_group
    ),
    "negative residual factor": lambda plan: _any_factor(plan.network, -1),
    "positive residual factor": lambda plan: _any_factor(plan.network, 1),
    "projection in bank 0": _in_bank("projection", 0),
    "projection in bank 1": _in_bank("projection", 1),
    "projection of the image": _layers(lambda one: one.projection_image),
    "projection of largest exponent": _largest("exponent"),
    "stride of 3 and more": _layers(lambda one: one.stride >= 3),
    "largest stride": _largest("stride"),
    "asymmetric padding": lambda plan: any(
        layer.padding[0] != layer.padding[1] or layer.padding[2] != layer.padding[3]
        for layer in plan.network.convs
    ),
    "group of no power of two": _layers(lambda one: one.group & (one.group - 1)),
    "group of one map": _layers(lambda one: one.group == 1 and not one.image),
    "largest group": lambda plan: any(
        layer.group_size == plan.capability.largest_group for layer in plan.network.convs
    ),
    "highest image, with padding": lambda plan: _reaches_the_edge(plan, "y", "height"),
    "widest image, with padding": lambda plan: _reaches_the_edge(plan, "x", "width"),
    "several tiles": _layers(lambda one: one.tiles > 1),
    "tile of one lane": _layers(lambda one: one.tile_lanes == 1),
    "full tile, a value a lane": _layers(
        lambda one: one.lane_cycles == 4 and one.drain_cycles == one.last_drain_cycles
    ),
    "64 classes and more": lambda plan: len(plan.network.classes) >= 64,
    "whole layer table": lambda plan: len(plan.layers) == plan.capability.layer_entries,
}
"""What of the hardware a plan exercises, by name."""


def _waiting(words: np.ndarray) -> bool:
    """Whether so many words in a row have several records that the issuer's queue fills."""
    several = words > 1
    run = QUEUED_WORDS + 1
    return len(words) >= run and bool(
        np.lib.stride_tricks.sliding_window_view(several, run, axis=0).all(axis=-1).any()
    )


RECORD_FEATURES: dict[str, Callable[[np.ndarray], bool]] = {
    "word of zeros that is dropped": lambda words: bool((words[:-1] == 0).any()),
    "window that ends with a word of zeros": lambda words: bool(
        ((words[-1] == 0) & (words.sum(axis=0) > 0)).any()
    ),
    "window of zeros": lambda words: bool((words.sum(axis=0) == 0).any()),
    "words that wait in a full queue": _waiting,
}
"""What a window's records exercise, by name: of its words [words, N], the records not zero."""


def _windows(plan: Plan, values: Sequence[np.ndarray]) -> Iterator[np.ndarray]:
    """Of each window that reads no image: records of its words that are not zero [words, N]."""
    for planned, found in zip(plan.layers, non_zero_of(plan, values), strict=True):
        source, shortcut = found.source, found.shortcut
        if source is None or (planned.entry.projection and shortcut is None):
            continue
        for pixel in output_pixels(planned.entry):
            read = [source[tap.source] for tap in pixel.taps if tap.source is not None]
            if shortcut is not None:
                read.append(shortcut[pixel.line, pixel.column])
            yield np.concatenate(read)


def _reaches_the_edge(plan: Plan, axis: str, extent: str) -> bool:
    """Whether taps lie before an image of the largest size: coordinates that need their sign."""
    most = entry_shapes(plan.capability)[f"input_{extent}"].most
    return any(
        getattr(layer.entry, f"input_{extent}") == most
        and getattr(layer.entry, f"start_{axis}") < 0
        for layer in plan.layers
    )


@dataclass(frozen=True, kw_only=True)
class Coverage:
    """What a set of networks exercised: features of `FEATURES` and `RECORD_FEATURES`, and those
    that it did not; the least and the largest value of each field of the layer table."""

    features: tuple[str, ...]
    missing: tuple[str, ...]
    fields: dict[str, tuple[int, int]]


def coverage(
    plans: Sequence[Plan], values: Sequence[Sequence[np.ndarray]] | None = None
) -> Coverage:
    """Count what `plans` exercise, with the values of their records [N, H, W, G], layer by layer.

    Without values no feature of records is counted.
    """
    found = {name for name, test in FEATURES.items() if any(test(plan) for plan in plans)}
    for plan, layers in zip(plans, values or [], strict=values is not None):
        for words in _windows(plan, layers):
            found |= {name for name, test in RECORD_FEATURES.items() if test(words)}
            if found.issuperset(RECORD_FEATURES):
                break
    names = [*FEATURES, *RECORD_FEATURES]
    return Coverage(
        features=tuple(name for name in names if name in found),
        missing=tuple(name for name in names if name not in found),
        fields=_ranges([asdict(layer.entry) for plan in plans for layer in plan.layers]),
    )


def _ranges(entries: Sequence[dict[str, int]]) -> dict[str, tuple[int, int]]:
    return {
        name: (min(one[name] for one in entries), max(one[name] for one in entries))
        for name in (entries[0] if entries else {})
    }
