"""The program that searches ℓ: what it prints, and bad input."""

import json
import re

import numpy as np
import pytest

from model.data import cifar
from model.data.cifar import Images
from model.search import main
from model.searching.search import results
from model.training.recipe import RECIPES, Recipe
from tests.model.programs import refusal

RECIPE = Recipe(epochs=1, batch=16, soft=1.0, quantise=1.0, freeze=1.0)


@pytest.fixture
def data(tmp_path, monkeypatch):
    """A folder with CIFAR-10's training files, of 1,020 images each: 100 are left to train on."""
    monkeypatch.setattr(cifar, "RECORDS", 1020)
    rng = np.random.default_rng(1)
    (tmp_path / "data").mkdir()
    for name in cifar.TRAINING_FILES:
        raw = rng.integers(0, 256, (1020, 3073), dtype=np.uint8)
        raw[:, 0] = rng.integers(0, 10, 1020)
        raw.tofile(tmp_path / "data" / name)
    return tmp_path / "data"


@pytest.fixture
def few(monkeypatch):
    """100 validation images instead of 5,000."""
    read = cifar.read_training

    def less(folder, data_set):
        training, validation = read(folder, data_set, validation=5_000)
        return training, Images(validation.pixels[:100], validation.labels[:100])

    monkeypatch.setattr("model.search.read_training", less)


def test_program(data, few, tmp_path, capsys):
    study = tmp_path / "s.db"
    given = ["--network", "resnet8", "--width", "4", "--sizes", "2,4", "--budget", "3e5"]
    given += ["--data", str(data), "--study", str(study), "--device", "cpu", "--epochs", "1"]
    # The recipe's own batch is 128: the 100 images that are left are fewer.
    assert main([*given, "--trials", "1"]) == 1
    said = capsys.readouterr()
    assert "100 training images are fewer than a batch of 128" in " ".join(said.out.split())
    study.unlink()
    monkey = pytest.MonkeyPatch()
    with monkey.context() as patch:
        patch.setitem(RECIPES, "float", RECIPE)
        assert main([*given, "--trials", "2", "--json"]) == 0
        facts = json.loads(capsys.readouterr().out)
        assert facts["trials"] == results(study) and facts["epochs"] == 1
        assert (tmp_path / "s.png").read_bytes().startswith(b"\x89PNG")
        assert (
            main([*given, "--trials", "2", "--lanes", "16", "--plot", str(tmp_path / "p.png")]) == 0
        )
    said = " ".join(capsys.readouterr().out.split())
    assert (tmp_path / "p.png").exists() and f"plot: {tmp_path}/p.png" in said
    for row in facts["trials"]:
        assert 0 <= row["accuracy"] <= 100 and row["cost"] <= 3e5
        assert f"{row['accuracy']:.2f}" in said
        assert f"{row['cost']:,}" in said and f"{-(-row['cost'] // 16):,}" in said
    assert "4 4 4 4 4 4 4, uniform" in said


def test_bad_input(tmp_path, monkeypatch, capsys):
    def refused(*arguments):
        return refusal(main, arguments, monkeypatch, capsys)

    good = ("--data", tmp_path / "none", "--study", tmp_path / "s.db", "--device", "cpu")
    for option, value in (("trials", 0), ("epochs", 0), ("images", -1), ("lanes", 0), ("width", 0)):
        text = f"--{option} must be a positive integer, not {value}"
        assert text in refused(*good, "--budget", 1e6, f"--{option}", value)
    assert "--budget must be a positive number, not inf" in refused(*good, "--budget", "inf")
    assert "--budget must be a positive number, not 0" in refused(*good, "--budget", 0)
    assert "--sizes: '1,x' is not a list of integers" in refused(
        *good, "--budget", 1e6, "--sizes", "1,x"
    )
    assert "--seed must be 0 to 2147483647, not -1" in refused(*good, "--budget", 1e6, "--seed", -1)
    assert "Unknown recipe flaot: did you mean float?" in refused(
        *good, "--budget", 1e6, "--recipe", "flaot"
    )
    assert "Data folder" in refused(*good, "--budget", 1e6)
    budget = ("--data", tmp_path / "none", "--budget", 1e6, "--study")
    assert "--study needs the name of a file, not ''" in refused(*budget, "")
    assert f"--study {tmp_path} is a folder" in refused(*budget, tmp_path)
    assert "the folder nowhere does not exist" in refused(*budget, "nowhere/s.db")
    for plot, text in (
        ("nowhere/p.png", "--plot nowhere/p.png: the folder nowhere does not exist"),
        ("", "--plot needs the name of a file, not ''"),
        (tmp_path / "s.db", f"--plot {tmp_path}/s.db is the study itself: give another name"),
    ):
        assert text in refused(*good, "--budget", 1e6, "--plot", plot)
    assert "s.png is the study itself" in refused(*budget, tmp_path / "s.png")
    assert re.search("No CUDA device", refused(*good, "--budget", 1e6, "--device", "cuda"))
    assert not (tmp_path / "s.db").exists()
