"""A start with a changed bit of the firmware: `python -m benchmarks.boot_bits --contents N`.

On the simulated board, from power-on: each of the first bits of the first copy in flash, changed
alone, with N random contents of the memory each; then bits anywhere in that copy. Each time the
firmware must say its name, after one strike of the watchdog: it is that of the second copy.

In most runs the watchdog strikes after 2 ** 18 cycles in place of 2 ** 20, so that waiting for it
does not take most of the time; it is what one bit of the Verilog says. `--every N` leaves every
Nth run to the board as it is.
"""

import json
import random
import re
import sys
import time
from collections import Counter
from pathlib import Path

from rich.console import Console
from serial import Serial

from firmware.compile import compile_firmware
from firmware.ports import open_serial
from hw.boards import find_board
from hw.soc.addresses import FIRMWARE_BYTES, FIRMWARE_COPIES
from hw.soc.boot_registers import FIRST_ALIVE_BIT
from hw.soc.soc import FAILURE
from model.common.errors import Parser, UserError, run_cli
from sim.board import Board, start

__all__ = ["FIRST_BITS", "bits", "flash", "main", "run", "short_watchdog", "sweep"]

FIRST_BITS = 1248
"""Bits at the start of a copy that are all tried: as many as the program had that once stood there
and that nothing checked."""

_QUICK_BIT = 18
_NAME = b"DecisiveNets firmware"
_BOARD = "icebreaker"
_BAUD = 6_000_000


def bits(contents: int, others: int, rng: random.Random) -> list[int]:
    """Which bits of the copy are changed, in turn."""
    first = [bit for _ in range(contents) for bit in range(FIRST_BITS)]
    return first + [rng.randrange(8 * FIRMWARE_BYTES) for _ in range(others)]


def short_watchdog(verilog: str) -> str:
    """The SoC's Verilog with a watchdog of 2 ** 18 cycles: longer than a load takes."""
    text, count = re.subn(rf"timer\[{FIRST_ALIVE_BIT}\]", f"timer[{_QUICK_BIT}]", verilog)
    if count != 1:
        raise UserError(f"The Verilog must have one watchdog, not {count}")
    return text


def flash(copy: bytes) -> bytearray:
    """Both copies of the firmware, and nothing else."""
    content = bytearray(b"\xff" * (FIRMWARE_COPIES[-1] + len(copy)))
    for place in FIRMWARE_COPIES:
        content[place : place + len(copy)] = copy
    return content


def run(board: Board, port: Serial, content: bytes, watchdog_bit: int = FIRST_ALIVE_BIT) -> str:
    """Power on with this content, and off: the "first" or "second" copy said its name, or what is
    wrong.

    The memory starts with other noise each time (`sim.board`). Which copy it is, the number of "!"
    tells that the hardware sent before.
    """
    before = board.status()["violation_count"]
    port.reset_input_buffer()
    board.power_cycle(flash=content)
    heard = b""
    while _NAME not in heard:
        more = port.read(port.in_waiting or 1)
        heard += more
        if not more and board.status()["since_start"] > 4 << watchdog_bit:
            return f"silent but for {heard!r}"
    board.power_off()
    status = board.status()
    if status["violation_count"] != before:
        return f"violation: {status['violations'][-1]}"
    strikes = heard[: heard.index(_NAME)].count(FAILURE)
    return ("first", "second")[strikes] if strikes < 2 else f"after {strikes} strikes"


def sweep(copy: bytes, places: list[int], every: int, seed: int, progress) -> Counter:
    """How often each answer of `run` came; each place is a bit of the first copy."""
    found: Counter = Counter()
    whole = flash(copy)
    begun = time.monotonic()
    boards = [
        (start(bytes(whole), board=_BOARD, timing="short", seed=seed, edit=short_watchdog),
         _QUICK_BIT),
        (start(bytes(whole), board=_BOARD, timing="short", seed=seed + 1), FIRST_ALIVE_BIT),
    ]  # fmt: skip
    ports = []
    try:
        for board, _ in boards:
            board.power_off()
            ports.append(open_serial(board.port, baud=_BAUD))
            ports[-1].timeout = 0.2
        for number, bit in enumerate(places):
            content = bytearray(whole)
            content[FIRMWARE_COPIES[0] + bit // 8] ^= 1 << bit % 8
            which = int(every > 0 and number % every == every - 1)
            board, watchdog_bit = boards[which]
            answer = run(board, ports[which], bytes(content), watchdog_bit)
            found[answer] += 1
            if answer != "second":
                progress(f"run {number}, bit {bit}: {answer}")
            if number % 100 == 99:
                seconds = time.monotonic() - begun
                progress(f"{number + 1} of {len(places)} runs, {seconds:.0f} s: {dict(found)}")
    finally:
        for port in ports:
            port.close()
        for board, _ in boards:
            board.stop()
    return found


@run_cli
def main(argv: list[str] | None = None) -> int:
    """Entry point; returns 1 if a run did not end with the second copy alive."""
    parser = Parser(prog="python -m benchmarks.boot_bits", description=__doc__.split("\n")[0])
    parser.add_argument("--contents", type=int, default=4, metavar="N", help="default: 4")
    parser.add_argument("--others", type=int, default=208, metavar="N", help="default: 208")
    parser.add_argument("--every", type=int, default=50, metavar="N", help="0: never; default: 50")
    parser.add_argument("--seed", type=int, default=1, metavar="N")
    parser.add_argument("--output", type=Path, metavar="FILE", help="write the result as JSON")
    options = parser.parse_args(argv)
    for name in ("contents", "others", "every"):
        if getattr(options, name) < 0:
            raise UserError(f"--{name} must be at least 0, not {getattr(options, name)}")
    places = bits(options.contents, options.others, random.Random(options.seed))
    if not places:
        raise UserError("There is nothing to run: --contents and --others are 0")
    found = sweep(
        compile_firmware(find_board(_BOARD).capability), places, options.every, options.seed,
        lambda line: print(line, file=sys.stderr, flush=True),
    )  # fmt: skip
    result = {"runs": len(places), "answers": dict(found)}
    if options.output:
        options.output.write_text(json.dumps(result, indent=2) + "\n", "utf-8")
    Console(highlight=False).print(f"{len(places)} runs: {dict(found)}")
    return 0 if set(found) == {"second"} else 1


if __name__ == "__main__":
    main()
