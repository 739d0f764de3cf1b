"""Runs a network on the RTL of a board: `python -m sim --board NAME`.

The RTL that is synthesised runs on golden, real or random images, several frames back to back,
and every layer's records, the logits, the class and the cycles are compared with the integer
reference: torch's where torch is installed, else the numpy oracle. The first difference is printed
and ends the run with status 1.
"""

import json
import time
from dataclasses import asdict
from pathlib import Path

import numpy as np

from hw.boards import find_board
from hw.compile.plan import make_plan
from model import zoo
from model.common.errors import Parser, UserError, run_cli
from model.common.optional import installed
from model.common.terminal import Table, console, progress_bar, say
from model.integers import oracle
from model.network import Network, load
from sim.compare import Expected
from sim.images import random_images, read_cifar
from sim.model import SIMULATORS, compile_model
from sim.verify import Stimulus, VerificationResult, expect, verify_all

__all__ = ["main", "reference"]

_CHUNK = 50  # frames of one simulation: they run back to back, then they are compared


def reference():
    """The integer reference that is at hand, as (function, name): torch's, or the numpy oracle."""
    if not installed("torch"):
        return oracle.run, "numpy oracle (torch is not installed)"
    from model.integers.reference import run

    return run, "torch integer reference"


def choose_images(network: Network, count: int | None, data: Path | None, seed: int):
    """Images to run on, and what they are: real with `data`, else golden, then random ones."""
    if data is not None:
        if network.input_shape != (32, 32, 3):
            raise UserError(
                f"--data is CIFAR-10, 32 x 32 x 3, but network {network.name!r} takes "
                f"{' x '.join(map(str, network.input_shape))}"
            )
        return read_cifar(data, 8 if count is None else count), "CIFAR-10 test images"
    parts, texts = [], []
    if network.golden is not None:
        parts.append(network.golden.images[:count])
        texts.append(f"{len(parts[0])} golden")
    have = sum(map(len, parts))
    missing = (4 if not have else 0) if count is None else count - have
    if missing > 0:
        parts.append(random_images(network, missing, seed))
        texts.append(f"{missing} random")
    return np.concatenate(parts), " and ".join(texts) + " images"


def check_golden(network: Network, expected: Expected) -> None:
    """Raise `UserError` if the reference does not reproduce the network's golden vectors."""
    golden = network.golden
    if golden is None:
        return
    known = {image.tobytes(): index for index, image in enumerate(golden.images)}
    for frame, image in enumerate(expected.images):
        index = known.get(image.tobytes())
        if index is not None and (
            list(expected.digests[frame]) != list(golden.digests[index])
            or (expected.logits[frame] != golden.logits[index]).any()
        ):
            raise UserError(
                f"Golden frame {index} of network {network.name!r} differs from the reference: "
                "the file's golden vectors are wrong",
                status=1,
            )


def run(arguments) -> tuple[dict, VerificationResult]:
    """Simulate and compare, chunk by chunk; returns the report and the total."""
    started = time.monotonic()
    board = find_board(arguments.board)
    network = load(zoo.find(arguments.network))
    plan = make_plan(network, board.capability)
    if arguments.seed < 0:
        raise UserError(f"Seed must be 0 or more, not {arguments.seed}")
    images, what = choose_images(network, arguments.images, arguments.data, arguments.seed)
    function, reference_name = reference()
    folder = arguments.output or Path("build") / board.name / "simulation"
    with progress_bar(transient=True) as bar:
        task = bar.add_task("Compiling the RTL", total=None)
        model = compile_model(
            board.capability,
            clock_hz=board.clock_hz(board.default_clock_mhz),
            simulator=arguments.simulator,
            waves=arguments.waves,
            progress=lambda line: bar.update(task, description=line),
        )
        bar.update(task, description=f"Simulating {network.name}", total=len(images))
        total = None
        for first in range(0, len(images), _CHUNK):
            part = images[first : first + _CHUNK]
            expected = expect(network, part, run=function)
            check_golden(network, expected)

            def advance(done, frames, first=first, part=part):
                bar.update(task, completed=first + (len(part) if done else min(frames, len(part))))

            # An aborted frame first, but not where every cycle costs disk space.
            aborts = () if arguments.waves else (0.4,)
            stimulus = Stimulus(plan=plan, expected=expected, aborts=aborts)
            found = verify_all(model, [stimulus], folder, advance)[0]
            total = found if total is None else _sum(total, found)
            if found.mismatch:
                break
    assert total is not None
    report = {
        "board": board.name,
        "network": network.name,
        "simulator": arguments.simulator,
        "reference": reference_name,
        "images": what,
        "cycles_bound": plan.cycles,
        "cycles_mean": _mean(total.cycles),
        **{key: value for key, value in asdict(total).items() if key != "waves"},
        "waves": str(folder / "dump.vcd") if arguments.waves else None,
        "folder": str(folder),
    }
    report["seconds"] = {
        "compile": round(model.seconds, 2),
        "total": round(time.monotonic() - started, 2),
    }
    report["layers_detail"] = [
        {"name": layer.name, "cycles_bound": layer.cycles, "cycles_mean": _mean(cycles)}
        for layer, cycles in zip(plan.layers, zip(*total.layer_cycles, strict=True), strict=False)
    ]
    return report, total


