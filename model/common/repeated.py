"""A program that is run again and again, by one process: it is loaded once, whatever it is asked.

What the program is, and what it answers, is its command line's: nothing of it is imported here.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import runpy
import subprocess
import sys
import tempfile
import weakref
from collections.abc import Sequence
from pathlib import Path
from typing import IO

from model.common.children import start, stop

__all__ = ["Repeated", "serve"]


class Repeated:
    """The program `python -m MODULE`, to be called with other words each time.

    Its process is started by the first call, in the folder `cwd`, and by the first one after it
    ended. The process ends with this object, and with this program, however that ends.

    Parameters
    ----------
    module : str
        Runs as `python -m` runs it.
    cwd : Path
        Where its packages are looked for first.
    """

    def __init__(self, module: str, cwd: Path):
        self.module, self.cwd = module, cwd
        self._process: subprocess.Popen[str] | None = None
        self._errors: IO[bytes] | None = None
        self._end: weakref.finalize | None = None

    def __call__(self, words: Sequence[str]) -> subprocess.CompletedProcess[str]:
        """The program's status and output with these words; a process that dies: those of its end.

        An exception while it is waited for, such as Ctrl-C, ends the process.
        """
        if self._process is None:
            self._start()
        process, errors = self._process, self._errors
        assert process is not None and process.stdin and process.stdout and errors
        try:
            with contextlib.suppress(BrokenPipeError):  # it has ended, and left why
                process.stdin.write(json.dumps(list(words)) + "\n")
                process.stdin.flush()
            answer = process.stdout.readline()
            status, said = json.loads(answer) if answer else (process.wait(), "")
            errors.seek(0)
            complaint = errors.read().decode("utf-8", "replace")
            errors.seek(0)  # the process's place in the file too, for both have it open as one
            errors.truncate()
        except BaseException:
            self.close()
            raise
        if not answer:
            self.close()
        return subprocess.CompletedProcess(list(words), status, said, complaint)

    def close(self) -> None:
        """End the process, if there is one."""
        if self._end is not None:
            self._end()
        self._process = self._errors = self._end = None

    def _start(self) -> None:
        code = f"from model.common.repeated import serve; serve({self.module!r})"
        errors = tempfile.TemporaryFile("w+b", buffering=0)
        self._process = start(
            [sys.executable, "-c", code],
            cwd=self.cwd,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            encoding="utf-8",
            errors="replace",
        )
        self._errors = errors
        self._end = weakref.finalize(self, _end, self._process, errors)


def _end(process: subprocess.Popen[str], errors: IO[bytes]) -> None:
    assert process.stdin and process.stdout
    with contextlib.suppress(OSError):  # it has ended by itself
        process.stdin.close()
    stop(process)
    process.stdout.close()
    errors.close()


def serve(module: str) -> None:
    """The other side: run `module` as a program for each line of words on standard input.

    A line of JSON in: a list of words. A line of JSON out: status, and what it printed. Standard
    error is the program's own, so that what it said is there, however it ends.
    """
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # what is not Python's print is no answer
    if isinstance(sys.stderr, io.TextIOWrapper):
        sys.stderr.reconfigure(encoding="utf-8")
    for line in sys.stdin:
        with io.TextIOWrapper(io.BytesIO(), encoding="utf-8", errors="replace") as out:
            with contextlib.redirect_stdout(out):
                status = _run(module, json.loads(line))
            out.seek(0)
            answers.write(json.dumps([status, out.read()]) + "\n")
        sys.stderr.flush()
        answers.flush()


def _run(module: str, words: list[str]) -> int:
    sys.argv = [module, *words]
    try:
        runpy.run_module(module, run_name="__main__", alter_sys=True)
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    return 0
