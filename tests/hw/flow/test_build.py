"""Every stage of a build on a small stand-in design, and what it leaves behind where one fails."""

import errno
import json

import pytest

from hw.boards import Board, find_board
from hw.flow import steps as flow
from hw.flow.build import find_tools
from tests.hw.builds import CYCLES, Counter, out


def test_whole_build(run, tmp_path, network_file):
    status, stdout, stderr = run()
    assert status == 0, stderr
    assert "SKIPPED" not in stdout + stderr
    assert "Placing and routing" in stderr
    report = json.loads((out(tmp_path) / "report.json").read_text())
    assert report["network"]["top1"] == 85.5
    assert report["clock_mhz"] == 12
    assert report["fmax_mhz"] > 12
    assert len(report["design_sha256"]) == 64
    assert report["cycles_bound"] == CYCLES and max(report["cycles_rtl"]) == CYCLES
    assert report["verified"] == 4
    assert report["verification"]["conformance"] == {
        "networks": 3, "frames": 6, "features": ["binary layer"], "missing": ["largest stride"],
        "fields": {"stride": [1, 2]},
    }  # fmt: skip
    assert "conformance set: 3 networks, 1 features, without largest stride" in stdout
    assert report["inferences_per_second_bound"] == pytest.approx(12e6 / CYCLES)
    assert report["inferences_per_second"] == pytest.approx(12e6 / report["cycles_mean"])
    assert report["array_utilisation"] == 0.5
    assert set(report["resources"]) == {"lc", "dsp", "ebr", "spram"}
    assert report["resources"]["lc"] > 4
    assert {"plan", "rtl", "verification", "synthesis", "place_and_route"} <= set(report["seconds"])
    names = {path.name for path in out(tmp_path).iterdir()}
    assert {"top.bin", "top.v", "report.html", "logs"} <= names
    assert not [name for name in names if name.startswith(".") or name == "failed"]
    logs = {path.name for path in (out(tmp_path) / "logs").iterdir()}
    assert {"synthesis.log", "nextpnr.log", "icepack.log", "verification-run.log"} <= logs


def test_skipped_verification_is_shouted(run, tmp_path):
    status, stdout, stderr = run("--skip-verification")
    assert status == 0
    assert "VERIFICATION IS SKIPPED" in stderr
    assert "VERIFICATION WAS SKIPPED" in stdout
    report = json.loads((out(tmp_path) / "report.json").read_text())
    assert report["verified"] == 0
    assert report["cycles_rtl"] is None
    assert "VERIFICATION WAS SKIPPED" in (out(tmp_path) / "report.html").read_text()


def test_clock_not_met_fails_and_leaves_nothing(run, tmp_path, monkeypatch):
    monkeypatch.setattr(Board, "make_top", lambda *_: Counter(400))
    status, stdout, stderr = run("--seed", "3")
    assert status == 2
    assert "error: Clock not met:" in stderr
    assert "MHz of 12.00 MHz with seed 3 on the way from " in stderr
    assert "; try another --seed; log: " in stderr
    assert {path.name for path in out(tmp_path).iterdir()} == {"failed"}
    assert (out(tmp_path) / "failed" / "logs" / "nextpnr.log").exists()


def test_failing_tool_names_a_log_that_exists(run, tmp_path, monkeypatch):
    monkeypatch.setattr(flow, "synthesise", lambda tools, board, work: work.run(
        tools, "yosys", ["no-such-script.ys"], "synthesis.log"
    ))  # fmt: skip
    status, _, stderr = run()
    assert status == 2
    log = out(tmp_path) / "failed" / "logs" / "synthesis.log"
    assert f"log: {log};" in stderr
    assert "no-such-script.ys" in log.read_text()


@pytest.mark.parametrize("error", [KeyboardInterrupt(), OSError(errno.ENOSPC, "No space left")])
def test_interrupt_and_full_disk_leave_nothing(run, tmp_path, monkeypatch, error):
    def fail(*_, **__):
        raise error

    monkeypatch.setattr(flow, "pack", fail)
    status, _, stderr = run()
    assert status == (130 if isinstance(error, KeyboardInterrupt) else 2)
    assert "Traceback" not in stderr
    assert ("interrupted" if status == 130 else "No space left") in stderr
    left = [path for path in tmp_path.rglob("*") if path.is_file() and path.suffix != ".dham"]
    assert all("failed" in path.parts for path in left)


# --- the tools, before the work -------------------------------------------------------------------


class Tools:
    """Remembers what was looked for."""

    def __init__(self):
        self.found = []

    def find(self, name):
        self.found.append(name)

    def environment(self):
        self.found.append("verilator")


def test_every_tool_is_looked_for():
    tools = Tools()
    find_tools(find_board("icebreaker"), tools)
    assert tools.found == ["yosys", "nextpnr-ice40", "icepack", "verilator"]


def test_a_build_that_is_not_verified_needs_no_simulator():
    tools = Tools()
    find_tools(find_board("icebreaker"), tools, verify=False)
    assert tools.found == ["yosys", "nextpnr-ice40", "icepack"]
