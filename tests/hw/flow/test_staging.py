"""`hw.flow.staging`: outputs that are never half there, and stages that tell what they do."""

import os
import signal
import subprocess
import sys
from io import StringIO

import pytest
from rich.console import Console

from hw.flow.staging import Stages, Staging
from model.common.errors import UserError


def test_two_builds_in_one_folder(tmp_path):
    with Staging(tmp_path / "out"):
        with pytest.raises(UserError, match="Another build is at work"):
            with Staging(tmp_path / "out"):
                pass
    assert not (tmp_path / "out").exists()


def test_staging_clears_what_a_killed_build_left(tmp_path):
    stale = tmp_path / ".partial-old"
    stale.mkdir()
    (tmp_path / "mine.txt").write_text("stays")
    with Staging(tmp_path) as staging:
        staging.write("a", "b")
    assert sorted(os.listdir(tmp_path)) == ["a", "mine.txt"]


@pytest.mark.parametrize("folder", ["logs", "failed"])
def test_staging_leaves_folders_of_others_alone(tmp_path, folder):
    (tmp_path / folder).mkdir()
    (tmp_path / folder / "mine.txt").write_text("stays")
    with pytest.raises(UserError, match="holds logs that are not a build's"), Staging(tmp_path):
        pass
    assert (tmp_path / folder / "mine.txt").read_text() == "stays"


SLOW_BUILD = """
import signal, sys, time
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job ignores it
from pathlib import Path
from hw.flow.staging import Stages, Staging
from model.common.errors import run_cli
@run_cli
def main():
    with Staging(Path(sys.argv[1])) as staging:
        staging.write("top.bin", "half")
        print("ready", flush=True)
        time.sleep(60)
main()
"""


@pytest.mark.parametrize(
    ("number", "word"), [(signal.SIGTERM, "terminated"), (signal.SIGINT, "interrupted")]
)
def test_signals_leave_nothing(tmp_path, number, word):
    process = subprocess.Popen(
        [sys.executable, "-c", SLOW_BUILD, tmp_path / "out"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout.readline() == "ready\n"
    process.send_signal(number)
    _, stderr = process.communicate(timeout=20)
    assert (process.returncode, stderr) == (128 + number, f"error: {word}\n")
    assert not (tmp_path / "out").exists()


def test_repeated_notes_are_printed_once():
    text = StringIO()
    stages = Stages(Console(file=text))
    with stages("verification", "Verifying") as stage:
        stage.note("1 of 2")
        stage.note("1 of 2")
        stage.note("2 of 2")
    assert text.getvalue().splitlines()[:3] == ["Verifying ...", "  1 of 2", "  2 of 2"]
    assert "verification" in stages.seconds
