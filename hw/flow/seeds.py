"""Place-and-route with several seeds at once: until the clock is met, or with all of them."""

import os
import shutil
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from hw.boards import Board
from hw.families import find_family
from hw.flow import steps
from hw.flow.steps import PlacedDesign, Workspace
from hw.flow.tools import Toolchain
from model.common import children, heartbeat
from model.common.errors import UserError

__all__ = ["best", "cores", "place_with_seeds"]

_LOOK_SECONDS = 0.1  # between two looks at the programs that run


@dataclass(frozen=True, kw_only=True)
class _Try:
    seed: int
    folder: Path
    log: Path
    process: subprocess.Popen
    started: float


def cores() -> int:
    """Processors that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def best(layouts: Sequence[PlacedDesign]) -> PlacedDesign:
    """The layout with the most clock to spare; of equal ones the first."""
    return max(layouts, key=lambda layout: layout.fmax_mhz / layout.needed_mhz)


def place_with_seeds(
    tools: Toolchain,
    board: Board,
    work: Workspace,
    *,
    seeds: Sequence[int],
    clock_mhz: float,
    scratch: Path,
    progress: Callable[[str], None],
    until_met: bool = True,
    jobs: int | None = None,
) -> list[PlacedDesign]:
    """Place and route the design in `work` with these seeds; keep the files of the best one there.

    Parameters
    ----------
    seeds : sequence of int
        In this order.
    scratch : Path
        A folder in which each seed has one of its own, with its log.
    progress : callable
        Called with a line for each seed.
    until_met : bool
        Start no further seed once one meets the clock, and end those under way.
    jobs : int
        How many run at once; None: as many as there are `cores`.

    Returns what each seed reached that ran to its end, by seed; the best one's is `best` of them.
    Whatever ends the waiting, Ctrl-C included, ends all programs.

    Raises
    ------
    UserError
        As `hw.flow.steps.place_and_route`, for the first seed that fails.
    """
    waiting, running = list(seeds), list[_Try]()
    done: dict[int, PlacedDesign] = {}
    most = min(jobs or cores(), len(waiting))
    try:
        with heartbeat.doing(lambda: f"placing and routing, {len(done)} of {len(seeds)} seeds"):
            while waiting or running:
                while waiting and len(running) < most:
                    folder = scratch / f"seed-{waiting[0]}"
                    running.append(_start(tools, board, work, waiting.pop(0), clock_mhz, folder))
                time.sleep(_LOOK_SECONDS)
                for one in [one for one in running if one.process.poll() is not None]:
                    running.remove(one)
                    layout = done[one.seed] = _finish(tools, board, work, one, clock_mhz)
                    verdict = "met" if layout.met else "not met"
                    progress(
                        f"seed {one.seed}: {layout.fmax_mhz:.2f} MHz of {layout.needed_mhz:.2f} "
                        f"MHz, {verdict}, after {heartbeat.duration(layout.seconds)}"
                    )
                if until_met and any(layout.met for layout in done.values()):
                    waiting.clear()
                    _stop(running)
    finally:
        _stop(running)
    layouts = [done[seed] for seed in sorted(done)]
    kept = best(layouts).seed
    _keep(board, work, scratch / f"seed-{kept}", kept)
    return layouts


def _start(
    tools: Toolchain, board: Board, work: Workspace, seed: int, clock_mhz: float, folder: Path
) -> _Try:
    flow = find_family(board.family).flow
    folder.mkdir(parents=True)
    for name in ("top.json", flow.constraints):
        shutil.copy(work.directory / name, folder / name)
    log = folder / f"{seed}-{steps.LAYOUT_LOG}"
    process = tools.start(
        flow.place_and_route,
        steps.layout_arguments(board, seed=seed, clock_mhz=clock_mhz),
        log=log,
        directory=folder,
    )
    return _Try(seed=seed, folder=folder, log=log, process=process, started=time.monotonic())


def _finish(
    tools: Toolchain, board: Board, work: Workspace, one: _Try, clock_mhz: float
) -> PlacedDesign:
    seconds, status = time.monotonic() - one.started, one.process.returncode
    if status:
        work.logs.mkdir(exist_ok=True)
        shutil.copy(one.log, work.logs / steps.LAYOUT_LOG)
        if over := steps.over_budget(board, one.log):
            raise UserError(over)
    kept = work.shown_logs / steps.LAYOUT_LOG
    tools.check(find_family(board.family).flow.place_and_route, status, kept, one.log)
    return steps.read_layout(board, one.folder, seed=one.seed, clock_mhz=clock_mhz, seconds=seconds)


def _stop(running: list[_Try]) -> None:
    for one in running:
        children.stop(one.process)
    running.clear()


def _keep(board: Board, work: Workspace, folder: Path, seed: int) -> None:
    """The files of one seed are those of the build."""
    work.logs.mkdir(exist_ok=True)
    for name in (find_family(board.family).flow.placed, steps.LAYOUT_REPORT):
        shutil.move(folder / name, work.directory / name)
    shutil.copy(folder / f"{seed}-{steps.LAYOUT_LOG}", work.logs / steps.LAYOUT_LOG)