def _mean(cycles):
    return round(sum(cycles) / len(cycles), 1) if cycles else None


def _sum(one, other):
    """Totals over two chunks, the later of which may have ended in a difference."""
    mismatch = other.mismatch
    if mismatch:
        mismatch = f"after {one.frames} frames that were equal: {mismatch}"
    return VerificationResult(
        frames=one.frames + other.frames,
        layers=one.layers + other.layers,
        records=one.records + other.records,
        cycles=one.cycles + other.cycles,
        layer_cycles=one.layer_cycles + other.layer_cycles,
        mismatch=mismatch,
    )


def _print(report):
    title = f"{report['network']} on the RTL of {report['board']}"
    table = Table("Layer", "Cycles, at most", "Of the RTL, mean", title=title)
    for layer in report["layers_detail"]:
        table.add(layer["name"], f"{layer['cycles_bound']:,}", f"{layer['cycles_mean']:,.1f}")
    if report["layers_detail"]:
        table.add_total("frame", f"{report['cycles_bound']:,}", f"{report['cycles_mean']:,.1f}")
        table.show(console())
    say(
        console(),
        f"Compared {report['frames']} frames ({report['images']}), {report['layers']} layers, "
        f"{report['records']:,} records with the {report['reference']}",
    )
    print(f"Waveforms: {report['waves']}" if report["waves"] else f"Logs: {report['folder']}/")


@run_cli
def main(argv: list[str] | None = None) -> int:
    """Entry point; returns the exit status: 0, 1 for a difference, 2 for other errors."""
    arguments = _parser().parse_args(argv)
    if arguments.images is not None and arguments.images < 1:
        raise UserError(f"--images must be positive, not {arguments.images}")
    report, total = run(arguments)
    if arguments.json:
        print(json.dumps(report, indent=2))
    else:
        _print(report)
    if total.mismatch:
        raise UserError(f"The RTL differs: {total.mismatch}", status=1)
    if not arguments.json:
        least, most = min(total.cycles), max(total.cycles)
        print(f"Equal, bit for bit, in {least:,} to {most:,} cycles a frame, each as predicted")
    return 0


def _parser() -> Parser:
    parser = Parser(prog="python -m sim", description=__doc__.split("\n")[0])
    parser.add_argument("--board", required=True, help="board whose RTL runs, such as icebreaker")
    parser.add_argument("--network", metavar="FILE", help="network file, or a name of the zoo")
    parser.add_argument(
        "--images", type=int, metavar="N", help="how many (default: all golden ones, 8 real ones)"
    )
    parser.add_argument("--data", type=Path, metavar="DIR", help="CIFAR-10, to run on real images")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="of random images")
    parser.add_argument("--waves", action="store_true", help="record waveforms (large files)")
    parser.add_argument("--simulator", choices=SIMULATORS, default="verilator")
    parser.add_argument(
        "--output", type=Path, metavar="DIR", help="default: build/<board>/simulation"
    )
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    return parser


if __name__ == "__main__":
    main()
