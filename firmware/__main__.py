"""The host tool: `python -m firmware COMMAND …` flashes a board, asks it, and teaches it."""

import argparse
import contextlib
import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from firmware import commands, recent, tables
from firmware.messages import explain_boot_error
from firmware.ports import connect, find_port, listen
from firmware.versions import ignored_lesson
from hw.boards import DEFAULT_BOARD, Board, find_board
from model import zoo
from model.common import heartbeat
from model.common.errors import Parser, Terminated, UserError, run_cli
from model.common.terminal import console
from model.data.pictures import add_picture_options
from model.network import load

__all__ = ["main"]


_MONITOR_SECONDS = 0.5  # after which the alarm is looked for

_SHARED = {
    "port": "auto (default): the board on USB; sim: a simulated one; a serial port; a pyserial URL",
    "board": "which board, by name or file; default: that of the last `flash`, for `flash` itself "
    f"{DEFAULT_BOARD.name}",
    "serial": "serial number of the board's USB chip: which board, where there are several",
    "baud": "rate of the port; default: found out. `flash`: the rate that the design is built for",
    "flash": "flash image of the simulated board; default: the last one that `flash` made",
    "timeout": "seconds for an answer, besides the device's work; default: 1",
    "network": "network file, or name of the zoo: to flash, or that the device must have",
}
"""Options of every command that take a value."""

_DEFAULTS = {
    "port": "auto", "board": None, "serial": None, "baud": None, "flash": None, "timeout": 1.0,
    "network": None, "json": False,
}  # fmt: skip

_KINDS = {"baud": int, "flash": Path, "timeout": float}


def _parser() -> Parser:
    # Every option also behind the command; SUPPRESS keeps the value that stood before it.
    shared = Parser(add_help=False, argument_default=argparse.SUPPRESS)
    for name, text in _SHARED.items():
        kind = _KINDS.get(name, str)
        shared.add_argument(f"--{name}", type=kind, help=text, metavar=name.upper())
    shared.add_argument("--json", action="store_true", help="print JSON instead of a table")
    parser = Parser(
        prog="python -m firmware",
        description="Flash a board, run its network, teach it.",
        parents=[shared],
    )
    subparsers = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def add(name: str, text: str) -> argparse.ArgumentParser:
        return subparsers.add_parser(name, help=text, description=text, parents=[shared])

    def add_images(command: argparse.ArgumentParser) -> None:
        text = "picture, folder of pictures, or - for standard input"
        command.add_argument("images", nargs="+", metavar="IMAGE", help=text)
        add_picture_options(command)

    command = add("flash", "write everything to a board's flash; builds what is missing")
    command.add_argument("--images", nargs="+", metavar="FILE", dest="demo", default=[],
                         help="pictures or folders for the stand-alone mode")  # fmt: skip
    add_picture_options(command)
    command.add_argument("--image-only", action="store_true", help="stop before the cable")
    command.add_argument("--output", metavar="FILE", help="the flash image; default: "
                         "build/BOARD/flash.bin")  # fmt: skip
    command.add_argument("--native-tools", action="store_true",
                         help="tools found on PATH, not those of the wheels")  # fmt: skip
    add("info", "who the device is, and how it started")
    command = add("classify", "classify pictures")
    add_images(command)
    command.add_argument("--few-shot", action="store_true", help="among the learned labels")
    command = add("features", "the features of pictures, as learning sees them")
    add_images(command)
    command = add("bench", "measure frames a second, and the time from image to class")
    command.add_argument("--frames", type=int, default=100, metavar="N", help="default: 100")
    command.add_argument("--round-trips", type=int, default=5, metavar="N", help="default: 5")
    add("self-test", "run the golden vectors on the device")
    command = add("learn", "learn a label from pictures")
    command.add_argument("label", metavar="LABEL")
    add_images(command)
    command = add("forget", "forget labels")
    command.add_argument("labels", nargs="*", metavar="LABEL")
    command.add_argument("--all", action="store_true", help="all of them")
    add("counters", "what the device counted since its start")
    add("reset", "start the device anew")
    command = add("monitor", "print the device's text, until Ctrl-C")
    command.add_argument("--seconds", type=float, metavar="S", help="end after so long")
    command = add("peek", "read words of the device's bus")
    command.add_argument("address", metavar="ADDRESS", help="number, or register or window+offset")
    command.add_argument("count", nargs="?", type=int, default=1, metavar="COUNT")
    command = add("poke", "write words to the device's bus")
    command.add_argument("address", metavar="ADDRESS")
    command.add_argument("words", nargs="+", metavar="WORD")
    return parser


def main(argv=None) -> int:
    options = _parser().parse_args(argv, argparse.Namespace(**_DEFAULTS))
    for name in ("baud", "timeout"):
        value = getattr(options, name)
        if value is not None and not value > 0:
            raise UserError(f"--{name} must be positive, not {value}")
    if options.command == "flash":
        from firmware import flashing

        return flashing.run(options)
    network = load(zoo.find(options.network)) if options.network else None
    commands.prepare(options)
    board = recent.last_board() if options.board is None else find_board(options.board)
    if options.serial is not None:
        options.port = find_port(options.port, options.serial, board=board)
    if options.command == "monitor":
        return _monitor(options, board)
    with connect(
        options.port,
        board=board,
        baud=options.baud,
        flash=_flash(options, board),
        timeout=options.timeout,
    ) as device:
        if network is not None:
            device.require_network(network.sha256, network.name)
        if options.command in commands.NEED_NETWORK:
            device.require_ready()
            if device.info.boot_error:
                _warn(explain_boot_error(device.info.boot_error))
        if getattr(options, "few_shot", False):
            _warn(ignored_lesson(device))
        answer, status = commands.COMMANDS[options.command](device, options)
        _warn(answer.get("ignored_lesson"))
    if options.json:
        print(json.dumps(answer, indent=2))
    else:
        tables.show(options.command, answer, console())
    return status


def _flash(options: argparse.Namespace, board: Board) -> Path | None:
    """The flash image of the simulated board, if that is asked for."""
    if options.port != "sim" or options.flash is not None:
        return options.flash
    from firmware import flashing

    return flashing.simulated_image(options.network, board)


def _printer(*, as_json: bool):
    started = time.monotonic()

    def print_text(text: str) -> None:
        for line in text.splitlines():
            if as_json:
                line = json.dumps({"seconds": round(time.monotonic() - started, 3), "text": line})
            print(line, flush=True)

    return print_text


@contextlib.contextmanager
def _until_interrupted() -> Iterator[None]:
    """Ctrl-C is how the block ends; being terminated is not."""
    try:
        yield
    except KeyboardInterrupt as error:
        if isinstance(error, Terminated):
            raise


def _monitor(options: argparse.Namespace, board: Board) -> int:
    """Print what comes until Ctrl-C, or for so many seconds; warn, once, of the alarm."""
    left = float("inf") if options.seconds is None else options.seconds
    warned = False
    with (
        _until_interrupted(),
        heartbeat.quiet(),
        listen(
            options.port,
            board=board,
            baud=options.baud,
            flash=_flash(options, board),
            on_text=_printer(as_json=options.json),
        ) as link,
    ):
        while left > 0:
            link.listen(min(left, _MONITOR_SECONDS))
            left -= _MONITOR_SECONDS
            if link.alarmed and not warned:
                _warn(link.alarm)
                warned = True
    return 0


def _warn(text: str | None) -> None:
    if text is not None:
        print(f"warning: {text}", file=sys.stderr)


if __name__ == "__main__":
    run_cli(main)()
