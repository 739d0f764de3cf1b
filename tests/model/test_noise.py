"""The program that measures accuracy under noise, on a network file and a checkpoint."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from model.data import cifar
from model.integers import oracle
from model.measure.noise import noise_table, noisy
from model.network import save
from model.noise import main
from model.training import checkpoint
from tests.model.generated import tiny_network, write_checkpoint
from tests.model.programs import refusal


@pytest.fixture
def data(tmp_path, monkeypatch):
    """A folder with a CIFAR-10 test file of 40 images."""
    monkeypatch.setattr(cifar, "RECORDS", 40)
    raw = np.random.default_rng(1).integers(0, 256, (40, 3073), dtype=np.uint8)
    raw[:, 0] = np.arange(40) % 10
    raw.tofile(tmp_path / "test_batch.bin")
    return tmp_path


def test_program(data, tmp_path, capsys):
    network = save(tiny_network(), tmp_path / "net.dham")
    arguments = [str(tmp_path / "net.dham"), "--data", str(data), "--seed", "3"]
    assert main([*arguments, "--limit", "30", "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["sha256"] == network.sha256 and facts["data"] == "CIFAR-10"
    assert (facts["images"], facts["seed"], len(facts["rows"])) == (30, 3, 16)
    images = cifar.read_test(data)
    for row in (facts["rows"][0], facts["rows"][5], facts["rows"][15]):
        pixels = images.pixels[:30]
        if row["noise"] != "clean":
            pixels = noisy(pixels, row["noise"], row["severity"], 3)
        decisions = oracle.run(network, pixels.numpy()).decisions
        assert row["right"] == int((decisions == images.labels[:30].numpy()).sum())
    assert main([*arguments, "--noises", "impulse"]) == 0
    out = capsys.readouterr().out
    assert "severity 5" in out and "impulse" in out and "gaussian" not in out
    assert "% top-1 as integers on 40 test images of CIFAR-10; noise by seed 3" in out


def test_checkpoint(data, tmp_path, capsys):
    """In floating point, as the experiments measure it."""
    path = tmp_path / "a.pt"
    write_checkpoint(path)
    arguments = [str(path), "--data", str(data), "--seed", "3", "--noises", "shot"]
    assert main([*arguments, "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    network = checkpoint.load_network(path)
    classify = checkpoint.classify(network, torch.device("cpu"))
    assert facts["rows"] == noise_table(classify, cifar.read_test(data), 3, noises=["shot"])
    assert (facts["integers"], facts["data"], facts["images"]) == (False, "CIFAR-10", 40)
    assert facts["sha256"] == checkpoint.digest(path)
    assert main(arguments) == 0
    out = " ".join(capsys.readouterr().out.split())
    assert "% top-1 in floating point on 40 test images of CIFAR-10; noise by seed 3" in out


def test_bad_input(data, tmp_path, monkeypatch, capsys):
    path = tmp_path / "net.dham"
    save(tiny_network(), path)

    def refused(*arguments):
        return refusal(main, arguments, monkeypatch, capsys)

    good = (path, "--data", data)
    assert "--limit must be a positive integer, not 0" in refused(*good, "--limit", 0)
    assert "--seed must not be negative, not -1" in refused(*good, "--seed", -1)
    assert "Noise 'fog': known: gaussian, shot, impulse" in refused(*good, "--noises", "fog")
    assert "Data folder" in refused(path, "--data", tmp_path / "none")
    assert "Cannot read network file" in refused(tmp_path / "x.dham", "--data", data)
    assert "A network needs the name of a file or of the zoo; known: " in refused(
        "", "--data", data
    )
    (data / "test_batch.bin").write_bytes(b"short")
    assert "truncated" in refused(*good)
    save(replace(tiny_network(), input_shape=(40, 40, 3)), path)
    assert "takes images of 40x40x3, 8 bits; those of CIFAR are 32x32x3" in refused(*good)
    save(tiny_network(("a", "b")), path)
    assert "The 2 classes are not those of a known data set" in refused(*good)
