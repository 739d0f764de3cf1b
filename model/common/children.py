"""Programs that this one starts: they, and all that they start, end with it, however it ends.

A killed program cannot stop its children: a compiler would write on into a folder that somebody
else builds in by then. So each is started by `supervisor.py`, which outlives this program for a
moment and sees that it is gone. Only the standard library is needed.
"""

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

__all__ = ["capture", "run", "start", "stop"]

_SUPERVISOR = Path(__file__).with_name("supervisor.py")
_PATIENCE = 10  # seconds for the supervisor, which itself kills after fewer


def start(command: Sequence[str | Path], **options: Any) -> subprocess.Popen:
    """Start a program, as `subprocess.Popen` does with `options`; it must be waited for.

    Where the system has process groups (not on Windows), the process is the program's supervisor:
    it ends with the program's status, and a terminal's Ctrl-C reaches this program alone. A
    program that cannot be started is a line on its standard error and status 126.
    """
    if os.name == "posix":
        # Isolated, without site: 15 ms, and nothing of the environment changes what it does.
        supervisor = [sys.executable, "-I", "-S", str(_SUPERVISOR), str(os.getpid())]
        command = [*supervisor, *command]
    return subprocess.Popen(command, **options)


def run(command: Sequence[str | Path], **options: Any) -> int:
    """Run a program to its end; returns its status. It is stopped by whatever ends the waiting."""
    process = start(command, **options)
    try:
        return process.wait()
    except BaseException:
        stop(process)
        raise


def capture(command: Sequence[str | Path], **options: Any) -> subprocess.CompletedProcess[str]:
    """As `run`, with the program's output as text (UTF-8, with a sign for what is not)."""
    process = start(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
        errors="replace",
        **options,
    )
    try:
        out, err = process.communicate()
    except BaseException:
        stop(process)
        raise
    return subprocess.CompletedProcess(list(command), process.returncode, out, err)


def stop(process: subprocess.Popen) -> None:
    """End a program of `start`, and what it started: asked first, then killed."""
    process.terminate()
    try:
        process.wait(timeout=_PATIENCE)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
