"""The boards, and what is known of each: `python -m hw.boards [BOARD...]`.

What a build reached comes from `hw/boards/builds.json`, which `--build` and `--record` write.
"""

import json
import sys
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import Any

from hw.boards import BOARDS, Board, find_board
from hw.families import find_family
from hw.flow import records
from hw.flow.build import build, find_tools
from hw.flow.job import prepare
from hw.flow.staging import Stages, Staging
from hw.flow.tools import Toolchain
from model.common.errors import Parser, UserError, run_cli
from model.common.terminal import Table, console, pairs, say
from sim.of_build import verify

__all__ = ["describe", "main"]


def describe(board: Board, *, check: bool = False) -> dict[str, Any]:
    """What is known of a board, plain JSON.

    `check` finds out whether the build on record is of today's design, which takes some seconds.
    """
    record = records.read().get(board.name) if BOARDS.get(board.name) is board else None
    described: dict[str, Any] = {
        "name": board.name,
        "family": board.family,
        "title": board.title,
        "device": board.device,
        "package": board.package,
        "budget": dict(board.budget),
        "clock_mhz": board.default_clock_mhz,
        "uart": board.uart,
        "flash_by_hand": board.by_hand or None,
        "network": None,
        "cycles_bound": None,
        "inferences_per_second_bound": None,
        "why_not": None,
        "status": "planned",
        "build": record,
        "build_is_current": None,
        "tried_on_hardware": False,
    }
    try:
        plan = prepare(board, None, None, None, 1).plan_report
    except UserError as error:
        return described | {"status": "does not fit", "why_not": str(error)}
    described |= {key: plan[key] for key in ("cycles_bound", "inferences_per_second_bound")}
    described["network"] = plan["network"]["name"]
    if record is not None:
        described["status"] = "built, simulated"
        if check:
            described["build_is_current"] = records.is_of_this_design(board, record)
    return described


def tell(described: Sequence[dict[str, Any]]) -> None:
    """Print what is known: a table, then what there is to say of single boards."""
    to = console()
    table = Table(
        "Board", "Device", "Logic", "Default\nnetwork", "Cycles\nat most",
        "Inf./s\nat least", "Clock,\nMHz", "Worst\nFmax", "of\nseeds", "Frames\nsimulated", "Built",
        left=2,
    )  # fmt: skip
    for one in described:
        known = one["build"]
        table.add(
            one["name"],
            f"{one['device']}-{one['package']}",
            f"{next(iter(one['budget'].values())):,}",
            one["network"] or "none",
            "" if one["cycles_bound"] is None else f"{one['cycles_bound']:,}",
            "" if one["network"] is None else f"{one['inferences_per_second_bound']:.1f}",
            f"{one['clock_mhz']:g}",
            *(("", "", "") if known is None else _figures(known)),
            one["status"] if known is None else _date(one),
        )
    table.show(to)
    for one in described:
        if one["why_not"]:
            say(to, f"{one['name']}: {one['why_not']}")
    pairs(to, [(one["name"], _words(one)) for one in described])
    say(
        to,
        "Tried on hardware: none of them, by nobody yet. If you have one, please tell us how it "
        "went; docs/boards.md says what pins were checked against.",
    )


def _figures(known: dict[str, Any]) -> tuple[str, str, str]:
    frames = known["verified"] + (known["conformance_frames"] or 0)
    return f"{known['worst_fmax_mhz']:.2f}", str(known["seeds"]), str(frames)


def _date(one: dict[str, Any]) -> str:
    earlier = " (earlier design)" if one["build_is_current"] is False else ""
    return f"{one['build']['date']}{earlier}"


def _words(one: dict[str, Any]) -> str:
    """How a host and a flash come to the board, and with which tools it was built."""
    resources = find_family(one["family"]).resources
    budget = [f"{count:,} {resources[key].short}" for key, count in one["budget"].items()]
    uart = f"serial line: {one['uart']}" if one["uart"] else "no serial line: it works alone"
    words = [", ".join(budget), uart]
    if one["flash_by_hand"]:
        words.append(f"flash: {one['flash_by_hand']}")
    if one["build"]:
        words.append(f"built with {', '.join(dict.fromkeys(one['build']['tools'].values()))}")
    return "; ".join(words)


def _build(board: Board, seeds: int, output: Path, stages: Stages) -> None:
    """Build a board with all seeds, verify it, and record what it reached."""
    tools = Toolchain(progress=stages.note)
    with stages("plan", f"{board.name}: planning"):
        job = prepare(board, None, None, None, 1, seeds=seeds)
    find_tools(board, tools)
    with Staging(output / board.name) as staging:
        report = build(job, staging, stages, tools, verify, every_seed=True)
    records.add(board, records.record_of(report, date.today()))


def _record(folder: Path) -> Board:
    """Record a build that is there already; returns its board."""
    file = folder / "report.json"
    try:
        report = json.loads(file.read_text("utf-8"))
        name = report["board"]["name"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"No report of a build in {folder}: {error}") from error
    board = find_board(name)
    if not (folder / find_family(board.family).flow.bitstream).is_file():
        raise UserError(f"No bitstream in {folder}: its report is not recorded")
    day = date.fromtimestamp(file.stat().st_mtime)
    records.add(board, records.record_of(report, day))
    return board


@run_cli
def main(argv: list[str] | None = None) -> int:
    """Entry point; returns 2 if a board could not be built."""
    arguments = _parser().parse_args(argv)
    if arguments.seeds < 1:
        raise UserError(f"Seeds must be 1 or more, not {arguments.seeds}")
    boards = [find_board(name) for name in arguments.boards] or list(BOARDS.values())
    if arguments.record:
        boards = [_record(folder) for folder in arguments.record]
    failed = 0
    if arguments.build:
        for board in boards:
            if BOARDS.get(board.name) is not board:
                raise UserError(f"{board.title} is a board of your own: build it with hw.build")
        for board in boards:
            try:
                _build(board, arguments.seeds, arguments.output, Stages(console(stderr=True)))
            except UserError as error:
                failed += 1
                print(f"{board.name}: error: {error}", file=sys.stderr)
    described = [describe(board, check=arguments.check) for board in boards]
    if arguments.json:
        print(json.dumps(described, indent=2))
    else:
        tell(described)
    return 2 if failed else 0


def _parser() -> Parser:
    parser = Parser(prog="python -m hw.boards", description=__doc__.split("\n")[0])
    parser.add_argument(
        "boards", nargs="*", metavar="BOARD", help="name, or file of your own; default: all"
    )
    parser.add_argument(
        "--check", action="store_true", help="find out whether builds are of today's design"
    )
    parser.add_argument(
        "--build", action="store_true", help="build and verify them, with all seeds, and record it"
    )
    parser.add_argument(
        "--seeds", type=int, default=3, metavar="N", help="for --build; default: %(default)s"
    )
    parser.add_argument(
        "--output", type=Path, default=Path("build"), metavar="DIR",
        help="for --build: a folder of each board is made here; default: %(default)s",
    )  # fmt: skip
    parser.add_argument(
        "--record", type=Path, nargs="+", metavar="DIR", help="record builds of hw.build"
    )
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    return parser


if __name__ == "__main__":
    main(sys.argv[1:])
