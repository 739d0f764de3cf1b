"""A budget of a board's cycles: the plan's number, networks that do not fit, and its failures.

`hw` is asked as a program only, as the code under test does.
"""

import json
import math
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from model.common.children import start
from model.common.errors import UserError
from model.data.cifar import Images
from model.dham.shapes import shape_of
from model.search import main
from model.searching import cycles
from model.searching.cycles import BoardCycles
from model.searching.search import results, search
from model.searching.space import Costs, DoesNotFit
from model.training.recipe import Recipe
from tests.model.programs import refusal

PUBLISHED = 218_578  # cycles of dham8-up5k on icebreaker, at most
NOTHING = Images(torch.zeros(1, 32, 32, 3, dtype=torch.uint8), torch.zeros(1, dtype=torch.int64))


@pytest.fixture(scope="module")
def board():
    """icebreaker; a plan is asked once for each shape."""
    board, known = BoardCycles("icebreaker"), {}
    ask = board.plan

    def plan(shape):
        if shape not in known:
            known[shape] = ask(shape)
        return known[shape]

    board.plan = plan
    return board


def test_cycles_are_those_of_the_published_network(board):
    """An untrained network of its shape has the plan of the zoo's file, layer by layer."""
    command = ("hw.build", "--board", "icebreaker", "--network", "dham8-up5k", "--plan", "--json")
    done = subprocess.run([sys.executable, "-m", *command], capture_output=True, check=True)
    published = json.loads(done.stdout)
    shape = shape_of("dham8")
    assert shape.group_sizes == (4, 4, 4, 2, 2, 2, 2)
    before = torch.get_rng_state()
    assert board(shape) == published["cycles_bound"] == PUBLISHED
    assert torch.equal(torch.get_rng_state(), before)  # a training beside it is not disturbed
    for key in ("layers", "memory", "clock_mhz"):
        assert board.plan(shape)[key] == published[key]
    assert (board.clock_hz, board.unit) == (36e6, "cycles on icebreaker")


def test_a_network_that_does_not_fit(board):
    shape = shape_of("dham8", group_sizes=(1,))
    with pytest.raises(DoesNotFit, match="^Activation memory: layer 0 "):
        board(shape)
    costs = Costs(board)
    assert costs(shape) == math.inf and costs(shape_of("dham8")) == PUBLISHED
    assert list(costs.reasons) == [shape]
    assert costs.reasons[shape].startswith("Activation memory: layer 0 (stem) needs its output")


def test_one_process_plans_all_shapes(monkeypatch):
    started = []

    def noted(command, **options):
        started.append(command)
        return start(command, **options)

    monkeypatch.setattr("model.common.repeated.start", noted)
    one = BoardCycles("icebreaker")
    assert one(shape_of("dham8")) == PUBLISHED
    with pytest.raises(DoesNotFit):
        one(shape_of("dham8", group_sizes=(1,)))
    assert one(shape_of("dham8", group_sizes=(4,))) == 159_222
    assert len(started) == 1


def test_search_within_a_budget_of_cycles(board, tmp_path):
    trained = []

    def score(shape):
        trained.append(shape)
        return 100 - sum(shape.group_sizes)

    given = {
        "study": tmp_path / "s.db",
        "training": NOTHING,
        "validation": NOTHING,
        "recipe": Recipe(epochs=1),
        "cost": board,
        "unit": board.unit,
        "score": score,
    }
    # ℓ = 2 throughout does not fit; ℓ = 8 is beyond the hardware.
    rows = search("dham8", budget=PUBLISHED, trials=2, sizes=(2, 4, 8), **given)
    assert [board(shape) for shape in trained] == [row["cost"] for row in rows]
    assert all(row["cost"] <= PUBLISHED and row["state"] == "complete" for row in rows)
    assert rows[0]["group_sizes"] == [4] * 7 and rows[0]["cost"] == 159_222
    assert rows[1]["group_sizes"] != [4] * 7 and 8 not in rows[1]["group_sizes"]
    with pytest.raises(UserError, match="Budget 1,000 is below the least, 159,222 cycles on iceb"):
        search("dham8", budget=1000, trials=2, sizes=(4,), **given)
    given["unit"] = "cycles on another"
    with pytest.raises(UserError, match="its unit is cycles on icebreaker, not cycles on another"):
        search("dham8", budget=PUBLISHED, trials=2, sizes=(2, 4, 8), **given)


