"""The program that prunes a network file."""

import json
from dataclasses import replace

import numpy as np
import pytest

from model.data import cifar
from model.data.cifar import Images
from model.integers.golden import differences
from model.measure.pruning import CRITERIA, choose, curve, scores
from model.network import Classifier, Conv, Network, load, save
from model.prune import main
from tests.model.programs import refusal
from tests.model.without import run_without


def tiny(classes=cifar.CLASSES):
    """A network of two convolutions on 32×32 images."""
    rng = np.random.default_rng(0)

    def conv(name, source, shape, stride):
        return Conv(
            name=name,
            source=source,
            weights=rng.integers(-8, 8, shape),
            weight_bits=4,
            stride=stride,
            padding=(0, 0, 0, 0),
            bias=np.zeros(shape[0], np.int64),
            multiplier=np.full(shape[0], 200 if source else 20),
            shift=np.full(shape[0], 16 if not source else 10),
            group_size=2,
            activation_bits=4,
        )

    classifier = Classifier(
        name="classifier",
        source=2,
        weights=rng.integers(-8, 8, (len(classes), 8)),
        weight_bits=4,
        bias=np.zeros(len(classes), np.int64),
    )
    layers = (conv("first", 0, (12, 4, 4, 3), 8), conv("second", 1, (8, 2, 2, 12), 1), classifier)
    return Network(name="tiny", input_shape=(32, 32, 3), layers=layers, classes=classes)


@pytest.fixture
def data(tmp_path, monkeypatch):
    """A folder with CIFAR-10 files of 1,100 images each: 5,000 go to validation, 500 are left."""
    monkeypatch.setattr(cifar, "RECORDS", 1100)
    rng = np.random.default_rng(1)
    (tmp_path / "data").mkdir()
    for name in (*cifar.TRAINING_FILES, *cifar.TEST_FILES):
        raw = rng.integers(0, 256, (1100, 3073), dtype=np.uint8)
        raw[:, 0] = rng.integers(0, 10, 1100)
        raw.tofile(tmp_path / "data" / name)
    return tmp_path / "data"


def test_program(data, tmp_path, capsys):
    network = save(tiny(), tmp_path / "tiny.dham")
    out = tmp_path / "pruned.dham"
    given = [str(tmp_path / "tiny.dham"), "--data", str(data), "--images", "60"]
    given += ["--shares", "0,0.3", "--seed", "4"]
    write = ["--share", "0.3", "--output", str(out), "--limit", "100"]
    assert main([*given, *write, "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["sha256"] == network.sha256 and facts["data"] == "CIFAR-10"
    assert [(row["criterion"], row["share"]) for row in facts["rows"]] == [
        (criterion, share) for criterion in CRITERIA for share in (0, 0.3)
    ]
    training, validation = cifar.read_training(data)
    ranking, held = (Images(i.pixels[:60], i.labels[:60]) for i in (training, validation))
    for row in facts["rows"]:
        expected = curve(network, ranking, held, [row["share"]], row["criterion"], seed=4)
        assert row == expected[0]
    pruned = load(out)
    assert differences(pruned) == [] and len(pruned.golden.images) > 0
    assert facts["output"]["sha256"] == pruned.sha256
    assert pruned.name == "tiny-pruned"
    assert pruned.metadata["pruned"] == {
        "of": network.sha256,
        "criterion": "wins",
        "share": 0.3,
        "scope": "layer",
        "seed": 4,
        "removed": [3, 2],
    }
    masks = choose(scores(network, "wins", ranking), 0.3)
    test = cifar.read_test(data)
    _, logits = run_without(network, masks, test.pixels[:100].numpy())
    right = int((logits.argmax(1) == test.labels[:100].numpy()).sum())
    assert (pruned.metadata["top1"], pruned.metadata["test_images"]) == (right, 100)
    assert main([*given, "--criteria", "random", "wins"]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "by random" in said and "by magnitude" not in said
    assert "Top-1 as integers on 60 validation images of CIFAR-10, without retraining" in said
    assert main([*given, *write]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert f"{right:.2f} % top-1 as integers on 100 test images, 5 maps pruned by wins" in said


@pytest.mark.parametrize("form", [[], ["--json"]])
def test_a_network_that_cannot_be_written_leaves_the_table(
    data, tmp_path, monkeypatch, capsys, form
):
    save(tiny(), tmp_path / "tiny.dham")
    given = [str(tmp_path / "tiny.dham"), "--data", str(data), "--images", "20", "--shares", "0.3"]
    given += ["--share", "0.3", "--output", str(tmp_path / "out.dham"), "--limit", "20"]
    monkeypatch.setattr(
        "model.common.files.open", lambda *_: open("/dev/full", "wb"), raising=False
    )
    with pytest.raises(OSError, match="No space left on device"):
        main([*given, *form])
    said = capsys.readouterr().out
    if form:
        facts = json.loads(said)
        assert len(facts["rows"]) == len(CRITERIA) and facts["output"] is None
    else:
        assert "by magnitude" in said and "0.3" in said and "out.dham" not in said
    assert not (tmp_path / "out.dham").exists()


def test_bad_input(data, tmp_path, monkeypatch, capsys):
    path = tmp_path / "tiny.dham"
    save(tiny(), path)

    def refused(*arguments):
        return refusal(main, arguments, monkeypatch, capsys)

    good = (path, "--data", data)
    out = ("--output", tmp_path / "out.dham")
    assert "--share must be from 0 to below 1, not 1" in refused(*good, "--share", 1, *out)
    assert "--share and --output belong together" in refused(*good, "--share", 0.5)
    assert "--share and --output belong together" in refused(*good, *out)
    assert "--limit belongs to --output" in refused(*good, "--limit", 5)
    assert "--shares: '0,x' is not a list of numbers" in refused(*good, "--shares", "0,x")
    assert "--shares: a share must be from 0 to below 1, not 2" in refused(*good, "--shares", "2")
    assert "--shares: a share must be from 0 to below 1, not nan" in refused(
        *good, "--shares", "nan"
    )
    assert "Criterion 'size': known: wins, magnitude, random" in refused(
        *good, "--criteria", "size"
    )
    assert "--images must be a positive integer, not 0" in refused(*good, "--images", 0)
    assert "--seed must not be negative, not -1" in refused(*good, "--seed", -1)
    assert "Data folder" in refused(path, "--data", tmp_path / "none")
    # Refused before the data are even looked for.
    share = (path, "--data", tmp_path / "none", "--share", 0.1, "--output")
    before = path.read_bytes()
    assert "--output needs the name of a file, not ''" in refused(*share, "")
    assert f"--output {path} is the file that is read: give another name" in refused(*share, path)
    assert path.read_bytes() == before
    assert f"--output {tmp_path} is a folder" in refused(*share, tmp_path)
    assert "--output no/x.dham: the folder no does not exist" in refused(*share, "no/x.dham")
    assert "Cannot read network file" in refused(tmp_path / "x.dham", "--data", data)
    save(tiny(("a", "b")), path)
    assert "The 2 classes are not those of a known data set" in refused(*good)
    save(replace(tiny(), input_shape=(40, 40, 3)), path)
    assert "takes images of 40x40x3, 8 bits; those of CIFAR are 32x32x3" in refused(*good)
    assert not (tmp_path / "out.dham").exists()
