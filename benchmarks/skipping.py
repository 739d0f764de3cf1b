"""What skipping zeros gains on real images: `python -m benchmarks.skipping --data DIR`.

The network's records of the test images come from the torch integer reference, their cycles from
the exact function that every verification compares with the RTL (`hw.compile.frames`). The bound
is that of a frame without a zero.
"""

import json
from pathlib import Path

import numpy as np

from hw.boards import find_board
from hw.compile.frames import frame_cycles
from hw.compile.plan import Plan, make_plan
from model import zoo
from model.common.errors import Parser, UserError, run_cli
from model.common.terminal import Table, console, progress_bar
from model.data.cifar import check_input, read_test
from model.integers.reference import Reference
from model.network import load

__all__ = ["main", "measure"]

_CHUNK = 500  # images


def measure(plan: Plan, images: np.ndarray, advance=lambda done: None) -> dict:
    """Cycles of `images` [N, H, W, C]: mean, least, most; of each layer the mean; its zeros."""
    reference = Reference(plan.network)
    frames, layers, zeros = [], [], []
    for first in range(0, len(images), _CHUNK):
        part = images[first : first + _CHUNK]
        values = [one.value for one in reference(part).records]
        found = frame_cycles(plan, values)
        frames.append(found.frames)
        layers.append(found.layers)
        zeros.append([(value == 0).mean() * len(part) for value in values])
        advance(first + len(part))
    cycles = np.concatenate(frames)
    return {
        "network": plan.network.name,
        "images": len(images),
        "cycles_bound": plan.cycles,
        "cycles_mean": round(float(cycles.mean()), 1),
        "cycles_least": int(cycles.min()),
        "cycles_most": int(cycles.max()),
        "layers": [
            {
                "name": layer.name,
                "cycles_bound": layer.cycles,
                "cycles_mean": round(float(mean), 1),
                "zero_records": None if share is None else round(float(share), 4),
            }
            for layer, mean, share in zip(
                plan.layers,
                np.concatenate(layers).mean(axis=0),
                [*(np.sum(zeros, axis=0) / len(images)), None],
                strict=True,
            )
        ],
    }


def _show(report: dict, clock_mhz: float) -> None:
    title = f"{report['network']}, {report['images']:,} images"
    table = Table("Layer", "Cycles\nat most", "Cycles\nmean", "Zeros in\nits output", title=title)
    for layer in report["layers"]:
        zeros = layer["zero_records"]
        table.add(
            layer["name"],
            f"{layer['cycles_bound']:,}",
            f"{layer['cycles_mean']:,.1f}",
            "" if zeros is None else f"{zeros:.1%}",
        )
    table.add_total("frame", f"{report['cycles_bound']:,}", f"{report['cycles_mean']:,.1f}")
    table.show(console())
    for name in ("mean", "most", "bound"):
        cycles = report[f"cycles_{name}"]
        print(f"{name}: {clock_mhz * 1e6 / cycles:.1f} inferences a second at {clock_mhz:g} MHz")


@run_cli
def main(argv=None) -> int:
    parser = Parser(prog="python -m benchmarks.skipping", description=__doc__.split("\n")[0])
    parser.add_argument("--board", default="icebreaker")
    parser.add_argument("--network", metavar="FILE")
    parser.add_argument("--data", type=Path, required=True, metavar="DIR", help="CIFAR-10")
    parser.add_argument("--images", type=int, metavar="N", help="the first N (default: all)")
    parser.add_argument("--output", type=Path, metavar="FILE", help="write JSON")
    options = parser.parse_args(argv)
    if options.images is not None and options.images < 1:
        raise UserError(f"--images must be positive, not {options.images}")
    board = find_board(options.board)
    path = zoo.find(options.network)
    network = load(path)
    check_input(network, str(path))
    plan = make_plan(network, board.capability)
    images = read_test(options.data).pixels.numpy()[: options.images]
    with progress_bar(transient=True) as bar:
        task = bar.add_task("Images", total=len(images))
        report = measure(plan, images, lambda done: bar.update(task, completed=done))
    report |= {"board": board.name, "clock_mhz": board.default_clock_mhz}
    _show(report, board.default_clock_mhz)
    if options.output:
        options.output.write_text(json.dumps(report, indent=2) + "\n", "utf-8")
    return 0


if __name__ == "__main__":
    main()
