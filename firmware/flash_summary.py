"""What `python -m firmware flash` prints at its end: figures, files, and commands to paste."""

from argparse import Namespace
from typing import Any

from hw.boards import Board
from hw.compile.plan import Plan
from hw.flow.report import make_plan_report, print_summary, summary_lines
from model.common.invocation import command
from model.common.terminal import console, pairs

__all__ = ["tell"]


def tell(
    board: Board,
    described: dict[str, Any],
    report: dict[str, Any],
    plan: Plan | None,
    options: Namespace,
) -> None:
    """Print what a `flash` made, its build's `report` ({}: none), and what to type next.

    `plan` is that of the network in the flash image; it is needed where there is a report.
    """
    if "resources" in report:
        assert plan is not None  # every image that was just made has one
        _tell_report(board, report, plan)
        print(f"Report of the build: {described['report']}")
    print(
        f"Flash image: {described['image']}, {described['bytes']:,} bytes, network "
        f"{described['network']}, {described['demo_images']} demo images"
    )
    if described["why_not"]:
        print(f"This network cannot learn on the device: {described['why_not']}")
    proof = described["proof"]
    if proof is None:
        sim = ("--port", "sim", "--flash", described["image"], "classify", "IMAGE...")
        print("Now, without a board or with one:")
        print(f"  {command('firmware', *sim)}")
        print(f"  {command('firmware', *_again(options))}")
    elif described["flashed"]:
        print(f"The board is flashed: {proof['text']}; {proof['board']}. Now:")
        which = [] if options.port == "auto" else ["--port", options.port]
        which += [] if options.serial is None else ["--serial", options.serial]
        print(f"  {command('firmware', *which, 'classify', 'IMAGE...')}")


def _again(options: Namespace) -> list[str]:
    """The words of this `flash` without what keeps it from the board."""
    words = ["flash", "--board", options.board]
    for name in ("network", "baud", "output"):
        if (value := getattr(options, name)) is not None:
            words += [f"--{name}", str(value)]
    words += ["--native-tools"] if options.native_tools else []
    return [*words, "--images", *map(str, options.demo)] if options.demo else words


def _tell_report(board: Board, report: dict[str, Any], plan: Plan) -> None:
    """What the board reaches, by the report of its bitstream and the plan of this network."""
    out = console()
    if report["network"]["sha256"] == plan.network.sha256:
        print_summary(report, out)
        return
    of_network = make_plan_report(
        board=board,
        network=plan.network,
        plan=plan,
        capability=plan.capability,
        clock_mhz=board.default_clock_mhz,
    )
    of_build = f" (the build was, with {report['network']['name']})"
    pairs(
        out,
        [
            (name, text + of_build if name == "Verified" else text)
            for name, text in summary_lines(
                report | of_network | {"cycles_rtl": None, "inferences_per_second": None}
            )
        ],
    )
