"""Several seeds at once: which is kept, what the user sees, what is left if it ends early."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from hw.boards import Board, find_board
from hw.flow import steps
from hw.flow.seeds import best, cores, place_with_seeds
from hw.flow.tools import Toolchain
from model.common.errors import UserError
from tests.hw.builds import Counter, out

BOARD = find_board("icebreaker")


def synthesise(folder, bits):
    """A folder with a synthesised counter, whose carry chain sets the clock."""
    work = steps.Workspace(directory=folder)
    steps.elaborate(BOARD, Counter(bits), work)
    steps.synthesise(Toolchain(), BOARD, work)
    return work


@pytest.fixture(scope="module")
def synthesised(tmp_path_factory):
    return synthesise(tmp_path_factory.mktemp("design"), 60)


def place(work, scratch, seeds, clock_mhz, **options):
    lines = []
    layouts = place_with_seeds(
        Toolchain(), BOARD, work, seeds=seeds, clock_mhz=clock_mhz, scratch=scratch,
        progress=lines.append, **options,
    )  # fmt: skip
    return layouts, lines


def test_all_seeds_are_tried_and_the_best_is_kept(synthesised, tmp_path):
    layouts, lines = place(synthesised, tmp_path, range(3, 6), 12, until_met=False)
    assert [layout.seed for layout in layouts] == [3, 4, 5] and all(one.met for one in layouts)
    assert sorted(line.split(":")[0] for line in lines) == ["seed 3", "seed 4", "seed 5"]
    kept = best(layouts)
    assert kept.fmax_mhz == max(layout.fmax_mhz for layout in layouts)
    report = json.loads((synthesised.directory / "timing.json").read_text())
    assert kept.fmax_mhz in [entry["achieved"] for entry in report["fmax"].values()]
    # The same files as without others beside it.
    beside = (synthesised.directory / "top.asc").read_bytes()
    alone = steps.place_and_route(Toolchain(), BOARD, synthesised, seed=kept.seed, clock_mhz=12)
    assert alone.fmax_mhz == kept.fmax_mhz
    assert (synthesised.directory / "top.asc").read_bytes() == beside


def test_a_seed_that_meets_the_clock_ends_the_search(synthesised, tmp_path):
    layouts, lines = place(synthesised, tmp_path, range(1, 9), 12, jobs=1)
    assert [layout.seed for layout in layouts] == [1] and len(lines) == 1
    assert lines[0].startswith("seed 1: ") and " MHz of 12.00 MHz, met, after " in lines[0]


def test_no_seed_meets_the_clock(tmp_path):
    layouts, lines = place(synthesise(tmp_path, 400), tmp_path / "scratch", range(2), 12)
    assert len(layouts) == 2 and not best(layouts).met
    assert all(", not met, after " in line for line in lines)


def test_a_tool_that_fails_ends_all(synthesised, tmp_path, monkeypatch):
    program = tmp_path / "nextpnr"
    program.write_text("#!/bin/sh\ncase $* in *'--seed 1 '*) echo ERROR: no; exit 3;; esac\n"
                       f"echo $$ > {tmp_path}/other; exec sleep 60\n")  # fmt: skip
    program.chmod(0o755)
    monkeypatch.setenv("NEXTPNR_ICE40", str(program))
    started = time.monotonic()
    with pytest.raises(UserError, match="nextpnr-ice40 failed with status 3; .*ERROR: no"):
        place(synthesised, tmp_path / "scratch", range(2), 12, jobs=2)
    assert time.monotonic() - started < 30
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "other").read_text()), 0)


def test_a_build_with_seeds(run, tmp_path):
    status, stdout, stderr = run("--seed", "4", "--seeds", "2")
    assert status == 0, stderr
    report = json.loads((out(tmp_path) / "report.json").read_text())
    tried = report["seeds_tried"]
    assert {entry["seed"] for entry in tried} <= {4, 5} and any(entry["met"] for entry in tried)
    assert report["seed"] in [entry["seed"] for entry in tried]
    assert report["fmax_mhz"] == max(entry["fmax_mhz"] for entry in tried)
    assert f"  seed {report['seed']}: {report['fmax_mhz']:.2f} MHz of 12.00 MHz, met" in stderr
    logs = {path.name for path in (out(tmp_path) / "logs").iterdir()}
    assert {"nextpnr.log", f"seeds-{report['seed']}-nextpnr.log"} <= logs
    assert not (out(tmp_path) / "seeds").exists()


def test_a_build_whose_seeds_all_miss_the_clock(run, monkeypatch):
    monkeypatch.setattr(Board, "make_top", lambda *_: Counter(400))
    status, _, stderr = run("--seeds", "2")
    assert status == 2
    error = stderr.splitlines()[-1]
    assert error.startswith("error: Clock not met: ") and "; try more --seeds" in error
    assert sum(line.startswith("  seed ") for line in stderr.splitlines()) == 2


@pytest.mark.parametrize("seeds, text", [
    ("0", "Seeds must be 1 to 2147483647, not 0"), ("-1", "Seeds must be 1 to 2147483647, not -1"),
])  # fmt: skip
def test_bad_numbers_of_seeds(run, seeds, text):
    status, _, stderr = run("--seeds", seeds)
    assert status == 2 and stderr.splitlines()[-1] == f"error: {text}"


INTERRUPTED = """
import sys
from pathlib import Path
from hw.boards import find_board
from hw.flow import steps
from hw.flow.seeds import place_with_seeds
from hw.flow.tools import Toolchain
place_with_seeds(
    Toolchain(), find_board("icebreaker"), steps.Workspace(directory=Path(sys.argv[1])),
    seeds=range(2), clock_mhz=12, scratch=Path(sys.argv[2]), progress=print, jobs=2)
"""


def test_ctrl_c_ends_all_programs(synthesised, tmp_path):
    program = tmp_path / "nextpnr"
    program.write_text(f"#!/bin/sh\necho $$ > {tmp_path}/pid-$$; exec sleep 60\n")
    program.chmod(0o755)
    process = subprocess.Popen(
        [sys.executable, "-c", INTERRUPTED, synthesised.directory, tmp_path / "scratch"],
        env={**os.environ, "NEXTPNR_ICE40": str(program), "PYTHONPATH": str(Path.cwd())},
        stderr=subprocess.DEVNULL,
    )  # fmt: skip
    while len(pids := list(tmp_path.glob("pid-*"))) < 2:
        assert process.poll() is None
        time.sleep(0.1)
    time.sleep(0.2)
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=30) != 0
    for pid in pids:
        with pytest.raises(ProcessLookupError):
            os.kill(int(pid.name.removeprefix("pid-")), 0)


def test_cores():
    assert 1 <= cores() <= (os.cpu_count() or 1)
