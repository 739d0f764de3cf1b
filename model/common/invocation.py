"""The words that run a program of this project, as the user can paste them into the same shell."""

import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

__all__ = ["command"]


def command(module: str, *words: str | os.PathLike) -> str:
    """`python -m MODULE WORDS…`, with the interpreter that runs now, named as shortly as works.

    That is its path from the current folder if it lies below; else its name, if PATH leads to the
    same one; else the whole path. Words with spaces and the like are quoted.
    """
    parts = [_interpreter(), "-m", module, *(str(word) for word in words)]
    return subprocess.list2cmdline(parts) if os.name == "nt" else shlex.join(parts)


def _interpreter() -> str:
    # Not resolved: an environment's interpreter is a link, and its name is what makes it one.
    program = Path(os.path.abspath(sys.executable or "python"))
    try:
        below = program.relative_to(Path.cwd())
        return str(below) if len(below.parts) > 1 else os.path.join(os.curdir, below)
    except (ValueError, OSError):  # not below, or the current folder is gone
        pass
    for name in (program.name, "python"):
        found = shutil.which(name)
        if found and os.path.abspath(found) == str(program):
            return name
    return str(program)
