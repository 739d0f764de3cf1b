"""The README's commands are run as they stand there; those that need data or a board, as --help."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text("utf-8")
COMMANDS = re.findall(r"`(python -m [^`]+)`", README)
# What stands for something that a test does not have: data, a board, a file of the user's.
NEEDS = {"DIR", "PORT", "FILE"}


def run(words):
    # As a user's shell would: cocotb's runner behaves otherwise where it sees pytest around it.
    environment = {k: v for k, v in os.environ.items() if k != "PYTEST_CURRENT_TEST"}
    return subprocess.run(
        [sys.executable, *words],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
        env=environment,
    )


def test_there_are_commands():
    assert len(COMMANDS) >= 8
    for target in ("demo", "test"):
        assert f"\nmake {target} " in README
        assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE)


@pytest.mark.parametrize("command", COMMANDS)
def test_command(command):
    words = shlex.split(command)[1:]
    options = [word for word in words if word.startswith("--")]
    if NEEDS & set(words):
        done = run([*words[:2], "--help"])
        assert done.returncode == 0, done.stderr
        assert not [option for option in options if option not in done.stdout]
    else:
        done = run(words)
        assert done.returncode == 0, done.stderr
        assert done.stdout


def test_links_lead_somewhere():
    for target in re.findall(r"\]\((?!https?:)([^)]+)\)", README):
        assert (ROOT / target).exists(), target
