"""Search of ℓ: the budget, the warm start, resuming; no trial lost or run twice, SIGKILL or not."""

import math
import os
import random
import signal
import sqlite3
import subprocess
import sys
import time

import optuna
import pytest
import torch

from model.common.errors import UserError
from model.data.cifar import Images
from model.dham.shapes import shape_of
from model.searching.search import multiplications_of, results, search
from model.searching.space import Costs, DoesNotFit, Space
from model.searching.study import ATTEMPTS, NAME, STARTUP
from model.training.recipe import Recipe

RECIPE = Recipe(epochs=1, batch=16, soft=1.0, quantise=1.0, freeze=1.0)
NOTHING = Images(torch.zeros(1, 32, 32, 3, dtype=torch.uint8), torch.zeros(1, dtype=torch.int64))
BUDGET = 1_200_000  # of a ResNet-8 of width 8: ℓ = 4 in all layers fits, ℓ = 2 does not


def run(study, trials, score=None, **options):
    given = {"budget": BUDGET, "width": 8, "sizes": (1, 2, 4), **options}
    return search(
        "resnet8",
        trials=trials,
        study=study,
        training=NOTHING,
        validation=NOTHING,
        recipe=RECIPE,
        score=score or (lambda shape: 100 - sum(shape.group_sizes)),
        **given,
    )


def shape(*group_sizes):
    return shape_of("resnet8", width=8, group_sizes=group_sizes)


def test_budget_is_kept_and_the_uniform_one_comes_first(tmp_path):
    assert multiplications_of(shape(4)) <= BUDGET < multiplications_of(shape(2))
    trained = []

    def score(candidate):
        trained.append(tuple(candidate.group_sizes))
        return 100 - sum(candidate.group_sizes)

    told = []
    rows = run(tmp_path / "s.db", 13, score, report=told.append)  # past the random ones
    assert rows == told == results(tmp_path / "s.db")
    assert [row["slot"] for row in rows] == list(range(13))
    assert rows[0]["group_sizes"] == [4] * 7 and rows[0]["uniform"]
    assert [tuple(row["group_sizes"]) for row in rows] == trained
    assert len(set(trained)) == 13  # none twice
    assert len({size for sizes in trained for size in sizes}) == 3
    for row in rows:
        assert row["state"] == "complete" and row["attempts"] == 1 and row["error"] is None
        assert row["cost"] == multiplications_of(shape(*row["group_sizes"])) <= BUDGET
        assert row["accuracy"] == 100 - sum(row["group_sizes"])
        assert row["uniform"] == (len(set(row["group_sizes"])) == 1)


def test_goes_on_where_it_was(tmp_path):
    first = run(tmp_path / "s.db", 2)
    assert run(tmp_path / "s.db", 2, lambda shape: pytest.fail("nothing is left to train")) == first
    more = run(tmp_path / "s.db", 4)
    assert more[:2] == first and len(more) == 4
    # A single worker that is not interrupted proposes the same from the same seed.
    assert [row["group_sizes"] for row in run(tmp_path / "t.db", 2)] == [
        row["group_sizes"] for row in first
    ]
    other = run(tmp_path / "u.db", 2, seed=1)
    assert other[1]["group_sizes"] != first[1]["group_sizes"]


