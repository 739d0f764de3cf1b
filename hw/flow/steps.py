"""From an Amaranth design to a bitstream, one tool at a time: RTLIL, Verilog, netlist, layout.

Every step reads and writes files of fixed names in one folder and runs its tool *in* that folder,
so that no output depends on where the folder lies: same design, same seed, same bitstream.
"""

import hashlib
import json
import re
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hw.boards import Board
from hw.families import find_family
from hw.flow.tools import Toolchain
from hw.soc.processor import verilog_files
from model.common.errors import UserError

__all__ = [
    "LAYOUT_LOG",
    "LAYOUT_REPORT",
    "NO_COLLISIONS",
    "PathStep",
    "PlacedDesign",
    "Workspace",
    "design_sha256",
    "elaborate",
    "layout_arguments",
    "over_budget",
    "pack",
    "place_and_route",
    "read_layout",
    "synthesise",
    "to_verilog",
]

LAYOUT_LOG, LAYOUT_REPORT = "nextpnr.log", "timing.json"
"""Log and report of place-and-route."""

# The processor's Verilog, which the design instantiates.
_READ = "read_verilog -noautowire serv_*.v\n"
NO_COLLISIONS = "setparam -set COLLISION_X_MASK 1'1 t:$memrd_v2\n"
"""A command of yosys, behind `read_rtlil`: what a memory returns in the cycle in which that word is
written means nothing. Nobody uses it; without this, yosys builds by-passes around memories, 400
logic cells in all (`-no-rw-check` only reaches memories whose registers yosys finds itself, not
Amaranth's synchronous ports). Verilog written behind it returns X there, so that simulations show a
reader that uses it."""


@dataclass(frozen=True, kw_only=True)
class Workspace:
    """Where one build works: files in ``directory``, logs in its folder ``logs``.

    ``kept_logs`` is where the logs lie if the build fails, for error messages; by default they
    stay where they are.
    """

    directory: Path
    kept_logs: Path | None = None

    @property
    def logs(self) -> Path:
        return self.directory / "logs"

    @property
    def shown_logs(self) -> Path:
        """Where to tell the user to look for the logs."""
        return self.kept_logs or self.logs

    def run(self, tools: Toolchain, name: str, arguments: list[str], log: str) -> float:
        """Run a tool in the folder, with the log file of that name. Returns seconds."""
        self.logs.mkdir(parents=True, exist_ok=True)
        return tools.run(
            name,
            arguments,
            log=self.logs / log,
            directory=self.directory,
            shown_log=self.shown_logs / log,
        )


@dataclass(frozen=True, kw_only=True)
class PathStep:
    """One step of the critical path: `kind` (as nextpnr calls it), `delay` in ns, where to."""

    kind: str
    delay: float
    cell: str
    net: str
    signal: str

    @classmethod
    def of(cls, *, kind: str, delay: float, cell: str, net: str, cell_pattern: str) -> "PathStep":
        """A step whose signal is that of the net where there is one, else of the cell.

        Without what yosys appended (`hw.families.family.Flow.cell_pattern`), and without a bit.
        """
        signal = re.sub(rf"({cell_pattern}|\[\d+\])$", "", net or cell)
        return cls(kind=kind, delay=delay, cell=cell, net=net, signal=signal)


@dataclass(frozen=True, kw_only=True)
class PlacedDesign:
    """What place-and-route reached.

    ``fmax_mhz`` and ``constraint_mhz`` are those of the clock with the least slack;
    ``resources`` counts what is used, by the names of the board's budget. ``tolerance`` is how much
    faster than the constraint the clock may be (`hw.boards.Board.clock_tolerance`).
    """

    seed: int
    fmax_mhz: float
    constraint_mhz: float
    clock: str
    resources: dict[str, int]
    critical_path: tuple[PathStep, ...]
    seconds: float
    tolerance: float = 0.0

    @property
    def needed_mhz(self) -> float:
        """What must be reached: the constraint, and more where the clock may be faster."""
        return self.constraint_mhz * (1 + self.tolerance)

    @property
    def met(self) -> bool:
        """Whether every clock is met."""
        return self.fmax_mhz >= self.needed_mhz


def elaborate(board: Board, top: Any, work: Workspace) -> str:
    """Write the design as RTLIL (`top.il`) and its pins and clocks.

    Source positions are left out: they would make the result depend on where the code lies.

    Returns the SHA-256 of all that was written: two bitstreams of one digest are the same hardware,
    and nothing of it changes without another digest.
    """
    plan = board.platform().prepare(top, "top", emit_src=False)
    for path in verilog_files():
        (work.directory / path.name).write_bytes(path.read_bytes())
    written = ("top.il", find_family(board.family).flow.constraints)
    for name in written:
        text = plan.files[name]
        (work.directory / name).write_bytes(text if isinstance(text, bytes) else text.encode())
    digest = hashlib.sha256()
    for name in (*sorted(path.name for path in verilog_files()), *written):
        digest.update(hashlib.sha256((work.directory / name).read_bytes()).digest())
    return digest.hexdigest()


def design_sha256(board: Board, top: Any) -> str:
    """What `elaborate` returns for a design, of which nothing is kept. Takes about a second."""
    with tempfile.TemporaryDirectory() as folder:
        return elaborate(board, top, Workspace(directory=Path(folder)))


def to_verilog(tools: Toolchain, work: Workspace) -> float:
    """Write `top.v`, the Verilog that people and simulators read. Returns seconds."""
    script = f"""\
{_READ}read_rtlil top.il
{NO_COLLISIONS}proc -nomux -norom
memory_collect
write_verilog -norename -noattr top.v
"""
    return _yosys(tools, work, script, "verilog")


