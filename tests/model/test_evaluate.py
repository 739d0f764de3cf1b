"""`python -m model.evaluate`, on a made-up data set of CIFAR-10's layout."""

import hashlib
import json
from dataclasses import replace

import numpy as np
import pytest

from model.data import cifar
from model.dham.resnet import evaluating
from model.evaluate import accuracy, main
from model.integers import oracle
from model.integers.golden import attach_golden
from model.integers.reference import logits
from model.network import save
from model.training.checkpoint import load_network
from tests.model.generated import tiny_network, write_checkpoint, write_coloured
from tests.model.programs import refusal

COUNT = 10_000


@pytest.fixture(scope="module")
def network():
    """A small network of CIFAR-10's shape: one strided convolution."""
    return attach_golden(tiny_network())


@pytest.fixture(scope="module")
def data(tmp_path_factory, network):
    """(folder, images, labels): about half of the labels are what the network says."""
    folder = tmp_path_factory.mktemp("cifar")
    rng = np.random.default_rng(1)
    planes = rng.integers(0, 256, (COUNT, 3, 32, 32)).astype(np.uint8)
    images = planes.transpose(0, 2, 3, 1)
    said = logits(network, images).argmax(axis=1)
    labels = np.where(rng.random(COUNT) < 0.5, said, rng.integers(0, 10, COUNT))
    raw = np.concatenate([labels.astype(np.uint8)[:, None], planes.reshape(COUNT, -1)], axis=1)
    raw.tofile(folder / "test_batch.bin")
    return folder, images, labels


def right(network, data, count):
    _, images, labels = data
    return int((oracle.run(network, images[:count]).decisions == labels[:count]).sum())


def test_accuracy(network, data):
    _, images, labels = data
    done = []
    count, decisions = accuracy(network, images[:300], labels[:300], done.append)
    assert count == right(network, data, 300)
    np.testing.assert_array_equal(decisions, oracle.run(network, images[:300]).decisions)
    assert sum(done) == 300


