"""Builds a network for a board: `python -m hw.build --board NAME`.

Plan, RTL, verification, synthesis, place-and-route, bitstream, weights image, reports. The build
verifies before it synthesises. Everything is made in a folder of its own within the output folder
and moved into place at the end, so a build that fails or is interrupted leaves an earlier one as
it was; its logs are then in the output folder's `failed/`.
"""

import argparse
import dataclasses
import json
import sys
from pathlib import Path
from typing import Any

from hw.boards import Board, find_board
from hw.capability import Capability
from hw.compile.plan import make_plan
from hw.flow import steps as flow
from hw.flow.report import RESOURCES, make_plan_report, make_report, print_plan, print_summary
from hw.flow.report_html import render_html
from hw.flow.staging import Stages, Staging
from hw.flow.tools import Toolchain
from model import zoo
from model.common.errors import Parser, UserError, run_cli
from model.common.terminal import console
from model.network import Network, load

__all__ = ["Job", "Verification", "board_capability", "build", "main", "prepare", "verify"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Job:
    """What to build: the network, its plan on the board, and how."""

    board: Board
    network: Network
    plan: Any
    capability: Capability
    clock_mhz: float
    baud: int
    seed: int
    plan_report: dict[str, Any]


def board_capability(board: Board, lanes: int | None = None) -> Capability:
    """What the board is built for, with another number of lanes if `lanes` is given.

    Raises `UserError` for a number of lanes that cannot be, or that the board has no blocks for.
    """
    if lanes is None:
        return board.capability
    # The processor's memory has the same bytes, whatever the width of a weight word.
    depth = board.capability.weight_depth
    words = board.capability.processor_words * board.capability.lanes // max(lanes, 1)
    try:
        capability = dataclasses.replace(
            board.capability,
            lanes=lanes,
            weight_words=depth - min(words, depth - 1),
            processor_words=words,
        )
    except (TypeError, ValueError) as error:
        raise UserError(str(error)) from error
    for name, need in capability.blocks.items():
        if need > board.budget[name]:
            raise UserError(
                f"{lanes} lanes need {need} {RESOURCES[name]}, {board.title} has "
                f"{board.budget[name]}; {board.capability.lanes} lanes fit"
            )
    return capability


def prepare(
    board: Board,
    network_name: str | None,
    lanes: int | None,
    clock: float | None,
    seed: int,
    baud: int | None = None,
) -> Job:
    """Read the network and plan it: everything that can be said before a build.

    Raises `UserError` for an unsound network, one that does not fit, or parameters out of range.
    """
    clock_mhz = board.default_clock_mhz if clock is None else clock
    if not 0 <= seed < 2**31:
        raise UserError(f"Seed must be 0 to {2**31 - 1}, not {seed}")
    baud = board.baud(board.clock_hz(clock_mhz), baud)
    capability = board_capability(board, lanes)
    network = load(zoo.find(network_name))
    plan = make_plan(network, capability)
    return Job(
        board=board,
        network=network,
        plan=plan,
        capability=capability,
        clock_mhz=clock_mhz,
        baud=baud,
        seed=seed,
        plan_report=make_plan_report(
            board=board, network=network, plan=plan, capability=capability, clock_mhz=clock_mhz
        )
        | {"baud": baud},
    )


@dataclasses.dataclass(frozen=True, kw_only=True)
class Verification:
    """What the RTL was compared on: the network's golden vectors, and the conformance set.

    A `sim.verify.VerificationResult` and a `sim.conformance.ConformanceResult`.
    """

    network: Any
    conformance: Any


def verify(job: Job, directory: Path, tools: Toolchain, progress) -> Verification:
    """Run the RTL on the network's golden vectors, and on the conformance set of its capability.

    Raises `UserError` with exit status 1 if anything differs, or if nothing was compared.
    """
    from sim.conformance import verify_conformance
    from sim.model import compile_model
    from sim.verify import verify as run

    clock_hz = job.board.clock_hz(job.clock_mhz)
    with tools.exported():
        model = compile_model(job.capability, clock_hz=clock_hz, progress=progress)
        result = run(job.network, job.capability, workdir=directory, progress=progress, model=model)
        conformance = verify_conformance(model, directory / "conformance", progress)
    if result.mismatch:
        raise UserError(f"Verification failed: {result.mismatch}", status=1)
    if result.frames < 1:
        raise UserError("Verification failed: it compared no frame", status=1)
    if result.cycles != job.plan.cycles:
        raise UserError(
            f"Verification failed: the plan predicts {job.plan.cycles:,} cycles a frame, "
            f"the RTL took {result.cycles:,}",
            status=1,
        )
    if conformance.mismatch:
        raise UserError(
            f"Verification failed: {job.network.name} is computed right, but this bitstream is for "
            f"any network, and not all are: {conformance.mismatch}",
            status=1,
        )
    if conformance.frames < 1:
        raise UserError("Verification failed: the conformance set compared no frame", status=1)
    return Verification(network=result, conformance=conformance)


def build(job: Job, staging: Staging, stages: Stages, tools: Toolchain, *, skip_verification: bool):
    """Run every stage in `staging`; returns the report. Raises `UserError` where one fails."""
    work = flow.Workspace(directory=staging.directory, kept_logs=staging.failed / "logs")
    work.logs.mkdir()
    with stages("rtl", "Generating RTL and Verilog"):
        top = job.board.make_top(job.capability, job.clock_mhz, job.baud)
        design = flow.elaborate(job.board, top, work)
        flow.to_verilog(tools, work)
    verification = None
    if skip_verification:
        stages.shout("VERIFICATION IS SKIPPED: nothing will show that the RTL computes the network")
    else:
        with stages("verification", "Verifying the RTL (cocotb, Verilator)") as stage:
            verification = verify(job, staging.scratch("verification"), tools, stage.note)
            stage.result = (
                f"{verification.network.frames} frames of {job.network.name} and "
                f"{verification.conformance.frames} of the conformance set equal, bit for bit"
            )
    with stages("synthesis", "Synthesising (yosys)"):
        flow.synthesise(tools, work)
    with stages("place_and_route", "Placing and routing (nextpnr)") as stage:
        layout = flow.place_and_route(
            tools, job.board, work, seed=job.seed, clock_mhz=job.clock_mhz
        )
        stage.result = f"{layout.fmax_mhz:.2f} MHz"
    if not layout.met:
        raise UserError(_clock_not_met(job, layout, work))
    with stages("bitstream", "Packing the bitstream (icepack)"):
        flow.pack(tools, work)
    with stages("report", "Writing the reports"):
        versions = {name: tools.version(name) for name in ("yosys", "nextpnr-ice40", "icepack")}
        if verification:
            versions["verilator"] = tools.version("verilator")
        report = make_report(
            job.plan_report,
            design=design,
            layout=layout,
            verification=verification,
            seconds=stages.seconds,
            tools=versions,
        )
        staging.write("report.html", render_html(report))
        staging.write("report.json", json.dumps(report, indent=2) + "\n")
    return report


def _clock_not_met(job: Job, layout: flow.PlacedDesign, work: flow.Workspace) -> str:
    slower = job.board.clock_below(layout.fmax_mhz * job.clock_mhz / layout.constraint_mhz)
    advice = "try another --seed" + (f" or --clock {slower:g}" if slower else "")
    path = layout.critical_path
    where = f" on the way from {path[0].signal} to {path[-1].signal}" if path else ""
    return (
        f"Clock not met: {layout.clock} reached {layout.fmax_mhz:.2f} MHz of "
        f"{layout.constraint_mhz:.2f} MHz with seed {layout.seed}{where}; {advice}; "
        f"log: {work.shown_logs / 'nextpnr.log'}"
    )


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
            arguments.baud,
        )  # fmt: skip
    if arguments.plan:
        if arguments.json:
            print(json.dumps(job.plan_report, indent=2))
        else:
            print_plan(job.plan_report, console())
        return 0
    # A tool that is missing is said now, not after minutes of work.
    for name in ("yosys", "nextpnr-ice40", "icepack"):
        tools.find(name)
    if not arguments.skip_verification:
        tools.environment()
    with Staging(output) as staging:
        report = build(job, staging, stages, tools, skip_verification=arguments.skip_verification)
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