def synthesise(tools: Toolchain, board: Board, work: Workspace) -> float:
    """Write the netlist `top.json`. Returns seconds."""
    script = f"""\
{_READ}read_rtlil top.il
{NO_COLLISIONS}{find_family(board.family).flow.synthesis}
"""
    return _yosys(tools, work, script, "synthesis")


def place_and_route(
    tools: Toolchain, board: Board, work: Workspace, *, seed: int, clock_mhz: float
) -> PlacedDesign:
    """Write the placed design and nextpnr's report `timing.json`; returns what was reached.

    A clock that is not met does not raise: the caller looks at `PlacedDesign.met`.

    Raises
    ------
    UserError
        The design needs more of a resource than the device has, or nextpnr failed.
    """
    arguments = layout_arguments(board, seed=seed, clock_mhz=clock_mhz)
    try:
        tool = find_family(board.family).flow.place_and_route
        seconds = work.run(tools, tool, arguments, LAYOUT_LOG)
    except UserError as error:
        if over := over_budget(board, work.logs / LAYOUT_LOG):
            raise UserError(over) from error
        raise
    return read_layout(board, work.directory, seed=seed, clock_mhz=clock_mhz, seconds=seconds)


def layout_arguments(board: Board, *, seed: int, clock_mhz: float) -> list[str]:
    """Arguments of place-and-route, which runs where `synthesise` left its files."""
    flow = find_family(board.family).flow
    return [
        *(*flow.devices[board.device], "--package", flow.package_name(board.package)),
        *("--json", "top.json", flow.constraints_option, flow.constraints),
        *(flow.placed_option, flow.placed, "--report", LAYOUT_REPORT),
        *("--seed", str(seed), "--freq", f"{clock_mhz:g}", "--timing-allow-fail"),
        *((flow.speed_option, board.speed) if flow.speed_option else ()),
        *flow.route_options,
    ]


def read_layout(
    board: Board, directory: Path, *, seed: int, clock_mhz: float, seconds: float
) -> PlacedDesign:
    """What place-and-route reached in a folder, in which it took so many seconds.

    Raises `UserError` if its timing was not checked at this clock.
    """
    report = json.loads((directory / LAYOUT_REPORT).read_text("utf-8"))
    return _placed(report, board, seed=seed, clock_mhz=clock_mhz, seconds=seconds)


def pack(tools: Toolchain, board: Board, work: Workspace) -> float:
    """Write the bitstream from the placed design. Returns seconds."""
    flow = find_family(board.family).flow
    arguments = [*flow.pack_options, flow.placed, flow.bitstream]
    return work.run(tools, flow.pack, arguments, f"{flow.pack}.log")


def _yosys(tools: Toolchain, work: Workspace, script: str, name: str) -> float:
    (work.directory / f"{name}.ys").write_text(script, "utf-8")
    return work.run(tools, "yosys", [f"{name}.ys"], f"{name}.log")


def over_budget(board: Board, log: Path) -> str:
    """What the device lacks, from the utilisation that nextpnr prints before it places."""
    text = log.read_text("utf-8", "replace") if log.exists() else ""
    lacking = []
    for resource in find_family(board.family).resources.values():
        match = re.search(rf"{resource.cell}:\s*(\d+)/\s*(\d+)", text)
        if match and int(match[1]) > int(match[2]):
            lacking.append(f"{match[1]} {resource.name} of {match[2]}")
    if not lacking:
        return ""
    return (
        f"The design does not fit {board.device}: it needs {', '.join(lacking)}; "
        "fewer --lanes or smaller memories would"
    )


def _placed(
    report: dict, board: Board, *, seed: int, clock_mhz: float, seconds: float
) -> PlacedDesign:
    family = find_family(board.family)
    clocks = {
        name: (entry["achieved"], entry["constraint"]) for name, entry in report["fmax"].items()
    }
    # nextpnr rounds periods to whole picoseconds, so a constraint is off in its fifth digit.
    if not any(constraint >= clock_mhz * 0.999 for _, constraint in clocks.values()):
        raise UserError(
            f"No clock of the placed design is constrained to {clock_mhz:g} MHz: its timing "
            "was not checked at the clock that the board runs at"
        )
    clock = min(clocks, key=lambda name: clocks[name][0] / clocks[name][1])
    achieved, constraint = clocks[clock]
    resources = {
        key: report["utilization"].get(resource.cell, {}).get("used", 0)
        for key, resource in family.resources.items()
    }
    return PlacedDesign(
        seed=seed,
        fmax_mhz=achieved,
        constraint_mhz=constraint,
        clock=clock,
        resources=resources,
        critical_path=_critical_path(report, clock, family.flow.cell_pattern),
        seconds=seconds,
        tolerance=board.clock_tolerance,
    )


def _critical_path(report: dict, clock: str, cell_pattern: str) -> tuple[PathStep, ...]:
    """The slowest path within `clock`: nextpnr names its ends "posedge CLOCK"."""
    for path in report.get("critical_paths", []):
        ends = {path["from"].split(" ", 1)[-1], path["to"].split(" ", 1)[-1]}
        if ends == {clock}:
            return tuple(
                PathStep.of(
                    kind=step["type"],
                    delay=round(step["delay"], 3),
                    cell=step["to"]["cell"],
                    net=step.get("net", ""),
                    cell_pattern=cell_pattern,
                )
                for step in path["path"]
            )
    return ()