def test_equal_to_the_stated_accuracy(network, data, tmp_path, capsys):
    top1 = 100 * right(network, data, COUNT) / COUNT
    saved = save(replace(network, metadata={"top1": top1}), tmp_path / "net.dham")
    assert main([str(tmp_path / "net.dham"), "--data", str(data[0]), "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["top1"] == facts["stated_top1"] == top1
    assert facts["equal"] is True and facts["images"] == COUNT
    assert facts["golden_differences"] == [] and facts["sha256"] == saved.sha256
    assert facts["integers"] is True
    assert main([str(tmp_path / "net.dham"), "--data", str(data[0])]) == 0
    out = capsys.readouterr().out
    assert f"{top1:.2f} % top-1 as integers" in out
    assert f"equal to the {top1} % that the file states" in out
    assert "golden vectors reproduced" in out


def test_one_image_apart_is_not_equal(network, data, tmp_path, capsys):
    top1 = 100 * (right(network, data, COUNT) + 1) / COUNT
    save(replace(network, metadata={"top1": top1}), tmp_path / "net.dham")
    assert main([str(tmp_path / "net.dham"), "--data", str(data[0])]) == 1
    assert f"NOT equal to the {top1} % that the file states" in capsys.readouterr().out


def test_limit(network, data, tmp_path, capsys):
    save(replace(network, metadata={"top1": 99.0}, golden=None), tmp_path / "net.dham")
    assert main([str(tmp_path / "net.dham"), "--data", str(data[0]), "--limit", "200"]) == 0
    out = capsys.readouterr().out
    assert f"({right(network, data, 200)} of 200 images)" in out
    assert "not compared with the file's 99.0 %: that is of 10000 images" in out
    assert "the file has no golden vectors" in out


def test_accuracy_of_fewer_images(network, data, tmp_path, capsys):
    """A quick training states the accuracy on the first images only."""
    metadata = {"top1": 100 * right(network, data, 200) / 200, "test_images": 200}
    save(replace(network, metadata=metadata), tmp_path / "net.dham")
    assert main([str(tmp_path / "net.dham"), "--data", str(data[0]), "--limit", "200"]) == 0
    assert f"equal to the {metadata['top1']} %" in capsys.readouterr().out


def test_wrong_golden_vectors(network, data, tmp_path, capsys):
    golden = replace(network.golden, logits=network.golden.logits + 1)
    save(replace(network, golden=golden), tmp_path / "net.dham")
    assert main([str(tmp_path / "net.dham"), "--data", str(data[0]), "--limit", "10"]) == 1
    assert "golden vectors NOT reproduced: frame 0: logits differ" in capsys.readouterr().out


@pytest.mark.parametrize(
    "quantise, how", [(1.0, "in floating point"), (0.5, "as integers")], ids=["float", "quantised"]
)
def test_checkpoint(tmp_path, monkeypatch, capsys, quantise, how):
    """The winner takes all, whatever the temperature at which the training ended."""
    monkeypatch.setattr(cifar, "RECORDS", 64)
    write_coloured(tmp_path / "data")
    path = tmp_path / "a.pt"
    write_checkpoint(path, quantise=quantise)
    network, test = load_network(path), cifar.read_test(tmp_path / "data")
    with evaluating(network):
        decided = [int(network(cifar.to_input(image[None])).argmax()) for image in test.pixels]
    for count in (64, 40):
        more = ["--limit", str(count)] if count < 64 else []
        arguments = [str(path), "--data", str(tmp_path / "data"), *more]
        right = sum(a == b for a, b in zip(decided[:count], test.labels.tolist(), strict=False))
        assert main([*arguments, "--json"]) == 0
        facts = json.loads(capsys.readouterr().out)
        assert facts.pop("seconds") >= 0
        assert facts == {
            "file": str(path),
            "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
            "integers": quantise < 1,
            "images": count,
            "right": right,
            "top1": round(100 * right / count, 4),
        }
        assert main(arguments) == 0
        assert capsys.readouterr().out == (
            f"{100 * right / count:.2f} % top-1 {how} ({right} of {count} images)\n"
        )


def test_bad_checkpoint(tmp_path, monkeypatch, capsys):
    def run(*arguments):
        return refusal(main, arguments, monkeypatch, capsys)

    path = tmp_path / "a.pt"
    assert f"No checkpoint {path}" in run(path, "--data", tmp_path)
    save(tiny_network(), path)
    assert "a.pt is no checkpoint of this program, or is damaged" in run(path, "--data", tmp_path)
    write_checkpoint(path, classes=100)
    write_coloured(tmp_path / "data")
    assert "holds CIFAR-10, not CIFAR-100" in run(path, "--data", tmp_path / "data")
    write_checkpoint(path, classes=64)
    assert "The 64 classes are not those of a known data set: CIFAR-10 (10), CIFAR-100 (100)" in (
        run(path, "--data", tmp_path / "data")
    )


def test_bad_input(network, data, tmp_path, monkeypatch, capsys):
    def run(*arguments):
        return refusal(main, arguments, monkeypatch, capsys)

    path = tmp_path / "net.dham"
    save(network, path)
    folder = data[0]
    assert "--limit must be a positive integer, not 0" in run(path, "--data", folder, "--limit", 0)
    assert "Cannot read network file" in run(tmp_path / "x.dham", "--data", folder)
    assert "Data folder" in run(path, "--data", tmp_path / "none")
    (tmp_path / "test_batch.bin").write_bytes(b"short")
    assert "truncated" in run(path, "--data", tmp_path)
    classifier = replace(
        network.classifier, weights=network.classifier.weights[:9], bias=network.classifier.bias[:9]
    )
    nine = replace(
        network,
        layers=(*network.convs, classifier),
        classes=network.classes[:9],
        golden=None,
    )
    save(nine, path)
    assert "The 9 classes are not those of a known data set: CIFAR-10 (10), CIFAR-100 (100)" in run(
        path, "--data", folder
    )
    save(replace(network, input_shape=(40, 40, 3), golden=None), path)
    assert "takes images of 40x40x3, 8 bits; those of CIFAR are 32x32x3" in run(
        path, "--data", folder
    )
