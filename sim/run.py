"""Runs jobs on a compiled model, and reads what its harness logged."""

import json
import shutil
import sys
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hw.compile.plan import Plan
from hw.flow.tools import Toolchain, last_lines
from model.common.errors import UserError
from sim.harness import BEGIN, FETCH, FRAME, START, WRITE
from sim.model import Model, make_runner

__all__ = ["Job", "Log", "run_cocotb", "simulate"]

_BENCH = "sim.bench"
_STARTUP_CYCLES = 20_000  # beside the frames of a job: commands, and the engine's start


@dataclass(frozen=True, kw_only=True)
class Job:
    """A plan, and the images [N, H, W, C] uint8 that it runs on, back to back.

    ``aborts``: first, frames are started and aborted after so many cycles, one for each.
    """

    plan: Plan
    images: np.ndarray
    aborts: tuple[int, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Log:
    """What the RTL did in one job.

    ``finished``: all frames ended, and the next began; ``writes``, ``fetches``, ``frames`` are
    arrays of rows (layer, cycle, word 2, word 3), as `sim.harness` describes them; ``cycles`` are
    those of each frame; ``result`` is what the cocotb test saw: of a frame that it ran alone
    afterwards, the registers, where it was asked to.
    """

    finished: bool
    writes: np.ndarray
    fetches: np.ndarray
    frames: np.ndarray
    cycles: np.ndarray
    result: dict

    def frame_of(self, events: np.ndarray) -> np.ndarray:
        """The frame in which each event happened."""
        return np.searchsorted(self.frames[:, 1], events[:, 1], side="left")


def simulate(
    model: Model,
    jobs: Sequence[Job],
    directory: Path,
    *,
    progress: Callable[[int, int], None] | None = None,
) -> list[Log]:
    """Run `jobs` one after the other, without a reset between them; a log for each.

    `directory` gets the memory files, logs, and the waveform (`dump.vcd`) of a model with waves.
    `progress` is called now and then with the jobs done, and the frames done of the next one.

    Raises `UserError` if the simulator fails, or leaves no results.
    """
    directory.mkdir(parents=True, exist_ok=True)
    described: list[dict] = []
    description = {"jobs": described}
    for number, job in enumerate(jobs):
        _write_memories(model, job, directory, number)
        cycles = job.plan.cycles * (len(job.images) + 1)
        described.append(
            {
                "frames": len(job.images),
                "limit": 2 * cycles + _STARTUP_CYCLES,
                "aborts": list(job.aborts),
                "alone": number == len(jobs) - 1,
                "frame": job.plan.cycles + 100,
            }
        )
    (directory / "job.json").write_text(json.dumps(description), "utf-8")
    for name in ("results.json", "events.bin", "progress"):
        (directory / name).unlink(missing_ok=True)
    run_cocotb(model, _BENCH, directory, progress=progress)
    results = _results(directory)
    if len(results) != len(jobs):
        raise UserError(f"The simulation ran {len(results)} of {len(jobs)} jobs", status=1)
    return _logs(directory, results)


def run_cocotb(model, module, directory, *, progress=None):
    """Run a cocotb test module on `model` in `directory`, with `simulation.log` there."""
    runner = make_runner(model.simulator)
    runner.build_dir = model.directory
    root = str(Path(__file__).resolve().parent.parent)
    if root not in sys.path:
        sys.path.append(root)  # where the simulator's Python finds the test
    log = directory / "simulation.log"
    stop = threading.Event()
    watcher = threading.Thread(target=_watch, args=(directory, progress, stop))
    watcher.start()
    try:
        with Toolchain().exported():
            runner.test(
                test_module=module,
                hdl_toplevel="harness",
                hdl_toplevel_lang="verilog",
                build_dir=model.directory,
                test_dir=directory,
                results_xml=str(directory / "results.xml"),
                waves=model.waves,
                timescale=("1ns", "1ps"),
                log_file=log,
            )
    except (RuntimeError, SystemExit) as error:
        kept = keep_log(log, model)
        raise UserError(
            f"The simulation failed; log: {kept}; it ends with: {last_lines(log)}", status=1
        ) from error
    finally:
        stop.set()
        watcher.join()


def keep_log(log: Path, model: Model) -> Path:
    """Copy a log to where it outlives the run."""
    kept = model.directory.parent / f"failed-{log.name}"
    shutil.copyfile(log, kept)
    return kept


def _watch(directory, progress, stop):
    """Tell how far the simulation is, now and then."""
    last = None
    while progress is not None and not stop.wait(0.5):
        try:
            done, frames = (directory / "progress").read_text("utf-8").split()
        except (OSError, ValueError):  # not there, or half written
            continue
        if (done, frames) != last:
            progress(int(done), int(frames))
            last = done, frames


def _write_memories(model, job, directory, number):
    words = job.plan.images()
    for index, memory in enumerate(model.design.memories):
        if memory.region == "image":
            for frame, image in enumerate(job.images):
                flat = image.reshape(-1)
                flat = np.concatenate([flat, np.zeros(-len(flat) % 4, np.uint8)])
                part = _rows(memory.array, flat.view("<u4"))
                _write_hex(directory / f"{number}.{index}.{frame}.hex", part)
        elif memory.region != "activations":
            rows = _rows(memory.array, np.asarray(words[memory.region], "<u4"))
            _write_hex(directory / f"{number}.{index}.hex", rows)


def _rows(array, words):
    """What of a region's words goes into this array, from its first row on."""
    pieces = words.view(f"<u{array.piece_bits // 8}")
    return pieces[array.part :: array.parts][array.first :][: array.depth]


def _write_hex(path, words):
    path.write_text("".join(f"{word:x}\n" for word in words.tolist()), "ascii")


def _results(directory):
    path = directory / "results.json"
    if not path.is_file():
        log = directory / "simulation.log"
        raise UserError(
            f"The simulation left no results; log: {log}; it ends with: {last_lines(log)}",
            status=1,
        )
    return json.loads(path.read_text("utf-8"))["jobs"]


def _read_events(directory):
    raw = np.fromfile(directory / "events.bin", "<u4")
    return raw[: len(raw) // 4 * 4].reshape(-1, 4).astype(np.int64)


def _logs(directory, results):
    events = _read_events(directory)
    kind, layer, number = events[:, 0] & 255, events[:, 0] >> 8 & 255, events[:, 0] >> 16
    rows = np.concatenate([layer[:, None], events[:, 1:]], axis=1)
    logs = []
    for index, result in enumerate(results):
        mine = number == index
        begun = np.flatnonzero(mine & (kind == BEGIN))
        if len(begun):
            mine[: begun[-1]] = False
        writes, fetches, frames, starts = (
            rows[mine & (kind == what)] for what in (WRITE, FETCH, FRAME, START)
        )
        logs.append(
            Log(
                finished=result["finished"],
                writes=writes,
                fetches=fetches,
                frames=frames,
                cycles=np.diff(np.concatenate([starts[:1, 1], frames[:, 1]])),
                result=result,
            )
        )
    return logs
