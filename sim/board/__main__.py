"""Run the simulated board: `python -m sim.board --flash FILE` prints its serial port."""

import os
import secrets
import sys
from pathlib import Path
from typing import NoReturn

from firmware.layout import flash_offset
from firmware.versions import check_versions
from hw.boards import DEFAULT_BOARD, find_board
from model.common.errors import Parser, UserError, run_cli
from model.common.files import check_output, write
from sim.board.board import TIMINGS, check_flash, command_line
from sim.board.model import compile_board

__all__ = ["main"]


def _parser() -> Parser:
    parser = Parser(prog="python -m sim.board", description=__doc__.split("\n")[0])
    parser.add_argument("--board", default=DEFAULT_BOARD.name, help="default: %(default)s")
    parser.add_argument(
        "--flash", type=Path, metavar="FILE", help="what the flash holds (default: erased)"
    )
    parser.add_argument(
        "--in-place", action="store_true", help="what the board writes goes into that file"
    )
    parser.add_argument(
        "--flash-out", metavar="FILE", help="it goes into a copy of it (default: it is lost)"
    )
    parser.add_argument("--clock", type=float, metavar="MHZ", help="default: the board's own")
    parser.add_argument("--threads", type=int, default=1, metavar="N", help="default: %(default)s")
    parser.add_argument(
        "--pty-link", type=Path, metavar="PATH", help="becomes a symbolic link to the serial port"
    )
    parser.add_argument(
        "--stdio", action="store_true", help="standard input and output are the serial port"
    )
    parser.add_argument("--control", type=Path, metavar="PATH", help="make a control socket there")
    parser.add_argument(
        "--flash-timing", choices=TIMINGS, default="typical",
        help="how long the flash is busy: the data sheet's times, or short ones",
    )  # fmt: skip
    parser.add_argument(
        "--cut", type=int, metavar="N",
        help="power fails after N steps: bytes programmed, and 256 bytes erased",
    )  # fmt: skip
    parser.add_argument(
        "--wait", action="store_true", help="the clock stands until the port has been opened"
    )
    parser.add_argument(
        "--idle", type=float, default=60, metavar="S",
        help="slow down after S seconds without a byte or a key (default: %(default)g)",
    )  # fmt: skip
    parser.add_argument(
        "--max-idle",
        type=float,
        metavar="S",
        help="end after S seconds without a byte from the host or a key",
    )  # fmt: skip
    parser.add_argument("--cycles", type=int, metavar="N", help="end after N clock cycles")
    parser.add_argument("--trace", metavar="FILE", help="record waveforms (VCD; large)")
    parser.add_argument("--trace-from", type=int, metavar="CYCLE", help="begin there")
    parser.add_argument("--trace-cycles", type=int, metavar="N", help="record so many cycles")
    parser.add_argument("--seed", type=int, metavar="N", help="of the noise in memories")
    parser.add_argument("--quiet", action="store_true", help="do not show lights and speed")
    return parser


def _check(options) -> None:
    for name in ("threads", "idle", "max_idle", "cycles", "trace_from", "trace_cycles"):
        value = getattr(options, name)
        least = 0 if name in ("idle", "max_idle", "trace_from") else 1
        if value is not None and not value >= least:
            raise UserError(f"--{name.replace('_', '-')} must be at least {least}, not {value:g}")
    if options.in_place and options.flash is None:
        raise UserError("--in-place needs --flash FILE")
    if options.in_place and options.flash_out is not None:
        raise UserError("--in-place and --flash-out cannot be used together")
    if options.trace is None and (options.trace_from or options.trace_cycles):
        raise UserError("--trace-from and --trace-cycles need --trace FILE")
    if options.trace is not None:
        check_output(options.trace, "--trace", keep=options.flash)
    if options.stdio and options.pty_link is not None:
        raise UserError("--stdio makes no serial port that --pty-link could lead to")
    if options.pty_link is not None and (
        options.pty_link.exists() and not options.pty_link.is_symlink()
    ):
        raise UserError(f"--pty-link {options.pty_link} is a file: give another name")


def _words(options, program) -> list[str]:
    words = command_line(
        program, timing=options.flash_timing, cut=options.cut, wait=options.wait,
        link=options.pty_link,
    )  # fmt: skip
    if options.flash_out is not None:
        file = check_output(options.flash_out, "--flash-out", keep=options.flash)
        write(file, check_flash(b"" if options.flash is None else options.flash))
        words.append(f"--flash={file}")
    else:
        words.append(f"--flash={options.flash or os.devnull}")
        if not options.in_place:
            words.append("--discard")
    for name in ("idle", "max_idle", "cycles", "trace_from", "trace_cycles", "control"):
        if (value := getattr(options, name)) is not None:
            words.append(f"--{name.replace('_', '-')}={value}")
    if options.trace is not None:
        words.append(f"--trace={options.trace}")
    seed = options.seed if options.seed is not None else secrets.randbelow(1 << 30)
    words.append(f"--seed={seed + 1}")
    words += [f"--{name}" for name in ("stdio", "quiet") if getattr(options, name)]
    return words


def main(argv: list[str] | None = None) -> NoReturn:
    """Compiles the board where that is needed, then becomes its program."""
    options = _parser().parse_args(argv)
    _check(options)
    if options.flash is not None:
        # Firmware of another version would hang, or worse, on this version's hardware.
        capability = find_board(options.board).capability
        content = check_flash(options.flash)[flash_offset(capability) :]
        check_versions(content, capability, what=f"Flash {options.flash}")
    program = compile_board(
        find_board(options.board),
        clock_mhz=options.clock,
        threads=options.threads,
        trace=options.trace is not None,
        progress=lambda line: print(line, file=sys.stderr),
    )
    words = _words(options, program)
    sys.stdout.flush()
    os.execv(program.path, [str(program.path), *words])


if __name__ == "__main__":
    run_cli(main)()
