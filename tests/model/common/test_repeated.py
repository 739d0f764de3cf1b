"""A program that is called again and again: one process, answers as those of a process each."""

import gc
import json
import os
import signal
import time
from pathlib import Path

import pytest

from model.common.repeated import Repeated

ROOT = Path(__file__).parents[3]

PROGRAM = """
import json, os, sys
if __name__ == "__main__":
    words = sys.argv[1:]
    if words[0] == "die":
        sys.stderr.write("a traceback\\nMemoryError\\n")
        sys.stderr.flush()
        os._exit(3)
    if words[0] == "killed":
        os.kill(os.getpid(), 9)
    if words[0] == "defect":
        raise AssertionError("of the program")
    if words[0] == "exit":
        print("on its error: é", file=sys.stderr)
        sys.exit(int(words[1]))
    if words[0] == "wait":
        open(words[1], "w").write(str(os.getpid()))
        import time
        time.sleep(100)
    if words[0] == "fd":
        os.write(1, b"not an answer")
    print(json.dumps([os.getpid(), words, "é"]))
"""


@pytest.fixture
def program(tmp_path, monkeypatch):
    (tmp_path / "asked.py").write_text(PROGRAM, "utf-8")
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}{os.pathsep}{ROOT}")
    asked = Repeated("asked", tmp_path)
    yield asked
    asked.close()


def test_one_process_answers_all(program):
    first, second = (json.loads(program([word, "x y"]).stdout) for word in ("one", "fd"))
    assert first[1:] == [["one", "x y"], "é"] and second[1:] == [["fd", "x y"], "é"]
    assert first[0] == second[0]


def test_status_and_errors(program):
    done = program(["exit", "2"])
    assert (done.returncode, done.stdout, done.stderr) == (2, "", "on its error: é\n")
    assert program(["one"]).stderr == ""  # of this call alone


@pytest.mark.parametrize(
    "word, status, last",
    [("die", 3, "MemoryError"), ("killed", -9, ""), ("defect", 1, "AssertionError: of the p")],
)
def test_process_that_dies_and_its_successor(program, word, status, last):
    before = json.loads(program(["one"]).stdout)[0]
    done = program([word])
    assert (done.returncode, done.stdout) == (status, "")
    lines = done.stderr.splitlines() or [""]
    assert lines[-1].startswith(last) and bool(lines[-1]) == bool(last)
    assert json.loads(program(["one"]).stdout)[0] != before


def gone(pid, seconds=20):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            with open(f"/proc/{pid}/stat") as file:
                if file.read().rsplit(")", 1)[1].split()[0] == "Z":
                    return True
        except OSError:
            return True
        time.sleep(0.02)
    return False


def test_interrupted_while_it_waits(program, tmp_path):
    """The process, whose answer nobody takes any more, is ended; the next call has another."""

    def ring(number, frame):
        if (tmp_path / "pid").exists() and (tmp_path / "pid").read_text():
            raise KeyboardInterrupt

    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, 0.05, 0.05)
    try:
        with pytest.raises(KeyboardInterrupt):
            program(["wait", str(tmp_path / "pid")])
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert gone(int((tmp_path / "pid").read_text()))
    assert program(["one"]).returncode == 0


def test_ends_with_its_object(program):
    other = Repeated("asked", program.cwd)
    pid = json.loads(other(["one"]).stdout)[0]
    gc.collect()
    assert not gone(pid, 0.2)
    del other
    gc.collect()
    assert gone(pid)
