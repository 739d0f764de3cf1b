"""The host tool: `python -m firmware --port PORT classify IMAGE...`."""

import json
from dataclasses import asdict

from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from firmware.accelerator import Accelerator, Result
from firmware.pictures import find_pictures, read_picture
from firmware.program import Program, make_program
from firmware.serial_port import SerialTransport
from hw.top import DEFAULT_BAUD
from model import zoo
from model.errors import Parser, UserError, run_cli
from model.network import load

__all__ = ["classify", "main"]


def _parser() -> Parser:
    parser = Parser(
        prog="python -m firmware", description="Run networks on a board over its serial port."
    )
    parser.add_argument("--port", required=True, help="serial port, such as /dev/ttyUSB1")
    parser.add_argument("--baud", type=int, default=DEFAULT_BAUD, help="default: %(default)s")
    parser.add_argument("--network", metavar="FILE", help="default: the embedded network")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    parser.add_argument(
        "--timeout", type=float, default=5.0, metavar="S", help="for a frame; default: %(default)s"
    )
    parser.add_argument(
        "--reload", action="store_true", help="load the network even if the device holds it"
    )
    commands = parser.add_subparsers(dest="command", required=True)
    command = commands.add_parser("classify", help="classify pictures")
    command.add_argument("images", nargs="+", metavar="IMAGE", help="picture, or folder of them")
    return parser


def classify(transport, network, pictures, *, timeout=5.0, reload=False, console=None):
    """Load a network into the device behind a transport, unless it is there, and classify.

    Parameters
    ----------
    transport : Transport
        Open.
    network : model.network.Network
        To run.
    pictures : list of bytes
        Inputs of the network.
    timeout : float
        Seconds for a frame.
    reload : bool
        Load even if the device holds the network.
    console : rich.console.Console
        For progress; None: silent.

    Returns `(accelerator, program, results)`.
    """
    accelerator = Accelerator(transport, timeout=timeout)
    program = make_program(network, accelerator.device.capability)
    with Progress(console=console, transient=True, disable=console is None) as progress:
        if reload or not accelerator.is_loaded(program):
            task = progress.add_task("Loading the network")
            accelerator.load(
                program,
                progress=lambda name, done, total: progress.update(
                    task, completed=done, total=total, description=f"Loading {name.lower()}"
                ),
            )
        task = progress.add_task("Classifying", total=len(pictures))
        results = []
        for picture in pictures:
            results.append(accelerator.classify(program, picture))
            progress.advance(task)
    return accelerator, program, results


def _print_json(accelerator: Accelerator, program: Program, paths, results: list[Result]) -> None:
    device = accelerator.device
    images = [
        {
            "file": str(path),
            "class": result.decision,
            "name": program.classes[result.decision],
            "logits": result.logits,
            "cycles": result.cycles,
            "seconds": result.seconds,
        }
        for path, result in zip(paths, results, strict=True)
    ]
    described = {
        "network": program.name,
        "device": {
            "version": ".".join(map(str, device.version)),
            "clock_hz": device.clock_hz,
            "capability": asdict(device.capability),
        },
        "images": images,
    }
    print(json.dumps(described, indent=2))


def _print_table(accelerator: Accelerator, program: Program, paths, results: list[Result]) -> None:
    clock = accelerator.device.clock_hz / 1e6
    table = Table(title=f"{program.name} at {clock:g} MHz")
    for heading in ("Image", "Class", "Logits"):
        table.add_column(heading)
    for heading in ("Cycles", "ms"):
        table.add_column(heading, justify="right")
    for path, result in zip(paths, results, strict=True):
        table.add_row(
            str(path),
            f"{result.decision} {program.classes[result.decision]}",
            " ".join(map(str, result.logits)),
            f"{result.cycles:,}",
            f"{1000 * result.seconds:.2f}",
        )
    Console().print(table)


def main(argv=None) -> int:
    options = _parser().parse_args(argv)
    for name in ("baud", "timeout"):
        if getattr(options, name) <= 0:
            raise UserError(f"--{name} must be positive, not {getattr(options, name)}")
    network = load(zoo.find(options.network))
    paths = find_pictures(options.images)
    pictures = [read_picture(path, input_shape=network.input_shape) for path in paths]
    with SerialTransport(options.port, baud=options.baud) as transport:
        accelerator, program, results = classify(
            transport,
            network,
            pictures,
            timeout=options.timeout,
            reload=options.reload,
            console=Console(stderr=True),
        )
        show = _print_json if options.json else _print_table
        show(accelerator, program, paths, results)
    return 0


if __name__ == "__main__":
    run_cli(main)()
