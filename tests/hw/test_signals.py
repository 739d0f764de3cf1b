"""A build that is stopped or killed in any stage leaves no process that writes on."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.model.common.test_children import gone, pids

ROOT = Path(__file__).resolve().parents[2]

# A tool that is as slow as one likes, with a child of its own; both write into their folder.
SLOW = """\
#!{python}
import os, subprocess, sys, time
if {real!r} and {when!r} not in " ".join(sys.argv):
    os.execv({real!r}, [{real!r}, *sys.argv[1:]])
child = os.fork()
while True:
    with open({folder!r} + ("/child" if child == 0 else "/tool"), "a") as file:
        file.write(f"{{os.getpid()}}\\n")
    open("more.txt", "a").write("and more\\n")
    time.sleep(0.02)
"""
# One that is quick, and makes what the next stages read.
QUICK = """\
#!{python}
for name in ("top.v", "top.json"):
    open(name, "w").close()
"""


def tool(path: Path, text: str, **values) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text.format(python=sys.executable, **values), "utf-8")
    path.chmod(0o755)
    return path


def tools(stage: str, folder: Path, marks: Path) -> tuple[dict[str, Path], list[str]]:
    """Variables that make this stage slow, and options of the build."""
    slow = {"folder": str(marks), "real": "", "when": ""}
    if stage == "verification":
        return {"VERILATOR": tool(folder / "verilator", SLOW, **slow)}, []
    if stage == "synthesis":
        from hw.flow.tools import Toolchain

        slow |= {"real": str(Toolchain().find("yosys")), "when": "synthesis"}
        return {"YOSYS": tool(folder / "yosys", SLOW, **slow)}, ["--skip-verification"]
    return {
        "YOSYS": tool(folder / "yosys", QUICK),
        "NEXTPNR_ICE40": tool(folder / "nextpnr", SLOW, **slow),
    }, ["--skip-verification"]


def listing(folder: Path) -> dict[str, int]:
    return {str(path): path.stat().st_size for path in folder.rglob("*") if path.is_file()}


def slow(*values):
    return pytest.param(*values, marks=pytest.mark.slow)


@pytest.mark.parametrize(("stage", "number"), [
    ("verification", signal.SIGINT), ("synthesis", signal.SIGKILL), ("place", signal.SIGTERM),
    slow("verification", signal.SIGKILL), slow("verification", signal.SIGTERM),
    slow("synthesis", signal.SIGINT), slow("synthesis", signal.SIGTERM),
    slow("place", signal.SIGINT), slow("place", signal.SIGKILL),
])  # fmt: skip
def test_a_stopped_build_leaves_nobody(stage, number, tmp_path):
    output, marks = tmp_path / "out", tmp_path / "marks"
    marks.mkdir()
    variables, options = tools(stage, tmp_path / "tools" / "bin", marks)
    process = subprocess.Popen(
        [sys.executable, "-m", "hw.build", "--board", "icebreaker", "--output", output, *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env={**os.environ, **variables, "DECISIVENETS_CACHE": str(tmp_path / "cache")},
        # A shell's background job ignores Ctrl-C, and the children of one would too.
        restore_signals=True,
    )
    found = pids(marks, 200)
    process.send_signal(number)
    _, stderr = process.communicate(timeout=20)
    assert gone(found, 2.0)
    before = listing(tmp_path)
    time.sleep(0.5)
    assert listing(tmp_path) == before
    if number == signal.SIGKILL:
        assert process.returncode == -signal.SIGKILL
        return
    word = {signal.SIGINT: "interrupted", signal.SIGTERM: "terminated"}[number]
    assert process.returncode == 128 + number
    assert stderr.splitlines()[-1] == f"error: {word}"
    assert "Unused" not in stderr and "Traceback" not in stderr
    assert not output.exists()


@pytest.mark.parametrize("seconds", [0.3, 1.0, 3.0])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_at_any_time(seconds, number, tmp_path):
    """While modules are imported, and while the design is elaborated: one line all the same."""
    process = subprocess.Popen(
        [sys.executable, "-m", "hw.build", "--board", "icebreaker", "--output", tmp_path / "out"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    )
    time.sleep(seconds)
    process.send_signal(number)
    _, stderr = process.communicate(timeout=20)
    word = {signal.SIGINT: "interrupted", signal.SIGTERM: "terminated"}[number]
    assert process.returncode == 128 + number
    lines = stderr.splitlines()
    assert lines[-1] == f"error: {word}"
    assert not any("Unused" in line or "Traceback" in line for line in lines)
    assert not (tmp_path / "out").exists()