def test_program(board, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("model.search.BoardCycles", lambda name: board)
    monkeypatch.setattr("model.search.read_training", lambda folder, data_set: (NOTHING, NOTHING))
    monkeypatch.setattr("model.searching.search._train", lambda *_: 50.0)
    given = ["--network", "dham8", "--board", "icebreaker", "--budget", "3e6"]
    given += ["--sizes", "4", "--data", "DIR", "--study", str(tmp_path / "s.db"), "--trials", "1"]
    assert main([*given, "--device", "cpu"]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "ℓ, layer by layer cycles inferences/s at 36 MHz, ≥ validation, %" in said
    assert "4 4 4 4 4 4 4, uniform 159,222 226.1 50.00" in said
    assert main([*given, "--device", "cpu", "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert (facts["unit"], facts["board"], facts["clock_mhz"]) == ("cycles", "icebreaker", 36)
    assert facts["trials"] == results(tmp_path / "s.db")
    with pytest.raises(UserError, match="its unit is cycles on icebreaker, not multiplications"):
        main([*given[:2], *given[4:], "--device", "cpu"])  # the same without --board


# --- failures -------------------------------------------------------------------------------------

REST = ("--budget", PUBLISHED, "--data", "none", "--study")


def test_unknown_board(tmp_path, monkeypatch, capsys):
    said = refusal(main, ("--board", "icebraeker", *REST, tmp_path / "s.db"), monkeypatch, capsys)
    assert said.startswith("error: Unknown board 'icebraeker': did you mean icebreaker?")
    assert not list(tmp_path.iterdir())


def test_board_counts_cycles_by_itself(tmp_path, monkeypatch, capsys):
    arguments = ("--board", "icebreaker", *REST, tmp_path / "s.db", "--lanes", 16)
    assert "--lanes is for a budget of multi" in refusal(main, arguments, monkeypatch, capsys)


@pytest.mark.parametrize(
    "script, text",
    [
        ("echo 'a traceback\nMemoryError' >&2; exit 1", "failed: MemoryError"),
        ("kill -9 $$", "failed: status -9"),
        ("echo 'error: interrupted' >&2; exit 130", "failed: interrupted"),
    ],
)
def test_a_plan_that_fails(tmp_path, monkeypatch, script, text):
    """It is an error, neither a cost nor a network that does not fit."""
    program = tmp_path / "python"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(program))
    with pytest.raises(UserError) as caught:
        BoardCycles("icebreaker")
    assert not isinstance(caught.value, DoesNotFit)
    assert str(caught.value) == f"python -m hw.build --board icebreaker --plan --json {text}"


def test_ctrl_c_during_a_plan(tmp_path):
    """As a terminal does it: to the program and to the plan that it waits for."""
    arguments = ("--device", "cpu", "--board", "icebreaker", *REST, tmp_path / "s.db")
    process = subprocess.Popen(
        [sys.executable, "-m", "model.search", *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    try:
        end = time.monotonic() + 120
        while not planning(children):
            assert process.poll() is None, process.stderr.read()
            assert time.monotonic() < end, "no plan is asked for"
            time.sleep(0.01)
        os.killpg(process.pid, signal.SIGINT)
        said = process.communicate(timeout=60)
    finally:
        process.kill()
        process.communicate()
    assert (process.returncode, *said) == (130, "", "error: interrupted\n")


def planning(children: Path) -> bool:
    for child in children.read_text().split():
        try:
            if "hw.build" in Path(f"/proc/{child}/cmdline").read_text():
                return True
        except OSError:
            continue
    return False


def test_model_imports_no_hw():
    folder = Path(cycles.__file__).parent
    for file in (*folder.glob("*.py"), folder.parent / "search.py"):
        assert not re.search(r"^\s*(import|from) +hw\b", file.read_text(), re.M), file
