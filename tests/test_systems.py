"""Systems without what only POSIX has: the programs are imported, and say what is missing."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
POSIX = ("fcntl", "grp", "pty", "pwd", "resource", "termios", "tty")

# As `python -m MODULE ARGUMENT...`, without those modules.
RUN = f"""
import runpy, sys
for name in {POSIX!r}:
    sys.modules[name] = None
sys.argv = sys.argv[1:]
runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
"""


def run(*words, cwd):
    return subprocess.run(
        [sys.executable, "-c", RUN, *words],
        capture_output=True,
        text=True,
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )


@pytest.mark.parametrize("command", [["info"], ["classify", "picture.png"], ["monitor"]])
def test_host_tool_without_posix(command, tmp_path):
    """It gets as far as pyserial, which takes the system for Linux here and ends there."""
    (tmp_path / "picture.png").write_bytes(
        bytes.fromhex(
            "89504e470d0a1a0a0000000d49484452000000010000000108020000009077"
            "53de0000000c49444154789c636060600000000400012734270a0000000049454e44ae426082"
        )
    )
    done = run("firmware", "--port", "COM3", *command, cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr.startswith("error: No port COM3: pyserial does not run on this system: ")
    assert done.stderr.count("\n") == 1
    assert os.listdir(tmp_path) == ["picture.png"]


@pytest.mark.parametrize("words", [["firmware", "--help"], ["hw.build", "--help"],
    ["hw.build", "--board", "icebreaker", "--plan"], ["model.show", "dham8-up5k"],
    ["sim", "--help"], ["sim.board", "--help"]])  # fmt: skip
def test_programs_that_need_no_posix(words, tmp_path):
    done = run(*words, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr


def test_no_simulated_board_on_windows(monkeypatch):
    import socket

    from hw.boards import find_board
    from model.common.errors import UserError
    from sim.board.model import compile_board

    monkeypatch.delattr(socket, "AF_UNIX")
    with pytest.raises(UserError, match="^The simulated board runs on Linux and macOS only"):
        compile_board(find_board("icebreaker"))
