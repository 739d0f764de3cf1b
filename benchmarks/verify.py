"""RTL against the integer reference, measured: `python -m benchmarks.verify --board NAME`.

Three things, each from simulations of the RTL:

- many frames of the board's network, compared bit for bit (`--frames`), and how fast that goes;
- random networks on one compiled model (`--networks`);
- the speed-up of l: cycles of l = 1 divided by those of l, same shape and lanes, over the layers
  whose input is grouped, on a design with memories large enough for l = 1. These cycles are those
  of frames without a zero: skipping zeros, which would shorten l = 1 the most, has no part in them.
"""

import json
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from hw.boards import find_board
from hw.capability import Capability
from hw.compile.plan import PlanError, make_plan
from model import zoo
from model.common.errors import Parser, UserError, run_cli
from model.common.terminal import Table, console
from model.network import Classifier, Conv, Identity, Network, Projection, load
from sim.__main__ import reference
from sim.images import random_images
from sim.model import compile_model
from sim.verify import Stimulus, expect, verify_all

__all__ = ["LARGE", "main", "measure_frames", "measure_random", "measure_ratio", "resnet"]

_CHUNK = 50
#: Room for a ResNet-8 of 16, 32 and 64 channels with l = 1, and for groups of 16.
LARGE = Capability(
    family="generic", winner_bits=4, weight_words=16384, activation_words=8192,
    parameter_words=1024, layer_entries=16,
)  # fmt: skip


def measure_frames(board, network, count, progress):
    """Compare `count` frames on the board's RTL; a dict of what was compared, and how fast."""
    run, name = reference()
    model = compile_model(
        board.capability, clock_hz=board.clock_hz(board.default_clock_mhz), progress=progress
    )
    plan = make_plan(network, board.capability)
    totals = {"reference": name, "frames": 0, "layers": 0, "records": 0}
    simulated, cycles = 0.0, []
    for first in range(0, count, _CHUNK):
        images = random_images(network, min(_CHUNK, count - first), seed=first)
        stimulus = Stimulus(plan=plan, expected=expect(network, images, run=run))
        with tempfile.TemporaryDirectory() as folder:
            started = time.monotonic()
            result = verify_all(model, [stimulus], Path(folder))[0]
            simulated += time.monotonic() - started
        if result.mismatch:
            raise UserError(f"The RTL differs: {result.mismatch}", status=1)
        for key in ("frames", "layers", "records"):
            totals[key] += getattr(result, key)
        cycles += result.cycles
        progress(f"{totals['frames']} of {count} frames equal")
    return totals | {
        "cycles_mean": round(sum(cycles) / len(cycles), 1),
        "cycles_least": min(cycles),
        "cycles_most": max(cycles),
        "seconds": round(simulated, 2),
        "cycles_a_second": round(sum(cycles) / simulated),
        "compile_seconds": round(model.seconds, 1),
    }


def measure_random(count, progress):
    """Random networks, all on one model; a dict of how many, and how many records."""
    from sim.networks import images_for, random_network

    model = compile_model(LARGE, progress=progress)
    found, seed, records = 0, 0, 0
    while found < count:
        stimuli = []
        while len(stimuli) < min(50, count - found):
            network = random_network(seed)
            seed += 1
            try:
                plan = make_plan(network, LARGE)
            except PlanError:
                continue
            images = images_for(network, seed, 3)
            stimuli.append(Stimulus(plan=plan, expected=expect(network, images)))
        with tempfile.TemporaryDirectory() as folder:
            for one, result in zip(stimuli, verify_all(model, stimuli, Path(folder)), strict=True):
                if result.mismatch:
                    raise UserError(f"{one.plan.network.name} differs: {result.mismatch}", status=1)
                records += result.records
        found += len(stimuli)
        progress(f"{found} of {count} networks equal")
    return {"networks": found, "frames": 3 * found, "records": records}


