"""The experiment: records that resume, tables and plots that show them."""

import json
import time

import numpy as np
import pytest

from model.memory import experiment, report
from model.memory.patterns import Parts


@pytest.fixture(scope="module")
def quick():
    """(records of a quick run, its texts, seconds of processor time)."""
    texts = []
    started = time.process_time()
    records = list(experiment.run(True, (0, 1), texts.append))
    return records, texts, time.process_time() - started


def test_records(quick):
    records, texts, seconds = quick
    assert seconds < 20
    assert json.loads(json.dumps(records)) == records
    assert [record["key"] for record in records] == experiment.keys(True, (0, 1))
    assert len({record["key"] for record in records}) == len(records) == len(texts)
    assert all(record["quick"] for record in records)
    kinds = {kind: [r for r in records if r["kind"] == kind] for kind in ("error", "capacity")}
    for record in kinds["error"]:
        assert record["density"] == pytest.approx(record["density_theory"], abs=0.02)
        assert record["part_error"] == pytest.approx(record["part_exact"], abs=0.05)
    assert {record["memory"] for record in kinds["capacity"]} == set(report.MEMORIES)
    capacities = {
        (record["memory"], record["neurons"]): record["capacity"] for record in kinds["capacity"]
    }
    assert capacities["hopfield", 256] < capacities["amari", 256] < capacities["willshaw", 256]
    assert capacities["willshaw", 256] < capacities["gripon-berrou", 256]


def test_theory_foretells_capacity(quick):
    records = quick[0]
    expected = {r["neurons"]: r["capacity"] for r in records if r["kind"] == "theory"}
    for record in records:
        if record["kind"] == "capacity" and record["memory"] == "sparse-hetero":
            assert record["capacity"] == pytest.approx(expected[record["neurons"]], rel=0.35)


def test_resumed(quick):
    """What is done is not done again; the rest is the same."""
    records, texts = quick[0], []
    done = {record["key"] for record in records[:-3]}
    rest = list(experiment.run(True, (0, 1), texts.append, done=done))
    assert rest == records[-3:] and len(texts) == 3


def test_full_run_has_other_keys():
    """Records of a quick run are never taken for those of a full one; sizes are n = c·ℓ."""
    full = experiment.keys(False, (0,))
    assert not {key for key in experiment.keys(True, (0,)) if "theory" not in key} & set(full)
    assert experiment.SIZES == ((66, 6), (126, 7), (256, 8), (513, 9), (1020, 10), (2046, 11))
    assert all(abs(np.log2(n) - c) < 0.05 for n, c in experiment.SIZES)
    assert len(full) == len(set(full)) == 2 * 10 * 5 + 6 * (5 + 1)


def test_tables(quick):
    text = experiment.tables(quick[0])
    assert "Quick run" in text and "## Retrieval error, 8x32 to 8x32" in text
    assert "| memory | n = 66 | n = 126 | n = 256 |" in text
    chosen = [r for r in quick[0] if r["kind"] == "error" and r["erased"] == 4]
    first = [r for r in chosen if r["pairs"] == chosen[0]["pairs"]]
    start = f"| {first[0]['pairs']} |"
    rows = [line.split("|") for line in text.splitlines() if line.startswith(start)]
    (row,) = [row for row in rows if row[4].strip() == "4 erased"]
    mean, half = report.interval([r["part_error"] for r in first])
    assert row[5].strip() == f"{100 * mean:.3g} ± {100 * half:.2g}"
    assert row[6].strip() == f"{100 * first[0]['part_exact']:.3g}"
    for kind in report.MEMORIES.values():
        assert text.count(f"| {kind.title} |") == 2  # capacity, growth


def test_figures(quick, tmp_path):
    figures = experiment.figures(quick[0])
    assert set(figures) == {"error-8x32-8x32", "capacity"}
    for name, figure in figures.items():
        figure.savefig(tmp_path / f"{name}.png")
        assert (tmp_path / f"{name}.png").stat().st_size > 10_000
    (axes,) = figures["capacity"].axes
    assert {text.get_text() for text in axes.texts} == set(report.LAWS)
    labels = axes.get_legend_handles_labels()[1]
    assert {kind.title for kind in report.MEMORIES.values()} < set(labels)


def test_unfinished_runs(quick):
    """Tables and plots of any part of the records."""
    assert "No records." in experiment.tables([]) and experiment.figures([]) == {}
    for part in (quick[0][:1], quick[0][-1:], quick[0][-2:-1]):
        assert part[0]["kind"] in ("error", "theory", "capacity")
        assert len(experiment.tables(part)) > 20
        experiment.figures(part)


def test_interval():
    mean, half = report.interval([1.0, 2.0, 3.0])
    assert mean == 2 and half == pytest.approx(4.303 / 3**0.5, rel=1e-3)
    assert np.isnan(report.interval([5])[1])
    assert report.interval([0, 1] * 40)[1] == pytest.approx(2.042 * 0.50315 / 80**0.5, rel=1e-3)


def test_growth_finds_the_law():
    n = np.array([50, 100, 500, 2000])
    for text, law in report.LAWS.items():
        exponent, misfit = report.growth(n, 0.3 * law(n))
        assert misfit[text] < 1e-12
        assert all(misfit[other] > 0.05 for other in report.LAWS if other != text)
    assert report.growth(n, 2 * n**1.5)[0] == pytest.approx(1.5)


def test_shapes_in_keys():
    case = experiment.Case(
        source=Parts(2, 3), target=Parts(4, 5), pairs=6, erased=1, wrong=0, probes=7, seed=8
    )
    assert case.key == "error/2x3-4x5/m6/e1w0/p7/seed8"
