"""What the tables say, from records made up for the purpose."""

from dataclasses import replace
from pathlib import Path

import pytest

from model.common.statistics import Interval
from model.experiments import accuracy, distillation, pareto, per_layer, pruning, robustness
from model.experiments.accuracy import TABLE1, baseline_of, must_text
from model.experiments.distillation import DISTILLATION
from model.experiments.pareto import PARETO, against_dense, between
from model.experiments.pruning import PRUNING
from model.experiments.records import Records
from model.experiments.robustness import TABLE5
from model.experiments.scales import SCALES
from model.experiments.session import Session
from model.experiments.store import Store
from model.experiments.tables import by_seed, markdown, missing, origin, over_seeds, percent
from model.experiments.wins import drawn_layers
from model.measure.multiplications import PRINTED

CPU = SCALES["cpu"]
SMALL = CPU.settings[0]


def record(size=1, seed=0, test=90.0, validation=None, setting=SMALL, **more):
    facts = {
        "key": f"l{size}-s{seed}-{setting.label}-{sorted(more.items())}",
        "scale": "cpu",
        "setting": setting.label,
        "group_size": size,
        "training": f"resnet8-l{size}-s{seed}",
        "seed": seed,
        "epochs": 10,
        "hardware": "a CPU",
        "commit": "abc1234",
        "command": "python",
        "checkpoint": "0" * 64,
        "seconds": 1.0,
        "recipe": {"learning_rate": 0.02},
        "validation": test if validation is None else validation,
        "test": {"accuracy": test, "right": round(100 * test), "images": 10_000},
        "multiplications": 100 // size,
    }
    return facts | more


def session(tmp_path, *records, scale=CPU):
    found = Records(tmp_path / "records.jsonl")
    for one in records:
        found.append(one)
    store = Store(tmp_path / "trainings", Path("none"), device=None, commit="c", command="x")
    return Session(
        scale=scale,
        label=scale.name,
        folder=tmp_path,
        store=store,
        records=found,
        progress=None,
        seeds=scale.seeds,
        group_sizes=scale.group_sizes,
        groups=scale.groups,
        asked=None,
        command="x",
    )


def cells(text, first):
    """The cells of the table row that begins with this cell."""
    rows = [line.strip("| \n").split(" | ") for line in text.splitlines() if line.startswith("|")]
    found = [row for row in rows if row[0] == first]
    assert len(found) == 1, f"{len(found)} rows begin with {first}"
    return found[0]


def test_markdown():
    assert markdown(["a", "b"], [["1", "2"]]) == "| a | b |\n| --- | --- |\n| 1 | 2 |\n"
    with pytest.raises(ValueError, match="A row has 1 cells, not 2"):
        markdown(["a", "b"], [["1"]])


def test_origin_names_everything():
    two = [record(seed=3, epochs=5, commit="def5678"), record(seed=1)]
    assert origin(two) == [
        "1, 3",
        "10; 5",
        "a CPU",
        "abc1234; def5678",
        "[1](log:resnet8-l1-s1) [3](log:resnet8-l1-s3)",
    ]
    assert origin([]) == [""] * 5


def test_a_seed_counts_once():
    with pytest.raises(ValueError, match="Seed 0 has two records"):
        by_seed([record(), record()], lambda r: 1.0)
    assert percent(over_seeds([], lambda r: 1.0)) == "not run"
    assert percent(over_seeds([record()], accuracy.test_accuracy)) == "90.00 (n = 1)"


def test_missing_says_why():
    assert missing(SMALL, "group_size", 32) == "not run"
    reason = "not run (group size 64 does not divide 32 channels)"
    assert missing(SMALL, "group_size", 64) == reason