def test_cost_by_any_function(tmp_path):
    """Cycles of some hardware, for example: here, the sum of all groups."""

    def groups(candidate):
        return sum(c.channels // c.group_size for c in candidate.convolutions())

    rows = run(tmp_path / "s.db", 4, cost=groups, unit="groups", budget=60)
    assert all(row["cost"] == groups(shape(*row["group_sizes"])) <= 60 for row in rows)
    assert rows[0]["group_sizes"] == [2] * 7  # 120 maps in 60 groups
    with pytest.raises(UserError, match="another configuration: its unit is groups, not mult"):
        run(tmp_path / "s.db", 5, budget=60, cost=lambda shape: 1)


def too_small(candidate):
    """A cost of hardware that has no ℓ = 8, and too little memory for two layers of ℓ = 1."""
    if max(candidate.group_sizes) > 4:
        raise DoesNotFit("Group size: at most 4")
    if candidate.group_sizes.count(1) > 1:
        raise DoesNotFit("Memory: two layers of ℓ = 1")
    return multiplications_of(candidate)


def test_what_does_not_fit_is_recorded_and_not_trained(tmp_path):
    asked, trained = [], []

    def cost(candidate):
        asked.append(candidate.group_sizes)
        return too_small(candidate)

    def score(candidate):
        trained.append(candidate.group_sizes)
        return 100 - sum(candidate.group_sizes)  # the best ones do not fit

    study, budget = tmp_path / "s.db", 1e9
    rows = run(study, STARTUP + 6, score, cost=cost, budget=budget, sizes=(1, 2, 4, 8))
    assert [row["state"] for row in rows] == ["complete"] * len(rows) and len(trained) == len(rows)
    assert rows[0]["group_sizes"] == [2] * 7
    assert max(max(sizes) for sizes in trained) == 4
    assert max(sizes.count(1) for sizes in trained) == 1
    assert len(asked) == len(set(asked))  # each once
    trials = optuna.load_study(study_name=NAME, storage=f"sqlite:///{study}").get_trials()
    unfit = [trial for trial in trials if "reason" in trial.user_attrs]
    assert unfit  # proposed by the sampler
    for trial in unfit:
        assert trial.state.name == "PRUNED" and trial.user_attrs["cost"] is None
        assert trial.user_attrs["reason"] == "Memory: two layers of ℓ = 1"
        assert trial.constraints["budget"] > 0
    with sqlite3.connect(study) as file:
        tables = "trial_user_attributes", "trial_system_attributes"
        texts = [row[0] for t in tables for row in file.execute(f"SELECT value_json FROM {t}")]
    assert texts and not any("Infinity" in text or "NaN" in text for text in texts)


def test_nothing_fits(tmp_path):
    def cost(candidate):
        size = candidate.group_sizes[0]
        raise DoesNotFit("No such group" if size > 4 else f"{900 // size} words are too many")

    with pytest.raises(UserError) as caught:
        run(tmp_path / "s.db", 2, cost=cost, sizes=(1, 2, 4, 8))
    assert str(caught.value) == (
        "No network fits: No such group (ℓ = 8); 225 words are too many (ℓ = 4)"
    )
    with pytest.raises(UserError, match=r"No network fits: its cost is infinite \(ℓ = 4\)"):
        run(tmp_path / "s.db", 2, cost=lambda shape: math.inf)
    assert not (tmp_path / "s.db").exists()


def test_random_networks_are_within_the_budget_and_differ():
    costs = Costs(too_small)
    space = Space.of("resnet8", width=8, sizes=(1, 2, 4, 8), classes=10).possible(costs)
    assert space.choices == ((1, 2, 4),) * 7 and space.cheapest == [4] * 7
    draw, budget = random.Random(1), multiplications_of(shape(2))
    found = {tuple(space.random(draw, costs, budget)) for _ in range(50)}
    assert len(found) > 40 and max(map(max, found)) == 4
    assert all(costs(space.shape(sizes)) <= budget for sizes in found)
    for layer in range(7):  # each is sometimes as small as can be
        assert min(sizes[layer] for sizes in found) == 1
    assert space.random(draw, costs, costs(space.shape([4] * 7))) == [4] * 7


def test_a_budget_that_leaves_one_network(tmp_path, monkeypatch):
    """Further trials find nothing new, and say so."""
    monkeypatch.setattr("model.searching.study.DRAWS", 2)
    least = multiplications_of(shape(4))
    rows = run(tmp_path / "s.db", 2, budget=least)
    assert [row["state"] for row in rows] == ["complete", "exhausted"]
    assert rows[1]["group_sizes"] is None and rows[1]["accuracy"] is None


@pytest.mark.parametrize(
    "options, text",
    [
        ({"budget": 1000}, r"Budget 1,000 is below the least, [\d,]+ mult\w+, of ℓ = 4 4 4"),
        ({"budget": float("nan")}, "Budget nan is below"),
        ({"sizes": ()}, r"Group sizes must be positive integers, not \[\]"),
        ({"sizes": (0, 2)}, r"Group sizes must be positive integers, not \[0, 2\]"),
        ({"sizes": (3,)}, "No ℓ of 3 divides the 8 feature maps of stem"),
        ({"trials": 0}, "Trials must be a positive integer, not 0"),
        ({"width": 0}, "Width must be a positive integer, not 0"),
    ],
)
def test_wrong_arguments(tmp_path, options, text):
    with pytest.raises(UserError, match=text):
        run(tmp_path / "s.db", **{"trials": 2, **options})
    assert not (tmp_path / "s.db").exists()


def test_wrong_studies(tmp_path):
    (tmp_path / "text.db").write_text("this is no database, and long enough to be read as one " * 9)
    with pytest.raises(UserError, match="text.db is no study of this program: .*not a database"):
        run(tmp_path / "text.db", 2)
    with pytest.raises(UserError, match=f"No folder {tmp_path}/none to write the study"):
        run(tmp_path / "none" / "s.db", 2)
    with pytest.raises(UserError, match="No study"):
        results(tmp_path / "none.db")
    run(tmp_path / "s.db", 1)
    for options, text in (
        ({"budget": BUDGET + 1}, "its budget is 1200000.0, not 1200001.0"),
        ({"sizes": (1, 2, 4, 8)}, r"its sizes is \[1, 2, 4\], not \[1, 2, 4, 8\]"),
        ({"seed": 3}, "its seed is 0, not 3"),
        ({"width": 16, "budget": 5e6}, "its width is 8, not 16"),
    ):
        with pytest.raises(UserError, match=f"study of another configuration: {text}"):
            run(tmp_path / "s.db", 2, **options)


def test_layers_with_one_choice():
    space = Space.of("resnet8", width=4, sizes=(4, 8), classes=10)
    assert space.choices[0] == (4,) and space.choices[-1] == (4, 8)
    assert "stem" not in space.places([4, 4, 4, 8, 8, 8, 8])


# --- failures -------------------------------------------------------------------------------------


def test_an_interrupted_trial_is_run_again(tmp_path):
    """With the same ℓ, and as often as it takes: whoever interrupts does not blame the trial."""
    seen = []

    def interrupted(candidate):
        seen.append(candidate.group_sizes)
        if len(seen) in (2, 3, 4, 5, 6):
            raise KeyboardInterrupt
        return 50.0

    for _ in range(5):
        with pytest.raises(KeyboardInterrupt):
            run(tmp_path / "s.db", 3, interrupted)
    rows = run(tmp_path / "s.db", 3, interrupted)
    assert [row["state"] for row in rows] == ["complete"] * 3
    assert seen[1:7] == [seen[1]] * 6 and rows[1]["attempts"] == 6
    assert rows[1]["group_sizes"] == list(seen[1])


@pytest.mark.parametrize("failure", [KeyboardInterrupt, UserError("The plan failed")])
def test_an_interrupted_cost_does_not_blame_its_trial(tmp_path, failure):
    known = set()

    def cost(candidate):
        if known and candidate.group_sizes not in known:
            raise failure
        return multiplications_of(candidate)

    study = tmp_path / "s.db"
    run(study, STARTUP)
    for sizes in (4, 2, 1):  # what is asked before a proposal of the sampler
        known.add((sizes,) * 7)
    for _ in range(ATTEMPTS + 1):
        with pytest.raises(type(failure) if isinstance(failure, Exception) else failure):
            run(study, STARTUP + 1, cost=cost)
    rows = run(study, STARTUP + 1)
    assert [row["state"] for row in rows] == ["complete"] * (STARTUP + 1)
    trials = optuna.load_study(study_name=NAME, storage=f"sqlite:///{study}").get_trials()
    failed = [trial.params for trial in trials if trial.state.name == "FAIL"]
    assert len(failed) == ATTEMPTS + 1 and all(params == failed[0] for params in failed)


def test_a_defect_is_not_hidden(tmp_path):
    def defect(candidate):
        raise ZeroDivisionError

    for _ in range(ATTEMPTS):
        with pytest.raises(ZeroDivisionError):
            run(tmp_path / "s.db", 1, defect)
    (row,) = run(tmp_path / "s.db", 1, defect)
    assert (row["state"], row["attempts"], row["accuracy"]) == ("lost", ATTEMPTS, None)


def test_a_loss_that_is_no_number_ends_its_trial_alone(tmp_path):
    calls = []

    def diverges(candidate):
        calls.append(1)
        if len(calls) == 2:
            raise UserError("Loss is not a number")
        return float("nan") if len(calls) == 3 else 40.0

    rows = run(tmp_path / "s.db", 4, diverges)
    assert [row["state"] for row in rows] == ["complete", "failed", "failed", "complete"]
    assert [row["error"] for row in rows] == [
        None, "Loss is not a number", "Accuracy is nan", None
    ]  # fmt: skip
    assert len(calls) == 4 and run(tmp_path / "s.db", 4, diverges) == rows


# --- several processes ----------------------------------------------------------------------------

WORKER = """
import os, sys, time
from pathlib import Path
from tests.model.searching.test_search import run
folder, trials = Path(sys.argv[1]), int(sys.argv[2])

def score(shape):
    name = "-".join(map(str, shape.group_sizes))
    attempt = f"{name}.{os.getpid()}.{time.time_ns()}"
    (folder / f"{attempt}.begun").touch()
    while (folder / "hold").exists():
        time.sleep(0.02)
    time.sleep(0.05)
    (folder / f"{attempt}.done").touch()
    return 100 - sum(shape.group_sizes)

run(folder / "s.db", trials, score)
"""


def worker(folder, trials):
    return subprocess.Popen(
        [sys.executable, "-W", "error", "-c", WORKER, str(folder), str(trials)],
        env={**os.environ, "PYTHONPATH": os.getcwd(), "OMP_NUM_THREADS": "1"},
        stderr=subprocess.PIPE,
        text=True,
    )


def wait_for(condition, workers, seconds=120):
    end = time.monotonic() + seconds
    while not condition():
        for one in workers:
            assert one.poll() is None, one.stderr.read()
        assert time.monotonic() < end, "a worker does not come to what is waited for"
        time.sleep(0.02)


def test_no_trial_is_lost_or_run_twice(tmp_path):
    """Two workers are held in mid-trial. One is killed, the other only stopped; a third comes.

    It takes over the killed one's trial, does the rest, and waits for the stopped one.
    """

    def begun():
        return sorted(path.name.split(".")[:2] for path in tmp_path.glob("*.begun"))

    def done():
        return sorted(path.name.split(".")[0] for path in tmp_path.glob("*.done"))

    (tmp_path / "hold").touch()
    victim, sleeper = workers = [worker(tmp_path, 5), worker(tmp_path, 5)]
    try:
        wait_for(lambda: len(begun()) == 2, workers)
        assert {process for _, process in begun()} == {str(one.pid) for one in workers}
        (lost,) = (name for name, process in begun() if process == str(victim.pid))
        victim.send_signal(signal.SIGKILL)
        assert victim.wait(60) == -signal.SIGKILL
        sleeper.send_signal(signal.SIGSTOP)
        (tmp_path / "hold").unlink()
        workers.append(worker(tmp_path, 5))
        wait_for(lambda: len(done()) == 4, workers[1:])
        assert lost in done() and len(begun()) == 6
        time.sleep(0.5)
        assert workers[2].poll() is None  # it waits for the sleeper, and leaves its trial alone
        sleeper.send_signal(signal.SIGCONT)
        for one in workers[1:]:
            assert one.wait(120) == 0, one.stderr.read()
    finally:
        for one in workers:
            one.kill()
            one.communicate()
    rows = results(tmp_path / "s.db")
    assert [row["state"] for row in rows] == ["complete"] * 5
    names = sorted("-".join(map(str, row["group_sizes"])) for row in rows)
    assert len(set(names)) == 5 and done() == names  # each came to its end exactly once
    assert sorted(name for name, _ in begun()) == sorted([*names, lost])
    assert sorted(row["attempts"] for row in rows) == [1, 1, 1, 1, 2]
