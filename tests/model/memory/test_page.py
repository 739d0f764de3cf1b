"""The numbers of docs/memory.md are those of the published records."""

import json
from pathlib import Path

import pytest

from model.memory import experiment, theory
from model.memory.patterns import Parts

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs" / "memory.md").read_text()
PUBLISHED = ROOT / "docs" / "results" / "memory-cpu"
PROBES = {"whole": "whole", "half erased": "4 erased", "2 parts wrong": "2 wrong"}


@pytest.fixture(scope="module")
def records():
    return [json.loads(line) for line in (PUBLISHED / "records.jsonl").read_text().splitlines()]


def rows(text, heading):
    """Rows of the first table below a line of the text, as cells."""
    lines = text[text.index(heading) :].splitlines()
    first = next(number for number, line in enumerate(lines) if line.startswith("|"))
    found = []
    for line in lines[first:]:
        if not line.startswith("|"):
            break
        found.append([cell.strip(" *") for cell in line.strip("|").split("|")])
    return found


def test_records_make_the_published_tables(records):
    text = experiment.tables(records).replace("# ", "## ", 1).strip()
    assert text in (PUBLISHED / "table.md").read_text()


def test_errors(records):
    measured = {
        (pairs, probe): rest
        for pairs, _, _, probe, *rest in rows(
            experiment.tables(records), "## Retrieval error, 8x32 to 8x32"
        )
    }
    head, _, *found = rows(PAGE, "8 × 32 to 8 × 32, wrong parts in percent")
    assert head == ["pairs", "density", "probe", "measured", "exact", "independent weights"]
    assert len(found) == 6
    for pairs, density, probe, *cells in found:
        assert cells == measured[pairs, PROBES[probe]][:3]
        expected = theory.density(Parts(8, 32), Parts(8, 32), int(pairs))
        assert density == f"{100 * expected:.0f} %"


def test_capacities(records):
    text = experiment.tables(records)
    capacities, growth = rows(text, "## Capacity"), rows(text, "## How capacity grows")
    exponents = {name: b for name, b, *_ in growth}
    head, line, *found = rows(PAGE, "## Capacity")
    assert head[2:-1] == [name.removeprefix("n = ") for name in capacities[0][2:]]
    assert [row[:-1] for row in found] == capacities[2:]
    assert [row[-1] for row in found[:-1]] == [f"n^{exponents[row[0]]}" for row in found[:-1]]


def test_sentences(records):
    text = " ".join(PAGE.split())
    seeds = {r["seed"] for r in records if "seed" in r}
    assert f"measured over {len(seeds)} seeds of 4,000 probes" in text and seeds == {0, 1, 2}
    assert {r["probes"] for r in records if r["kind"] == "error"} == {4000}
    hopfield, *sparse = rows(experiment.tables(records), "## How capacity grows")[2:]
    assert f"Hopfield follows n / log n (misfit {hopfield[2]})" in text
    columns = [sorted(row[column] for row in sparse) for column in (3, 4)]
    lower, higher = (f"{low} to {high}" for low, *_, high in columns)
    assert f"the sparse memories n² / log n ({higher})" in text
    assert f"n² / log² n alone misfits by {lower}" in text
    expected = {r["neurons"]: r for r in records if r["kind"] == "theory"}
    least, most = (
        theory.density(parts, parts, one["capacity"])
        for one in (expected[66], expected[2046])
        if (parts := Parts(one["active"], one["neurons"] // one["active"]))
    )
    assert f"from {least:.2f} at n = 66 to {most:.2f} at 2046" in text