@pytest.mark.parametrize(
    "found, text",
    [
        (None, "Must: ℓ = 2 against ℓ = 1 was not run with a common seed.\n"),
        (
            Interval(0.1, 0.05, 3),
            "Must: **met**: the 95 % interval, +0.05 to +0.15 points (3 paired seeds, mean +0.10), "
            "is within the aim: ℓ = 2 is at most 0.3 points below ℓ = 1, or above it.\n",
        ),
        (
            Interval(-0.9, 0.2, 3),
            "Must: **missed**: the 95 % interval, -1.10 to -0.70 points (3 paired seeds, mean "
            "-0.90), is below the aim: ℓ = 2 is more than 0.3 points below ℓ = 1.\n",
        ),
        (
            Interval(-0.28, 0.2, 2),
            "Must: **undecided**: the 95 % interval, -0.48 to -0.08 points (2 paired seeds, mean "
            "-0.28), reaches across the aim of -0.3 points; the mean is within it.\n",
        ),
        (
            Interval(-0.5, 0.4, 3),
            "Must: **undecided**: the 95 % interval, -0.90 to -0.10 points (3 paired seeds, mean "
            "-0.50), reaches across the aim of -0.3 points; the mean is below it.\n",
        ),
        (Interval(-0.3, None, 1), "Must: one seed only, no interval: not decided: -0.30 points.\n"),
        (Interval(0.2, None, 1), "Must: one seed only, no interval: not decided: +0.20 points.\n"),
    ],
)  # fmt: skip
def test_must(found, text):
    assert must_text(found, "Must") == text


def test_must_at_the_edge_of_the_aim():
    assert "**met**" in must_text(Interval(-0.3, 0.0, 3), "Must")
    assert "**undecided**" in must_text(Interval(0.0, 0.31, 3), "Must")
    assert "**undecided**" in must_text(Interval(-0.6, 0.3, 3), "Must")  # its upper end is met


def test_baseline_needs_the_same_recipe():
    base = [record(seed=s, test=90.0 + s) for s in (0, 1, 2)]
    mine = [record(2, seed=s, test=89.5 + s) for s in (1, 2, 3)]
    found = baseline_of(mine, base, accuracy.test_accuracy)
    assert (found.mean, found.half, found.n) == (-0.5, 0.0, 2)
    mine[0]["recipe"] = {"learning_rate": 0.03}
    assert baseline_of(mine, base, accuracy.test_accuracy).n == 1
    mine[1]["recipe"] = mine[0]["recipe"]
    assert baseline_of(mine, base, accuracy.test_accuracy) is None


def test_table1(tmp_path):
    records = [
        record(size, seed, 90.0 - size / 10 + seed, validation=91.0 + (size == 2) * (seed - 0.5))
        for size in (1, 2)
        for seed in (0, 1, 2)
    ]
    text = TABLE1.tables(session(tmp_path, *records))
    two = cells(text, "2")
    assert two[1:5] == ["95.25", "3,125,248", "79.23", "861,601,792"]
    assert two[5] == "90.80 ± 2.48 (n = 3)" and two[6] == "-0.10 ± 0.00 (n = 3)"
    assert two[7] == "+0.50 ± 2.48 (n = 3)"
    assert two[10:14] == ["0, 1, 2", "10", "a CPU", "abc1234"]
    assert "| ours − ℓ = 1, points, paired | ours − ℓ = 1, validation |" in text
    assert cells(text, "1")[6:8] == ["", ""]
    assert cells(text, "4")[5] == "not run"
    assert cells(text, "64")[5].startswith("not run (group size 64")
    assert "**met**: the 95 % interval, -0.10 to -0.10 points (3 paired seeds, mean -0.10)" in text


def test_table1_at_full_scale_has_its_own_column_and_the_papers_counts(tmp_path):
    text = TABLE1.tables(session(tmp_path, scale=SCALES["full"]))
    first, second = text.split("## ")[1:3]
    for part, name in ((first, "resnet18"), (second, "resnet50")):
        for size, count in PRINTED[name].items():
            row = cells(part, str(size))
            assert row[2] == f"{count:,}" and row[3] == "not run"
        assert part.count("not run") == 8  # seven rows, and the verdict
    assert "ResNet-50" not in first.splitlines()[2]


def test_records_of_another_setting_are_not_mixed_in(tmp_path):
    other = replace(SMALL, epochs=20)
    text = TABLE1.tables(session(tmp_path, record(), record(setting=other, test=10.0, seed=9)))
    assert cells(text, "1")[5] == "90.00 (n = 1)"


def test_table5(tmp_path):
    noise = {"clean": 90.0, "gaussian": 50.0, "shot": 60.0, "impulse": 40.0}
    text = TABLE5.tables(session(tmp_path, record(4, noise=noise)))
    assert cells(text, "4")[1:9] == [
        "94.65", "90.00 (n = 1)", "49.98", "50.00 (n = 1)", "61.99", "60.00 (n = 1)",
        "52.33", "40.00 (n = 1)",
    ]  # fmt: skip
    assert cells(text, "1")[1:3] == ["95.21", "not run"]
    assert robustness.COLUMNS == tuple(noise)


