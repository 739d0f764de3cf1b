"""The program that counts wins: tables, figures, bad input."""

import json
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch

from model.common.errors import run_cli
from model.data import cifar
from model.data.cifar import Images
from model.measure.wins import Wins, network_wins
from model.network import save
from model.wins import main, markdown
from tests.model.winners import tiny


def test_markdown():
    wins = Wins("stem", 2, 2, 2)
    wins.counts += torch.tensor([[[3, 1], [0, 6]], [[1, 3], [0, 2]]])
    wins.silent += torch.tensor([[4, 2], [0, 2]])
    text = markdown([wins], ["a", "b"], "Title.", (0, 1))
    # Pixels: 8 + 4. Group 0: 4 silent, shares 1/2, 1/2; group 1: 4 silent, shares 0, 1.
    assert text.splitlines()[-1] == (
        "| stem | 2 | 2 | 33.3 | 75.0 | 25.0 | 0.50 | 1.00 | 1 of 4 | 25.0 |"
    )
    assert "a against b, %" in text and text.startswith("# Wins\n\nTitle.\n")


# --- the program ----------------------------------------------------------------------------------


@pytest.fixture
def data(tmp_path, monkeypatch):
    """A folder with a CIFAR-10 test file of 20 images: classes 0 to 9, twice."""
    monkeypatch.setattr(cifar, "RECORDS", 20)
    raw = np.random.default_rng(1).integers(0, 256, (20, 3073), dtype=np.uint8)
    raw[:, 0] = np.arange(20) % 10
    raw.tofile(tmp_path / "test_batch.bin")
    return tmp_path


def test_program(data, tmp_path, capsys):
    network = save(tiny(), tmp_path / "net.dham")
    folder = tmp_path / "out"
    arguments = [str(tmp_path / "net.dham"), "--data", str(data), "--output", str(folder)]
    assert main([*arguments, "--classes", "cat", "dog", "--limit", "15"]) == 0
    test = cifar.read_test(data)
    test = Images(test.pixels[:15], test.labels[:15])
    expected = network_wins(network, test)
    rows = [json.loads(line) for line in (folder / "wins.jsonl").read_text().splitlines()]
    assert len(rows) == 2 * 11
    for wins, part in zip(expected, (rows[:11], rows[11:]), strict=True):
        assert [row["class"] for row in part] == [None, *cifar.CLASSES]
        for label, row in zip((None, *range(10)), part, strict=True):
            assert row["sha256"] == network.sha256 and row["images"] == 15
            assert (row["layer"], row["group_size"]) == (wins.name, wins.group_size)
            assert [n for group in row["wins"] for n in group] == wins.per_map(label).tolist()
            counts = wins.silent.sum(0) if label is None else wins.silent[label]
            assert row["silent"] == counts.tolist() and row["pixels"] == wins.pixels(label)
            assert row["never"] == wins.never(label)
            assert row["entropy_bits"] == wins.entropy(label).tolist()
    text = (folder / "wins.md").read_text()
    assert "tiny, 15 test images of CIFAR-10" in text and "cat against dog, %" in text
    figures = {f"{stem}{pair}.{kind}" for stem in ("stem", "a_b") for pair in ("", ".cat-dog")
               for kind in ("png", "svg")}  # fmt: skip
    assert {path.name for path in folder.iterdir()} == {"wins.jsonl", "wins.md", *figures}
    out = capsys.readouterr().out
    assert "| a/b | 2 | 4 |" in out and "figures of 2 layers" in out


def test_program_of_one_layer_and_of_dense_layers(data, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    save(tiny((1, 2)), tmp_path / "net.dham")
    assert main(["net.dham", "--data", str(data), "--layer", "a/b"]) == 0
    assert {path.name for path in (tmp_path / "build/wins/tiny").iterdir()} == {
        "wins.jsonl", "wins.md", "a_b.png", "a_b.svg"
    }  # fmt: skip
    save(tiny((1, 1)), tmp_path / "net.dham")
    assert main(["net.dham", "--data", str(data), "--output", "dense"]) == 0
    assert {path.name for path in (tmp_path / "dense").iterdir()} == {"wins.jsonl", "wins.md"}
    assert "figures of 0 layers" in capsys.readouterr().out


def test_bad_input(data, tmp_path, monkeypatch, capsys):
    path = tmp_path / "net.dham"
    save(tiny((1, 2)), path)

    def refused(*arguments):
        monkeypatch.setattr(sys, "argv", ["wins", *map(str, arguments)])
        with pytest.raises(SystemExit) as caught:
            run_cli(main)()
        captured = capsys.readouterr()
        assert caught.value.code == 2 and captured.out == ""
        return captured.err.splitlines()[-1]

    good = (path, "--data", data, "--output", tmp_path / "out")
    assert "--limit must be a positive integer, not 0" in refused(*good, "--limit", 0)
    assert "Class 'dgo': did you mean dog?" in refused(*good, "--classes", "cat", "dgo")
    assert "two different classes, not cat twice" in refused(*good, "--classes", "cat", "cat")
    assert "No dog is among the first 4 test images" in refused(
        *good, "--classes", "cat", "dog", "--limit", 4
    )
    assert "Layer stem is dense (ℓ = 1)" in refused(*good, "--layer", "stem")
    assert "Data folder" in refused(path, "--data", tmp_path / "none")
    assert not (tmp_path / "out").exists()
    assert "Layer 'a/c': did you mean a/b?" in refused(*good, "--layer", "a/c")
    (tmp_path / "file").write_text("")
    assert "--output: nothing can be written into the folder" in refused(
        path, "--data", data, "--output", tmp_path / "file"
    )
    assert "--output needs the name of a folder, not ''" in refused(
        path, "--data", data, "--output", ""
    )
    save(replace(tiny(), input_shape=(64, 64, 3)), path)
    assert "takes images of 64x64x3, 8 bits; those of CIFAR are 32x32x3" in refused(*good)
    save(tiny(classes=("a", "b")), path)
    assert "The 2 classes are not those of a known data set" in refused(*good)
