"""Builds a network for a board: `python -m hw.build --board NAME`.

Plan, RTL, verification, synthesis, place-and-route, bitstream, reports. The build
verifies before it synthesises. Everything is made in a folder of its own within the output folder
and moved into place at the end, so a build that fails or is interrupted leaves an earlier one as
it was; its logs are then in the output folder's `failed/`.
"""

import argparse
import json
import sys
from pathlib import Path

from hw.boards import find_board
from hw.flow.build import build, find_tools
from hw.flow.job import prepare
from hw.flow.report import print_plan, print_summary
from hw.flow.staging import Stages, Staging
from hw.flow.tools import Toolchain
from model.common.errors import Parser, run_cli
from model.common.terminal import console
from sim.of_build import verify

__all__ = ["main"]


def folder(text: str) -> Path:
    """An output folder's name, as argparse takes it."""
    if not text:
        raise argparse.ArgumentTypeError("name a folder")
    return Path(text)


@run_cli
def main(argv: list[str] | None = None) -> int:
    """Entry point; returns the exit status: 0, 1 if the verification failed, 2 for other errors."""
    arguments = _parser().parse_args(argv)
    board = find_board(arguments.board)
    output = arguments.output or Path("build") / board.name
    stages = Stages(console(stderr=True))
    tools = Toolchain(native=arguments.native_tools, progress=stages.note)
    with stages("plan", "Reading the network and planning"):
        job = prepare(
            board, arguments.network, arguments.lanes, arguments.clock, arguments.seed,
            arguments.baud, seeds=arguments.seeds, target_rate=arguments.target_rate,
        )  # fmt: skip
    if arguments.plan:
        if arguments.json:
            print(json.dumps(job.plan_report, indent=2))
        else:
            print_plan(job.plan_report, console())
        return 0
    find_tools(board, tools, verify=not arguments.skip_verification)
    with Staging(output) as staging:
        verifier = None if arguments.skip_verification else verify
        report = build(job, staging, stages, tools, verifier)
    if arguments.json:
        print(json.dumps(report, indent=2))
    else:
        print_summary(report, console())
        print(f"Bitstream and reports: {output}/")
    return 0


def _parser() -> Parser:
    parser = Parser(prog="python -m hw.build", description=__doc__.split("\n")[0])
    parser.add_argument("--board", required=True, help="board to build for, such as icebreaker")
    parser.add_argument("--network", metavar="FILE", help="network file, or a name of the zoo")
    parser.add_argument("--plan", action="store_true", help="print the plan and stop")
    parser.add_argument("--lanes", type=int, metavar="N", help="output channels computed at once")
    parser.add_argument("--clock", type=float, metavar="MHZ", help="clock of the design")
    parser.add_argument(
        "--baud", type=int, metavar="N", help="rate of the serial line; default: the fastest"
    )
    parser.add_argument("--seed", type=int, default=1, metavar="N", help="seed of place-and-route")
    parser.add_argument(
        "--seeds", type=int, default=1, metavar="N",
        help="try up to N seeds, several at once, until one meets the clock",
    )  # fmt: skip
    parser.add_argument(
        "--target-rate", type=float, metavar="N",
        help="choose lanes and clock for N inferences a second, at least",
    )  # fmt: skip
    parser.add_argument("--output", type=folder, metavar="DIR", help="default: build/<board>")
    parser.add_argument(
        "--skip-verification", action="store_true", help="build RTL that nothing has checked"
    )
    parser.add_argument(
        "--native-tools", action="store_true", help="tools found on PATH, not those of the wheels"
    )
    parser.add_argument("--json", action="store_true", help="print the report or plan as JSON")
    return parser


if __name__ == "__main__":
    main(sys.argv[1:])
