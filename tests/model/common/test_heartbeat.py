"""Long work without a terminal says something."""

import time

import pytest

from model.common import heartbeat
from model.common.errors import run_cli
from model.common.heartbeat import beating, doing, duration, quiet, said

INTERVAL = heartbeat.INTERVAL


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(heartbeat, "INTERVAL", 0.2)


def next_line(capsys) -> str:
    for _ in range(100):
        if text := capsys.readouterr().err:
            return text
        time.sleep(0.02)
    raise AssertionError("nothing is said")


def test_a_program_says_that_it_goes_on(capsys):
    with pytest.raises(SystemExit):
        run_cli(lambda: time.sleep(0.9))()
    lines = capsys.readouterr().err.splitlines()
    assert 3 <= len(lines) <= 4
    assert lines[0] == "  still at work: 0 s"


def test_a_quick_program_says_nothing(capsys):
    with pytest.raises(SystemExit):
        run_cli(lambda: 0)()
    assert capsys.readouterr() == ("", "")


def test_what_is_being_done(capsys):
    with beating(), doing(lambda: "outer"):
        with doing(lambda: "inner"):
            assert next_line(capsys).startswith("  inner: ")
        assert next_line(capsys).startswith("  outer: ")
        with quiet():
            time.sleep(0.1)  # a line that was under way
            capsys.readouterr()
            time.sleep(0.5)
        assert capsys.readouterr().err == ""


def test_a_line_that_was_printed_puts_it_off(capsys):
    with beating():
        for _ in range(8):
            time.sleep(0.1)
            said()
    assert capsys.readouterr().err == ""


def test_less_than_half_a_minute():
    assert INTERVAL <= 25


def test_durations():
    assert [duration(s) for s in (0.4, 119, 125, 3600, 7260, 11_100)] == [
        "0 s", "119 s", "2 min 5 s", "60 min", "2 h 1 min", "3 h 5 min"
    ]  # fmt: skip