def resnet(group_size, widths=(16, 32, 64), size=32, seed=0):
    """A ResNet-8 of random weights: stem, three blocks, two projections, groups of one size."""
    rng = np.random.default_rng(seed)

    def conv(name, source, inputs, channels, kernel=3, stride=1, **values):
        padding = (1, 1, 1, 1) if kernel == 3 else (0, 0, 0, 0)
        bits = 4
        weights = rng.integers(-7, 8, (channels, kernel, kernel, inputs))
        # Sums of random signs spread like the root of their number.
        reach = 10 * 4 * (kernel * kernel * inputs / max(1, group_size if source else 1)) ** 0.5
        scale = (255 / 15 if source == 0 else 1) * reach
        multiplier = int(np.clip(15 * 65536 / scale, 16, 65535))
        return Conv(
            name=name, source=source, weights=weights, weight_bits=bits, stride=stride,
            padding=padding, bias=rng.integers(-50, 50, channels),
            multiplier=np.full(channels, multiplier), shift=np.full(channels, 16),
            group_size=group_size, activation_bits=4, order="before", **values,
        )  # fmt: skip

    first = widths[0]
    layers = [conv("stem", 0, 3, first)]
    entry, inputs = 1, first
    for number, width in enumerate(widths):
        stride = 1 if number == 0 else 2
        layers.append(conv(f"block{number}.1", entry, inputs, width, stride=stride))
        shortcut = (
            {"identity": Identity(source=entry, factor=np.full(width, 20))}
            if width == inputs and stride == 1
            else {
                "projection": Projection(
                    source=entry, stride=stride, exponent=0,
                    weights=rng.integers(-7, 8, (width, inputs)),
                )
            }
        )  # fmt: skip
        layers.append(conv(f"block{number}.2", entry + 1, width, width, **shortcut))
        entry, inputs = entry + 2, width
    classifier = Classifier(
        name="classifier", source=entry, weights=rng.integers(-7, 8, (10, inputs)), weight_bits=4,
        bias=np.zeros(10, np.int64),
    )  # fmt: skip
    return Network(
        name=f"resnet8-l{group_size}",
        input_shape=(size, size, 3),
        layers=(*layers, classifier),
        classes=tuple(f"class {index}" for index in range(10)),
    )


def measure_ratio(sizes, progress, capability=LARGE, widths=(16, 32, 64), size=32):
    """Cycles, at most, of the layers with grouped input, for l = 1 and each of `sizes`.

    The RTL runs each network, and takes no more than that.
    """
    # A slow drain would hide what the array gains; this one has as many lanes as the board.
    model = compile_model(capability, progress=progress)
    rows, dense = [], None
    for group in (1, *sizes):
        network = resnet(group, widths, size)
        images = random_images(network, 1, seed=1)
        plan = make_plan(network, capability)
        expected = expect(network, images)
        stimulus = Stimulus(plan=plan, expected=expected, aborts=())
        with tempfile.TemporaryDirectory() as folder:
            result = verify_all(model, [stimulus], Path(folder))[0]
        if result.mismatch:
            raise UserError(f"{network.name} differs: {result.mismatch}", status=1)
        grouped = sum(
            planned.cycles
            for layer, planned in zip(network.layers, plan.layers, strict=True)
            if layer.source != 0
        )
        dense = grouped if dense is None else dense
        rows.append(
            {
                "group_size": group,
                "cycles": plan.cycles,
                "cycles_grouped_input": grouped,
                "ratio": round(dense / grouped, 3),
                "of_l": round(dense / grouped / group, 3),
            }
        )
        progress(f"l = {group}: {grouped:,} cycles, ratio {dense / grouped:.2f}")
    return rows


@run_cli
def main(argv=None) -> int:
    parser = Parser(prog="python -m benchmarks.verify", description=__doc__.split("\n")[0])
    parser.add_argument("--board", default="icebreaker")
    parser.add_argument("--network", metavar="FILE")
    parser.add_argument("--frames", type=int, default=100, help="0: none")
    parser.add_argument("--networks", type=int, default=60, help="random ones; 0: none")
    parser.add_argument("--groups", type=int, nargs="*", default=[2, 4, 8], metavar="L")
    parser.add_argument("--output", type=Path, metavar="FILE", help="write JSON")
    options = parser.parse_args(argv)
    board = find_board(options.board)

    def progress(line):
        print(line, file=sys.stderr)

    report = {}
    if options.frames > 0:
        network = load(zoo.find(options.network))
        report["frames"] = measure_frames(board, network, options.frames, progress)
    if options.networks > 0:
        report["random"] = measure_random(options.networks, progress)
    if options.groups:
        report["ratio"] = measure_ratio(options.groups, progress)
        table = Table("l", "Cycles", "With grouped input", "l = 1 / l", "of l", left=0)
        for row in report["ratio"]:
            table.add(*(f"{value:,}" for value in row.values()))
        table.show(console())
    for name in ("frames", "random"):
        if name in report:
            print(name, report[name])
    if options.output:
        options.output.write_text(json.dumps(report, indent=2) + "\n", "utf-8")
    return 0


if __name__ == "__main__":
    main()
