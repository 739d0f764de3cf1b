"""Programs that are started end with who started them, and so does all that they start."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from model.common import children

ROOT = Path(__file__).resolve().parents[3]

# A program with a child, both of which write on: as make and a compiler do.
WRITERS = """
import os, signal, sys, time
if len(sys.argv) > 2:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
child = os.fork()
name = f"{sys.argv[1]}/{'child' if child == 0 else 'tool'}"
while True:
    with open(name, "a") as file:
        file.write(f"{os.getpid()}\\n")
    time.sleep(0.02)
"""

STARTER = f"""
import sys
from model.common import children
children.run([sys.executable, "-c", {WRITERS!r}, *sys.argv[1:]])
"""


def pids(folder: Path, patience: float = 20) -> list[int]:
    """Processes that have written in `folder`: both."""
    deadline = time.monotonic() + patience
    while time.monotonic() < deadline:
        files = [folder / name for name in ("tool", "child")]
        if all(file.exists() and "\n" in file.read_text() for file in files):
            return [int(file.read_text().split("\n")[0]) for file in files]
        time.sleep(0.02)
    raise AssertionError("nothing was started")


def alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"


def gone(numbers: list[int], seconds: float = 2.0) -> bool:
    deadline = time.monotonic() + seconds
    while any(map(alive, numbers)):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def begin(folder: Path, *more: str) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, "-c", STARTER, folder, *more],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stderr=subprocess.DEVNULL,
    )


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_nothing_writes_on_when_the_program_has_ended(tmp_path, number):
    process = begin(tmp_path)
    found = pids(tmp_path)
    process.send_signal(number)
    process.wait(timeout=20)
    assert gone(found)
    sizes = [file.stat().st_size for file in sorted(tmp_path.iterdir())]
    time.sleep(0.3)
    assert [file.stat().st_size for file in sorted(tmp_path.iterdir())] == sizes


def test_what_ignores_sigterm_is_killed(tmp_path):
    process = begin(tmp_path, "ignores")
    found = pids(tmp_path)
    process.send_signal(signal.SIGINT)
    process.wait(timeout=20)
    assert gone(found)


def test_status_output_and_what_cannot_be_started(tmp_path):
    code = "import sys; print('é'); sys.stderr.buffer.write(b'\\xff'); sys.exit(7)"
    environment = {**os.environ, "PYTHONUTF8": "1"}
    done = children.capture([sys.executable, "-c", code], env=environment)
    assert (done.returncode, done.stdout, done.stderr) == (7, "é\n", "�")
    killed = children.run([sys.executable, "-c", "import os; os.kill(os.getpid(), 9)"])
    assert killed == -9
    done = children.capture([tmp_path / "nothing"])
    assert done.returncode == 126
    assert done.stderr == f"error: {tmp_path / 'nothing'}: No such file or directory\n"


def test_a_child_has_the_usual_signals():
    """What Python and the supervisor ignore is not ignored in the program."""
    done = children.capture(["awk", "/^Sig(Blk|Ign)/ {print $2}", "/proc/self/status"])
    blocked, ignored = (int(word, 16) & 0x7FFFFFFF for word in done.stdout.split())
    assert (blocked, ignored) == (0, 0)
