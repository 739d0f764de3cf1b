"""Every stage of a build, from RTL to the bitstream and its reports.

The build verifies before it synthesises.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hw.boards import Board
from hw.families import find_family
from hw.flow import steps as flow
from hw.flow.job import Job
from hw.flow.report import make_report
from hw.flow.report_html import render_html
from hw.flow.seeds import best, place_with_seeds
from hw.flow.staging import Stages, Staging
from hw.flow.tools import Toolchain
from hw.flow.verification import Verification, check
from model.common.errors import UserError

__all__ = ["Verifier", "build", "find_tools"]

Verifier = Callable[[Job, Path, Toolchain, Callable[[str], None]], Verification]
"""Runs the RTL of a job in a folder, with these tools. The last argument is called with a line of
text now and then. What was compared is returned, a difference too."""


def find_tools(board: Board, tools: Toolchain, *, verify: bool = True) -> None:
    """Find every tool of a build for this board, those of its verification too if it is verified.

    A tool that is missing is so said now, not after minutes of work: `UserError`.
    """
    for name in find_family(board.family).flow.tools:
        tools.find(name)
    if verify:
        tools.environment()


def build(
    job: Job,
    staging: Staging,
    stages: Stages,
    tools: Toolchain,
    verify: Verifier | None,
    *,
    every_seed: bool = False,
) -> dict[str, Any]:
    """Run every stage in `staging`; returns the report, plain JSON.

    `verify` runs the RTL, such as `sim.of_build.verify`; None skips the verification. With
    `every_seed` the first seed that meets the clock does not end the search.

    Raises `UserError` if a stage fails, with exit status 1 if the verification does.
    """
    work = flow.Workspace(directory=staging.directory, kept_logs=staging.failed / "logs")
    work.logs.mkdir()
    with stages("rtl", "Generating RTL and Verilog"):
        top = job.board.make_top(job.capability, job.clock_mhz, job.baud)
        design = flow.elaborate(job.board, top, work)
        flow.to_verilog(tools, work)
    verification = None
    if verify is None:
        stages.shout("VERIFICATION IS SKIPPED: nothing will show that the RTL computes the network")
    else:
        with stages("verification", "Verifying the RTL (cocotb, Verilator)") as stage:
            verification = verify(job, staging.scratch("verification"), tools, stage.note)
            check(verification, job.plan, job.network.name)
            stage.result = (
                f"{verification.network.frames} frames of {job.network.name} and "
                f"{verification.conformance.frames} of the conformance set equal, bit for bit"
            )
    with stages("synthesis", "Synthesising (yosys)"):
        flow.synthesise(tools, job.board, work)
    with stages("place_and_route", "Placing and routing (nextpnr)") as stage:
        layouts = _place(job, staging, tools, work, stage.line, every_seed)
        layout = best(layouts)
        stage.result = f"{layout.fmax_mhz:.2f} MHz with seed {layout.seed}"
        if len(job.all_seeds) == 1:
            stage.result = f"{layout.fmax_mhz:.2f} MHz"
    if not layout.met:
        raise UserError(_clock_not_met(job, layout, work))
    with stages("bitstream", f"Packing the bitstream ({find_family(job.board.family).flow.pack})"):
        flow.pack(tools, job.board, work)
    with stages("report", "Writing the reports"):
        versions = {name: tools.version(name) for name in find_family(job.board.family).flow.tools}
        if verification:
            versions["verilator"] = tools.version("verilator")
        report = make_report(
            job.plan_report,
            design=design,
            layout=layout,
            tried=layouts,
            verification=verification,
            seconds=stages.seconds,
            tools=versions,
        )
        staging.write("report.html", render_html(report))
        staging.write("report.json", json.dumps(report, indent=2) + "\n")
    return report


def _place(
    job: Job,
    staging: Staging,
    tools: Toolchain,
    work: flow.Workspace,
    progress: Callable[[str], None],
    every_seed: bool,
) -> list[flow.PlacedDesign]:
    """What each seed reached; the best one's files are in the folder of the build."""
    if len(job.all_seeds) == 1:
        return [
            flow.place_and_route(tools, job.board, work, seed=job.seed, clock_mhz=job.clock_mhz)
        ]
    return place_with_seeds(
        tools,
        job.board,
        work,
        seeds=job.all_seeds,
        clock_mhz=job.clock_mhz,
        scratch=staging.scratch("seeds"),
        progress=progress,
        until_met=not every_seed,
    )


def _clock_not_met(job: Job, layout: flow.PlacedDesign, work: flow.Workspace) -> str:
    slower = job.board.clock_below(layout.fmax_mhz * job.clock_mhz / layout.constraint_mhz)
    more = "another --seed" if job.seeds == 1 else "more --seeds"
    advice = f"try {more}" + (f" or --clock {slower:g}" if slower else "")
    path = layout.critical_path
    where = f" on the way from {path[0].signal} to {path[-1].signal}" if path else ""
    return (
        f"Clock not met: {layout.clock} reached {layout.fmax_mhz:.2f} MHz of "
        f"{layout.needed_mhz:.2f} MHz with seed {layout.seed}{where}; {advice}; "
        f"log: {work.shown_logs / 'nextpnr.log'}"
    )