def test_between_is_straight_in_the_logarithm():
    points = [(100, 80.0), (10_000, 90.0), (1, 10.0)]
    assert between(points, 1000) == pytest.approx(85.0)
    assert between(points, 100) == 80.0 and between(points, 10) == pytest.approx(45.0)
    assert between(points, 20_000) is None and between([(100, 80.0)], 100) is None


def points(gains, bits=None):
    """Dense networks of 100 and 10,000 multiplications, and a DHAM of 1,000 between them."""
    for seed, gain in enumerate(gains):
        for width, count, level in ((16, 100, 80.0 + seed), (64, 10_000, 90.0 + seed)):
            more = {"width": width, "bits": bits, "multiplications": count}
            yield record(1, seed, level, **more)
        more = {"width": 48, "bits": bits, "multiplications": 1000}
        yield record(2, seed, 85.0 + seed + gain, **more)


@pytest.mark.parametrize(
    "gains, answer",
    [
        ((1.0, 1.1, 0.9), "**yes**"),
        ((-1.0, -1.1, -0.9), "**no**"),
        ((1.0, -1.0, 0.2), "**undecided**."),
        ((1.0,), "**undecided**, one seed only"),
    ],
)
def test_pareto_answers(tmp_path, gains, answer):
    records = list(points(gains))
    found = against_dense(records, [r for r in records if r["group_size"] == 2])
    assert found.mean == pytest.approx(sum(gains) / len(gains)) and found.n == len(gains)
    text = PARETO.tables(session(tmp_path, *records))
    question = "at equal multiplications a wider DHAM is better than a dense network"
    assert f"floating point: {question}: {answer}" in text
    assert "4 bits: not answered" in text
    assert "not run" in text


def test_pareto_front_is_chosen_by_validation():
    one = record(1, validation=80.0, test=99.0, width=16, bits=None, multiplications=200)
    two = record(2, validation=85.0, test=70.0, width=16, bits=None, multiplications=100)
    found = pareto.by_place([one, two])
    assert pareto.front(found, None) == {(16, 2, None)}


def test_pruning_says_how_much_can_go(tmp_path):
    levels = {
        "wins": (90, 89.5, 89.2, 50),
        "magnitude": (90, 80, 90, 90),
        "random": (90, 90, 90, 90),
    }
    rows = [
        {
            "criterion": criterion,
            "share": share,
            "accuracy": level,
            "multiplications": 100 - 50 * share,
        }
        for criterion, row in levels.items()
        for share, level in zip((0.0, 0.1, 0.2, 0.3), row, strict=True)
    ]  # fmt: skip
    text = PRUNING.tables(session(tmp_path, record(2, pruned=rows)))
    assert "at most one point is lost: wins 0.2, magnitude 0, random 0.3." in text
    assert "| 2 | 0.2 | 89.20 (n = 1) | 90.00 (n = 1) | 90.00 (n = 1) | 0.900 |" in text
    assert set(levels) == set(pruning.CRITERIA)


def test_distillation_compares_the_same_seeds(tmp_path):
    records = [
        record(2, s, 88.0 + s + taught, taught=taught) for s in (0, 1) for taught in (False, True)
    ]
    row = cells(DISTILLATION.tables(session(tmp_path, *records)), "2")
    assert row[1:4] == ["88.50 ± 6.35 (n = 2)", "89.50 ± 6.35 (n = 2)", "+1.00 ± 0.00 (n = 2)"]
    assert distillation.split(records, 2)[1] == [records[1], records[3]]


def test_per_layer_shows_what_the_search_chose(tmp_path):
    found = record(
        2, kind="search", best=[1, 2, 2, 4, 4, 4, 1], trials=[{}], trial_epochs=3, seconds=9
    )
    found["key"] = per_layer.search_key(SMALL, 2)
    both = [record(2, test=88.0, kind="uniform"), record(2, test=88.5, kind="searched")]
    text = per_layer.PER_LAYER.tables(session(tmp_path, found, *both))
    assert "| 2 | search: 1 2 2 4 4 4 1 | 50 | 88.50 (n = 1) | +0.50 (n = 1) |" in text
    assert "| 4 | 4 in all layers |  | not run |" in text


def test_drawn_layers():
    names = list("abcdefg")
    assert drawn_layers(names, 1) == ["g"]
    assert drawn_layers(names, 2) == ["a", "g"]
    assert drawn_layers(names, 3) == ["a", "d", "g"]
    assert drawn_layers(["a"], 3) == ["a"]
