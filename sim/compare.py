"""Compares what the RTL did with what a network must do: records, logits, classes, cycles.

A frame's cycles follow from its records (`hw.compile.frames`), which have been found right by then.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from hw.compile.frames import FrameCycles, frame_cycles
from hw.compile.plan import Plan
from model.integers import oracle
from model.network import record_digest
from sim.run import Log

__all__ = ["Comparison", "Expected", "compare"]


@dataclass(frozen=True, kw_only=True)
class Expected:
    """What a network makes of its images: for each frame, a digest of the records of each layer.

    ``logits`` is [N, classes]. As `model.network.Golden` has it, or computed.
    """

    images: np.ndarray
    digests: Sequence[Sequence[str]]
    logits: np.ndarray


@dataclass(kw_only=True)
class Comparison:
    """What was compared, and the first difference (None: all equal).

    ``cycles`` are those of each frame; ``layer_cycles`` those of its layers.
    """

    frames: int = 0
    layers: int = 0
    records: int = 0
    cycles: tuple[int, ...] = ()
    layer_cycles: tuple[tuple[int, ...], ...] = ()
    mismatch: str | None = None


def compare(plan: Plan, expected: Expected, log: Log) -> Comparison:
    """Compare one job's log; stops at the first difference."""
    found = Comparison()
    try:
        _compare(plan, expected, log, found)
    except _Mismatch as error:
        found.mismatch = str(error)
    return found


class _Mismatch(Exception):
    pass


def _compare(plan, expected, log, found):
    count = len(expected.images)
    frame_of_write, frame_of_fetch = log.frame_of(log.writes), log.frame_of(log.fetches)
    values = [[] for layer in plan.layers if layer.kind == "conv"]
    for frame in range(count):
        mine = log.writes[frame_of_write == frame]
        for index, layer in enumerate(plan.layers):
            written = mine[mine[:, 0] == index]
            where = f"frame {frame}, layer {index} ({layer.name})"
            if frame >= len(log.frames) and not len(written):
                raise _Mismatch(f"{where}: the RTL never got there")
            words = _words(plan, layer, written, where)
            if layer.kind == "conv":
                values[index].append(
                    _compare_records(plan, expected, frame, index, words, where, found)
                )
            else:
                _compare_logits(plan, expected.logits[frame], words, where)
            found.layers += 1
        _compare_frame(expected, log, frame)
        found.frames += 1
    if not log.finished:
        raise _Mismatch(f"frame {count}: the RTL did not begin another frame")
    right = frame_cycles(plan, [np.stack(frames) for frames in values])
    _compare_cycles(plan, log, frame_of_fetch, right, found)
    if "alone" in log.result:
        _compare_registers(plan, expected, log.result["alone"], int(right.frames[-1]))


def _words(plan, layer, written, where):
    """The words that a layer wrote, in order; each exactly once."""
    first = plan.word_address(layer.place)
    expected = np.arange(layer.place.words) + first
    actual = written[:, 2]
    if len(actual) != len(expected):
        raise _Mismatch(
            f"{where}: expected {len(expected)} words to be written, actual {len(actual)}"
        )
    for position in np.flatnonzero(actual != expected)[:1]:
        raise _Mismatch(
            f"{where}: word {position} expected at address {expected[position]}, "
            f"actual {actual[position]}"
        )
    return written[:, 3]


def _compare_records(plan, expected, frame, index, words, where, found):
    value, winner = plan.unpack_records(index, words)
    found.records += value.size
    if record_digest(value, winner) == expected.digests[frame][index]:
        return value
    # The digest says that they differ; the oracle says where.
    right = oracle.run(plan.network, expected.images[frame : frame + 1]).records[index]
    different = np.argwhere((value != right.value[0]) | (winner != right.winner[0]))
    if not len(different):
        raise _Mismatch(
            f"{where}: records equal the numpy oracle's, but not the golden digest "
            f"{expected.digests[frame][index][:16]}…: the network file's golden vectors are wrong"
        )
    y, x, group = (int(n) for n in different[0])
    size = plan.layers[index].group_size
    place = (0, y, x, group)
    channel = group * size + int(right.winner[place])
    raise _Mismatch(
        f"{where}, position ({y}, {x}), channel {channel} (group {group}): "
        f"expected value {right.value[place]} winner {right.winner[place]}, "
        f"actual value {value[y, x, group]} winner {winner[y, x, group]} "
        f"({len(different)} of {value.size} records differ)"
    )


def _compare_logits(plan, expected, words, where):
    sign = 1 << plan.capability.word_bits - 1
    actual = (words ^ sign) - sign  # sign-extended
    for channel in np.flatnonzero(actual != expected)[:1]:
        raise _Mismatch(
            f"{where}, position (0, 0), channel {channel}: expected logit {expected[channel]}, "
            f"actual {actual[channel]}"
        )


def _compare_frame(expected, log, frame):
    if frame >= len(log.frames):
        raise _Mismatch(f"frame {frame}: the RTL did not end it")
    decision, right = int(log.frames[frame, 2]), int(expected.logits[frame].argmax())
    if decision != right:
        raise _Mismatch(f"frame {frame}: expected class {right}, actual {decision}")


def _compare_registers(plan, expected, alone, cycles):
    """What the device itself says of a frame that ran alone, on the last image."""
    for name, right in (
        ("STATUS", {"busy": 0, "done": 1, "layer": len(plan.layers) - 1}),
        ("CYCLES", {"cycles": cycles}),
        ("CLASS", {"class": int(expected.logits[-1].argmax())}),
    ):
        if alone[name.lower()] != right:
            raise _Mismatch(
                f"register {name} after one more frame: expected {right}, "
                f"actual {alone[name.lower()]}"
            )


def _compare_cycles(plan, log, frame_of_fetch, right: FrameCycles, found):
    """Of each layer from its first word to the next one's, and of each whole frame."""
    fetches = log.fetches
    count = len(right.frames)
    order = [(frame, index) for frame in range(count) for index in range(len(plan.layers))]
    actual = list(zip(frame_of_fetch.tolist(), fetches[:, 0].tolist(), strict=True))
    if actual != [*order, (count, 0)]:
        raise _Mismatch(f"frames 0 to {count - 1}: layers did not begin in the order of the plan")
    spent = np.diff(fetches[:, 1]).reshape(right.layers.shape)
    for frame, index in np.argwhere(spent != right.layers)[:1]:
        raise _Mismatch(
            f"frame {frame}, layer {index} ({plan.layers[index].name}): expected "
            f"{right.layers[frame, index]} cycles from its first word to the next layer's, "
            f"actual {spent[frame, index]}"
        )
    taken = log.cycles[:count]
    for frame in np.flatnonzero(taken != right.frames)[:1]:
        raise _Mismatch(
            f"frame {frame}: expected {right.frames[frame]} cycles, actual {taken[frame]}"
        )
    bound = [layer.cycles for layer in plan.layers]
    for frame, index in np.argwhere(spent > bound)[:1]:
        raise _Mismatch(
            f"frame {frame}, layer {index} ({plan.layers[index].name}): {spent[frame, index]} "
            f"cycles, more than the plan's bound of {bound[index]}"
        )
    found.cycles = tuple(taken.tolist())
    found.layer_cycles = tuple(tuple(one) for one in spent.tolist())
