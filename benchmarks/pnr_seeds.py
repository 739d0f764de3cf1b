"""Fmax over several seeds of place-and-route: `python -m benchmarks.pnr_seeds --board NAME`.

The design is synthesised once, then placed and routed with every seed. The published Fmax is that
of the worst one. The result is printed as a table, and written as JSON with `--output`.
"""

import json
import statistics
import sys
import tempfile
from pathlib import Path

from hw.boards import find_board
from hw.flow import steps as flow
from hw.flow.capability import board_capability
from hw.flow.seeds import place_with_seeds
from hw.flow.tools import Toolchain
from model.common.errors import Parser, UserError, run_cli
from model.common.terminal import Table, console

__all__ = ["main", "sweep"]


def sweep(board, capability, clock_mhz, seeds, tools, directory, progress):
    """Place and route the board's design with each of `seeds`; returns a list of `PlacedDesign`."""
    work = flow.Workspace(directory=directory)
    progress(f"synthesising for {clock_mhz:g} MHz")
    flow.elaborate(board, board.make_top(capability, clock_mhz), work)
    flow.synthesise(tools, board, work)
    return place_with_seeds(
        tools,
        board,
        work,
        seeds=seeds,
        clock_mhz=clock_mhz,
        scratch=directory / "seeds",
        progress=progress,
        until_met=False,
    )


@run_cli
def main(argv: list[str] | None = None) -> int:
    """Entry point; returns 2 if the worst seed does not meet the clock."""
    parser = Parser(prog="python -m benchmarks.pnr_seeds")
    parser.add_argument("--board", default="icebreaker")
    parser.add_argument("--lanes", type=int, metavar="N")
    parser.add_argument("--clock", type=float, metavar="MHZ", help="default: the board's")
    parser.add_argument("--seeds", type=int, default=5, metavar="N", help="seeds 1 to N")
    parser.add_argument("--output", type=Path, metavar="FILE", help="write the result as JSON")
    parser.add_argument("--native-tools", action="store_true")
    arguments = parser.parse_args(argv)
    if arguments.seeds < 1:
        raise UserError(f"Seeds must be a positive integer, not {arguments.seeds}")
    board = find_board(arguments.board)
    clock_mhz = board.default_clock_mhz if arguments.clock is None else arguments.clock
    capability = board_capability(board, arguments.lanes)

    def progress(line):
        print(line, file=sys.stderr, flush=True)

    tools = Toolchain(native=arguments.native_tools, progress=progress)
    with tempfile.TemporaryDirectory() as folder:
        seeds = range(1, arguments.seeds + 1)
        layouts = sweep(board, capability, clock_mhz, seeds, tools, Path(folder), progress)
    worst = min(layouts, key=lambda layout: layout.fmax_mhz)
    result = {
        "board": board.name,
        "lanes": capability.lanes,
        "clock_mhz": clock_mhz,
        "fmax_mhz": {layout.seed: round(layout.fmax_mhz, 3) for layout in layouts},
        "worst_mhz": round(worst.fmax_mhz, 3),
        "median_mhz": round(statistics.median(layout.fmax_mhz for layout in layouts), 3),
        "resources": worst.resources,
        "tools": {name: tools.version(name) for name in ("yosys", "nextpnr-ice40")},
    }
    if arguments.output:
        arguments.output.write_text(json.dumps(result, indent=2) + "\n", "utf-8")
    table = Table("Seed", "Fmax, MHz", "P&R, s", title=f"{board.title}, {clock_mhz:g} MHz asked")
    for layout in layouts:
        table.add(layout.seed, f"{layout.fmax_mhz:.2f}", f"{layout.seconds:.0f}")
    table.add_section()
    table.add_total("worst", f"{worst.fmax_mhz:.2f}")
    table.show(console())
    return 0 if all(layout.met for layout in layouts) else 2


if __name__ == "__main__":
    main()
