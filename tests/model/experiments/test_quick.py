"""Every experiment from end to end at the quick scale, in one output folder."""

import io
import json
import os
import re
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from contextlib import redirect_stdout
from functools import cache
from pathlib import Path

import pytest
from PIL import Image

from model.data import cifar
from model.experiments import store
from model.experiments.__main__ import EXPERIMENTS, main
from model.training.trainer import Trainer
from tests.model.experiments import conftest

ROOT = Path(__file__).parents[3]

PAPERS = {
    "table1": ("95.25", "3,125,248", "79.23", "861,601,792"),
    "table2": ("70.69", "26.34"),
    "table3": ("94.56", "74.19"),
    "table4": ("83.78", "85.44"),
    "table5": ("47.59", "60.21", "53.45"),
}
EXPECTED = {  # records: seeds times what is measured
    "table1": 2 * 2,
    "table2": 2 * 2,
    "table3": 2 * 2,
    "table4": 2 * 2,
    "table5": 2 * 2,
    "figures": 2,
    "pareto": 2 * 2 * 2 * 2,
    "pruning": 2 * 2,
    "per-layer": 1 + 2 * 2,
    "distillation": 2 * 2 * 2,
}


@pytest.fixture(scope="module")
def output(tmp_path_factory):
    return tmp_path_factory.mktemp("output")


@pytest.fixture(scope="module")
def done(data, output):
    """Name of an experiment to what it printed; it is run once, for the first test that asks."""

    @cache
    def once(name):
        printed = io.StringIO()
        with redirect_stdout(printed):
            assert run(name, data, output) == 0
        return printed.getvalue()

    return once


def run(name, data, output, *more):
    folders = ["--data", str(data), "--output", str(output)]
    return main([name, "--quick", *folders, "--device", "cpu", *more])


def read(folder):
    return [json.loads(line) for line in (folder / "records.jsonl").read_text().splitlines()]


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_quick(name, done, data, output, monkeypatch):
    assert "QUICK RUN" in done(name)
    folder = output / f"{name}-quick"

    records = read(folder)
    assert len({record["key"] for record in records}) == len(records)
    if name in EXPECTED:
        assert len(records) == EXPECTED[name]
    assert all(record["scale"] == "quick" for record in records)
    for record in records:
        assert record["commit"] and record["hardware"]
        if "training" in record:
            assert record["epochs"] == 1 and "seed" in record

    text = (folder / "table.md").read_text()
    assert "**QUICK RUN" in text and all(number in text for number in PAPERS.get(name, ()))
    links = re.findall(r"\]\(([^)]+\.jsonl)\)", text)
    assert bool(links) == (name != "memory")
    assert all((folder / link).resolve().is_file() for link in links)
    trained = {record["training"] for record in records if "training" in record}
    assert trained <= {Path(link).stem for link in links}

    assert (("images" in text.split("**")[1]) is False) == (name == "memory")  # the scale's note
    plots = re.findall(r"!\[[^]]*\]\(([^)]+)\.svg\)", text)
    assert plots
    page = (folder / "report.html").read_text()
    assert page.count("data:image/svg+xml;base64,") == len(plots)
    assert "QUICK RUN" in page and "<table>" in page and 'src="http' not in page
    for plot in plots:
        ElementTree.parse(folder / f"{plot}.svg")
        assert "QUICK RUN" in (folder / f"{plot}.svg").read_text()
        with Image.open(folder / f"{plot}.png") as image:
            image.verify()
    assert not list(output.rglob("*.tmp"))

    # Again: nothing is trained, measured or recorded, and the report is the same, byte for byte.
    def never(*_, **__):
        raise AssertionError("done a second time")

    before = {path: path.read_bytes() for path in folder.iterdir()}
    monkeypatch.setattr(Trainer, "train_epoch", never)
    monkeypatch.setattr(store.Store, "finish", never)
    assert run(name, data, output) == 0
    assert {path: path.read_bytes() for path in folder.iterdir()} == before


def test_test_accuracies_agree_between_experiments(done, output):
    """A training is one, whoever asks for it."""
    found = {}
    for name in ("table1", "table3", "pareto", "distillation", "table5", "pruning"):
        done(name)
    for name in ("table1", "table3", "pareto", "distillation"):
        for record in read(output / f"{name}-quick"):
            assert found.setdefault(record["training"], record["test"]) == record["test"]
    clean = {r["training"]: r["noise"]["clean"] for r in read(output / "table5-quick")}
    assert clean == {name: found[name]["accuracy"] for name in clean}
    unpruned = {r["training"]: r["pruned"][0]["accuracy"] for r in read(output / "pruning-quick")}
    assert unpruned == {name: found[name]["accuracy"] for name in unpruned}


def test_published(done, data, output, tmp_path, capsys):
    done("table1")
    assert run("table1", data, output, "--report", "--publish", str(tmp_path)) == 0
    folder = tmp_path / "table1-quick"
    text = (folder / "table.md").read_text()
    links = re.findall(r"\]\(([^)]+\.jsonl)\)", text)
    assert len(links) == 4 and all(link.startswith("logs/") for link in links)
    assert all((folder / link).is_file() for link in links)
    original = output / "table1-quick"
    assert (folder / "records.jsonl").read_bytes() == (original / "records.jsonl").read_bytes()
    assert (folder / "accuracy.svg").read_bytes() == (original / "accuracy.svg").read_bytes()
    assert str(tmp_path) in capsys.readouterr().out
    assert str(output) not in text and str(data) not in text


@pytest.mark.slow
def test_quick_as_it_is_shipped(tmp_path):
    """Nothing made smaller: the program as a user starts it, on files of CIFAR-10's size."""
    folder = tmp_path / "data" / "cifar-10-batches-bin"
    folder.mkdir(parents=True)
    first, *others = (*cifar.TRAINING_FILES, *cifar.TEST_FILES)
    thousand = conftest.records(1_000, 10, 1, seed=0)
    (folder / first).write_bytes(10 * thousand.tobytes())
    for name in others:
        os.link(folder / first, folder / name)
    words = ["table1", "--quick", "--data", folder, "--output", tmp_path / "out"]
    found = subprocess.run(
        [sys.executable, "-m", "model.experiments", *map(str, words), "--device", "cpu"],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert found.returncode == 0, found.stderr
    assert found.stdout.startswith("4 records; ") and "QUICK RUN" in found.stdout
    text = (tmp_path / "out" / "table1-quick" / "table.md").read_text()
    assert (
        "**QUICK RUN" in text and "## ResNet-8, width 16, CIFAR-10, recipe float, 2 epochs" in text
    )
    record = read(tmp_path / "out" / "table1-quick")[0]
    assert record["training"] == "resnet8-w16-l1-e2-b64-n2048-s0"
    assert (record["epochs"], record["test"]["images"]) == (2, 500)
    assert record["test"]["accuracy"] > 50  # chance is 10 %
