"""What an encoding cannot show is ASCII; nothing that a program prints is an error."""

import io
import os
import subprocess
import sys
from pathlib import Path

import pytest

from model.common.lookalikes import LOOKALIKES, as_shown
from tests.programs import PROGRAMS

ROOT = Path(__file__).resolve().parents[3]

# All programs in one process: each import of torch would take seconds.
HELP = """
import runpy, sys, traceback
for module in sys.argv[1:]:
    before, sys.argv = sys.argv, [module, "--help"]
    try:
        runpy.run_module(module, run_name="__main__", alter_sys=True)
    except SystemExit as error:
        print("status", error.code, module)
    except BaseException:
        traceback.print_exc()
    sys.argv = before
"""

ENCODINGS = [
    {"PYTHONIOENCODING": "latin-1"},
    {"PYTHONIOENCODING": "ascii"},
    {"PYTHONIOENCODING": "cp1252"},
    {"LC_ALL": "C", "PYTHONUTF8": "0"},
    {"PYTHONIOENCODING": "utf-8"},
]


def run(*words, **environment):
    """The output of a Python program, as (status, out, err), in the encoding that it has."""
    variables = {k: v for k, v in os.environ.items() if k != "PYTHONIOENCODING"}
    done = subprocess.run(
        [sys.executable, *words],
        capture_output=True,
        cwd=ROOT,
        env={**variables, "COLUMNS": "120", **environment},
    )
    encoding = environment.get("PYTHONIOENCODING", "ascii")
    return done.returncode, done.stdout.decode(encoding), done.stderr.decode(encoding)


@pytest.mark.parametrize("environment", ENCODINGS, ids=lambda e: "-".join(e.values()))
def test_help_of_every_program(environment):
    status, out, err = run("-W", "ignore", "-c", HELP, *PROGRAMS, **environment)
    assert status == 0
    assert err == ""
    assert out.count("status 0 ") == len(PROGRAMS), out[-2000:]


@pytest.mark.parametrize("environment", ENCODINGS[:4], ids=lambda e: "-".join(e.values()))
@pytest.mark.parametrize("words", [
    ["hw.build", "--board", "icebreaker", "--plan"],
    ["hw.build", "--board", "icebreaker", "--plan", "--json"],
    ["model.show", "dham8-up5k"], ["model.show", "dham8-up5k", "--json"],
    ["model.multiplications", "--network", "resnet18", "--paper"],
])  # fmt: skip
def test_tables(words, environment):
    status, out, err = run("-m", *words, **environment)
    assert status == 0, err
    assert "Traceback" not in err
    assert out.strip()
    if "--json" not in words:
        assert "ℓ" not in out
        if words[0] == "hw.build":  # the columns of numbers are still one below the other
            latin = environment.get("PYTHONIOENCODING") in ("latin-1", "cp1252")
            times = "×" if latin else "x"
            rows = [line for line in out.splitlines() if f"32{times}32{times}16" in line]
            heads = [line for line in out.splitlines() if " Layer " in line]
            assert rows[0].index(" 4 ") + 1 == heads[0].index(" l ") + 1


@pytest.mark.parametrize("environment", ENCODINGS, ids=lambda e: "-".join(e.values()))
def test_errors_with_foreign_characters(environment):
    name = "Größe-文-\udcff-ℓ.dham"
    status, out, err = run("-m", "model.show", os.fsencode(name), **environment)
    assert status == 2
    assert err.startswith("error: ")
    assert err.count("\n") == 1
    assert "\\xff" in err


def test_lookalikes_are_ascii():
    assert all(text.isascii() for text in LOOKALIKES.values())
    assert as_shown("ℓ = 4 ± σ → 文", "ascii") == "l = 4 +- sigma -> \\u6587"
    assert as_shown("3×3 ± ℓ", "latin-1") == "3×3 ± l"
    assert as_shown("ℓ ━ 文", "utf-8") == "ℓ ━ 文"
    assert as_shown("a\udce9b", "utf-8") == "a\\xe9b"
    assert as_shown("ℓ", None) == "ℓ"
    assert as_shown("ℓ", "no such encoding") == "ℓ"


def test_streams_that_cannot_be_changed(monkeypatch):
    from model.common.lookalikes import readable_streams

    monkeypatch.setattr(sys, "stdout", io.StringIO())
    monkeypatch.setattr(sys, "stderr", None)
    readable_streams()
