"""The program that measures few-shot accuracy, on a network file and a checkpoint."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from model.data import cifar
from model.few_shot import main, trained
from model.measure.few_shot import (
    VARIANTS,
    features_of,
    few_shot,
    pooled,
)
from model.network import save
from model.training.checkpoint import load_network
from tests.model.generated import tiny_network, write_checkpoint
from tests.model.programs import refusal


def tiny(classes=cifar.CLASSES):
    return tiny_network(classes, bias=3)


def test_trained_on():
    assert trained(cifar.few_shot_classes("train")) == ("CIFAR-FS's base classes", True)
    assert trained(cifar.DATA_SETS["cifar100"].classes) == ("CIFAR-100", False)
    assert trained(["a", "b"]) == ("2 classes of its own", False)


@pytest.fixture
def data(tmp_path, monkeypatch):
    """A CIFAR-100 of 6 images a class, 5 in the training file."""
    monkeypatch.setattr(cifar, "RECORDS", 100)
    rng = np.random.default_rng(1)
    for name, count in (("train.bin", 500), ("test.bin", 100)):
        raw = rng.integers(0, 256, (count, 3074), dtype=np.uint8)
        raw[:, 0], raw[:, 1] = np.arange(count) % 20, np.arange(count) % 100
        raw.tofile(tmp_path / name)
    return tmp_path


def test_program(data, tmp_path, capsys):
    network = save(tiny(), tmp_path / "net.dham")
    arguments = [str(tmp_path / "net.dham"), "--data", str(data), "--shots", "3"]
    arguments += ["--episodes", "60", "--seed", "4"]
    assert main([*arguments, "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["sha256"] == network.sha256 and facts["features"] == 6
    assert facts["trained_on"] == "CIFAR-10" and facts["trained_on_base_classes"] is False
    novel = cifar.read_few_shot(data, "test")
    base = pooled(network, cifar.read_few_shot(data, "train").pixels.numpy()).mean(0)
    for variant in VARIANTS:
        expected = few_shot(
            pooled(network, novel.pixels.numpy()),
            novel.labels,
            base_mean=base,
            variant=variant,
            shots=3,
            episodes=60,
            seed=4,
        )
        assert facts["results"][variant] == {
            "mean": expected.mean,
            "interval": expected.interval,
        }
    assert main([*arguments, "--queries", "2", "--variants", "UN", "--part", "validation"]) == 0
    out = " ".join(capsys.readouterr().out.split())
    assert "5-way 3-shot, 2 queries of a class, 60 episodes by seed 4; 6 integer features" in out
    assert "CIFAR-FS, validation classes" in out and "L2N" not in out
    assert "The network was trained on CIFAR-10. Published results are of networks" in out


def test_program_extracts_only_what_it_uses(data, tmp_path, capsys, monkeypatch):
    """Few episodes need few images, and say the same as when all are there."""
    network = save(tiny(), tmp_path / "net.dham")
    novel = cifar.read_few_shot(data, "test")
    passed = []

    def counted(network, images, progress=None):
        passed.append(len(images))
        return pooled(network, images, progress)

    monkeypatch.setattr("model.few_shot.pooled", counted)
    sampling = {"shots": 2, "queries": 1, "episodes": 1, "seed": 3}
    options = [word for k, v in sampling.items() for word in (f"--{k}", str(v))]
    arguments = [str(tmp_path / "net.dham"), "--data", str(data), "--json", *options]
    assert main([*arguments, "--variants", "UN", "L2N"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert passed == [15] and facts["images"] == {"novel": 15, "base": 0}
    everything = pooled(network, novel.pixels.numpy())
    for variant in ("UN", "L2N"):
        expected = few_shot(everything, novel.labels, variant=variant, **sampling)
        assert facts["results"][variant]["mean"] == expected.mean
    assert main(arguments) == 0  # CL2N needs the mean of the base classes
    facts = json.loads(capsys.readouterr().out)
    assert passed[1:] == [15, facts["images"]["base"]] and passed[2] > 15


@pytest.mark.parametrize(
    "classes, text",
    [
        (64, "The network was trained on CIFAR-FS's base classes."),
        (100, "It has seen the novel classes: this is not a few-shot result."),
    ],
)
def test_checkpoint(data, tmp_path, capsys, classes, text):
    """Features in floating point; their mean and episodes are those of the experiments."""
    path = tmp_path / "a.pt"
    write_checkpoint(path, classes=classes)
    arguments = [str(path), "--data", str(data), "--shots", "3", "--episodes", "60"]
    assert main([*arguments, "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    network, done = load_network(path), []
    novel, base = cifar.read_few_shot(data, "test"), cifar.read_few_shot(data, "train")

    def features(images):
        return features_of(network, images.pixels, torch.device("cpu"), done.append)

    with torch.no_grad():
        whole = network.features(cifar.to_input(novel.pixels))
    assert torch.allclose(features(novel), whole, rtol=1e-4) and sum(done) == len(novel)
    result = few_shot(
        features(novel), novel.labels, base_mean=features(base).mean(0), shots=3, episodes=60
    )
    assert facts["results"]["CL2N"] == {"mean": result.mean, "interval": result.interval}
    assert (facts["integers"], facts["features"]) == (False, 96)
    assert main([*arguments, "--variants", "UN"]) == 0
    out = " ".join(capsys.readouterr().out.split())
    assert "96 floating-point features; CIFAR-FS, test classes" in out and text in out


def test_program_says_what_it_was_trained_on(data, tmp_path, capsys):
    for part, text in (
        (cifar.DATA_SETS["cifar100"].classes, "It has seen the novel classes: this is not a few"),
        (cifar.few_shot_classes("train"), "The network was trained on CIFAR-FS's base classes.\n"),
    ):
        save(tiny(part), tmp_path / "net.dham")
        arguments = ["--shots", "2", "--episodes", "3", "--variants", "UN"]
        assert main([str(tmp_path / "net.dham"), "--data", str(data), *arguments]) == 0
        assert text in capsys.readouterr().out


def test_bad_input(data, tmp_path, monkeypatch, capsys):
    path = tmp_path / "net.dham"
    save(tiny(), path)

    def refused(*arguments):
        return refusal(main, arguments, monkeypatch, capsys)

    good = (path, "--data", data)
    assert "--part train: known: test, validation" in refused(*good, "--part", "train")
    assert "Variant 'L2': did you mean" in refused(*good, "--variants", "L2")
    assert "--seed must be 0 to 2^63 - 1, not -1" in refused(*good, "--seed", -1)
    assert "5 shots and 2 queries need 7 images of each class, but a class has 6" in refused(
        *good, "--queries", 2
    )
    assert "21 ways need as many classes, but there are 20" in refused(*good, "--ways", 21)
    assert "Data folder" in refused(path, "--data", tmp_path / "none")
    save(replace(tiny(), input_shape=(40, 40, 3)), path)
    assert "takes images of 40x40x3, 8 bits; those of CIFAR are 32x32x3" in refused(*good)
