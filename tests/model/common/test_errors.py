"""How programs end: one line, the right status, cleaned up; whatever ends them."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]

PROGRAM = """
import signal, sys, time
from model.common.errors import run_cli

@run_cli
def main():
    try:
        print("ready", flush=True)
        time.sleep(60)
    finally:
        print("cleaning", flush=True)
        time.sleep(float(sys.argv[1]))
        print("clean", flush=True)

main()
"""


def begin(code, *words, ignored=()):
    def ignore():
        for number in ignored:
            signal.signal(number, signal.SIG_IGN)

    return subprocess.Popen(
        [sys.executable, "-c", code, *map(str, words)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        preexec_fn=ignore if ignored else None,
    )


@pytest.mark.parametrize("number, word", [
    (signal.SIGINT, "interrupted"), (signal.SIGTERM, "terminated"), (signal.SIGHUP, "terminated"),
])  # fmt: skip
def test_a_signal_is_a_line_and_a_status(number, word):
    process = begin(PROGRAM, 0)
    assert process.stdout.readline() == "ready\n"
    process.send_signal(number)
    out, err = process.communicate(timeout=20)
    assert (process.returncode, out, err) == (128 + number, "cleaning\nclean\n", f"error: {word}\n")


def test_a_second_signal_does_not_disturb_the_cleaning_up():
    process = begin(PROGRAM, 1)
    process.stdout.readline()
    process.send_signal(signal.SIGINT)
    assert process.stdout.readline() == "cleaning\n"
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=20)
    assert (process.returncode, out, err) == (130, "clean\n", "error: interrupted\n")


def test_a_third_signal_ends_at_once():
    process = begin(PROGRAM, 60)
    process.stdout.readline()
    process.send_signal(signal.SIGINT)
    assert process.stdout.readline() == "cleaning\n"
    process.send_signal(signal.SIGINT)
    time.sleep(0.3)  # two that come at once are one
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=20)
    assert (process.returncode, out) == (143, "")
    assert err == "error: ended before it was cleaned up\n"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGHUP])
def test_an_ignored_signal_stays_ignored(number):
    """As with nohup, and Ctrl-C for a background job of a script."""
    process = begin(PROGRAM, 0, ignored=[number])
    process.stdout.readline()
    process.send_signal(number)
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(timeout=0.5)
    process.terminate()
    assert process.communicate(timeout=20)[1] == "error: terminated\n"


UNUSED = """
from amaranth.hdl import Elaboratable, Fragment, Module
from model.common.errors import UserError, run_cli
class Part(Elaboratable):
    def elaborate(self, platform):
        return Module()
@run_cli
def main():
    part = Part()
    Fragment.get(Module(), None)  # parts are only missed once elaboration has begun
    raise {error}
main()
"""


@pytest.mark.parametrize("error, status, text", [
    ("UserError('too large')", 2, "error: too large\n"),
    ("KeyboardInterrupt", 130, "error: interrupted\n"),
    ("OSError(28, 'No space left', 'a')", 2, "error: No space left: a\n"),
])  # fmt: skip
def test_a_design_that_fails_does_not_warn_of_its_parts(error, status, text):
    process = begin(UNUSED.format(error=error))
    _, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (status, text)


def test_a_design_that_succeeds_still_warns():
    process = begin(UNUSED.replace("raise {error}", "pass"))
    _, err = process.communicate(timeout=60)
    assert "UnusedElaboratable" in err


WRITER = """
from model.common.errors import run_cli
@run_cli
def main():
    print("x" * 1000)
main()
"""


def test_a_full_disk_is_a_line():
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [sys.executable, "-c", WRITER],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )
    assert (done.returncode, done.stderr) == (2, "error: No space left on device\n")


def test_a_closed_pipe_is_silent():
    process = begin(WRITER.replace('print("x" * 1000)', 'import time; time.sleep(0.5); print("x")'))
    process.stdout.close()
    assert process.stderr.read() == ""
    assert process.wait(timeout=20) == 141
    process.stderr.close()


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_closed_streams(closed):
    line = f"\"$0\" -c '{WRITER}' {closed}".replace('print("x" * 1000)', "pass")
    done = subprocess.run(
        ["sh", "-c", line, sys.executable],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert (done.returncode, done.stderr) == (0, "")
