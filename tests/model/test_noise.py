"""Noises: moments against theory, determinism, clipping; the table and the program."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from model.data import cifar
from model.data.cifar import Images
from model.integers import oracle
from model.measure.noise import CONSTANTS, NOISES, SEVERITIES, noise_table, noisy, summary
from model.network import save
from model.noise import main
from model.training import checkpoint
from tests.model.generated import tiny_network, write_checkpoint
from tests.model.programs import refusal

DRAWS = (100, 50, 50, 4)  # a million bytes: the mean is known to 0.03 grey levels


def grey(value, shape=DRAWS):
    return torch.full(shape, value, dtype=torch.uint8)


def expected(noise, severity, value):
    """Mean and standard deviation of the whole numbers that theory gives for one grey level."""
    constant = CONSTANTS[noise][severity - 1]
    levels = np.arange(256)
    if noise == "gaussian":
        edges = np.array([math.erf((x - value) / (255 * constant * 2**0.5)) for x in range(1, 256)])
        below = np.concatenate([[0], (1 + edges) / 2, [1]])  # P(result < level), cut off, clipped
        share = np.diff(below)
    elif noise == "shot":
        rate = constant * value / 255
        counts = np.arange(3 * int(constant))
        logarithms = np.array([math.lgamma(n + 1) for n in counts])
        chance = np.exp(counts * math.log(rate) - rate - logarithms)
        share = np.zeros(256)
        np.add.at(share, (np.minimum(counts / constant, 1) * 255 + 1e-9).astype(int), chance)
    else:
        share = np.where(levels == value, 1 - constant, 0.0)
        share[[0, 255]] += constant / 2
    assert abs(share.sum() - 1) < 1e-6
    mean = (share * levels).sum()
    return mean, math.sqrt((share * (levels - mean) ** 2).sum())


@pytest.mark.parametrize("noise", NOISES)
@pytest.mark.parametrize("severity, value", [(1, 128), (3, 30), (5, 128), (5, 250)])
def test_moments(noise, severity, value):
    found = noisy(grey(value), noise, severity).double()
    mean, deviation = expected(noise, severity, value)
    # Five standard errors of the mean; the deviation's relative error is about 1/sqrt(2N), more
    # where the tails are heavy (impulse).
    assert abs(float(found.mean()) - mean) < 5 * deviation / 1000
    assert abs(float(found.std()) - deviation) < 0.015 * deviation


def test_published_constants():
    """make_cifar_c.py of Hendrycks and Dietterich, not the larger ones of ImageNet-C."""
    assert CONSTANTS == {
        "gaussian": (0.04, 0.06, 0.08, 0.09, 0.10),
        "shot": (500, 250, 100, 75, 50),
        "impulse": (0.01, 0.02, 0.03, 0.05, 0.07),
    }


@pytest.mark.parametrize("noise", NOISES)
def test_deterministic_by_seed_noise_and_severity(noise):
    pixels = torch.randint(0, 256, (40, 8, 8, 3), dtype=torch.uint8)
    before = pixels.clone()
    found = noisy(pixels, noise, 3, seed=7)
    assert torch.equal(pixels, before) and found.dtype == torch.uint8
    assert found.shape == pixels.shape and torch.equal(found, noisy(pixels, noise, 3, seed=7))
    assert not torch.equal(found, noisy(pixels, noise, 3, seed=8))
    assert not torch.equal(found, noisy(pixels, noise, 4, seed=7))


@pytest.mark.parametrize("noise", NOISES)
def test_first_images_do_not_depend_on_how_many_follow(noise, monkeypatch):
    pixels = torch.randint(0, 256, (11, 8, 8, 3), dtype=torch.uint8)
    found = noisy(pixels, noise, 2)
    assert torch.equal(noisy(pixels[:4], noise, 2), found[:4])
    monkeypatch.setattr("model.measure.noise.BLOCK", 3)
    assert torch.equal(noisy(pixels, noise, 2), found)


def test_values_are_clipped_not_wrapped():
    """Noise at the ends stays there: a byte that wrapped would land at the other end."""
    for severity in SEVERITIES:
        reach = 255 * 6 * CONSTANTS["gaussian"][severity - 1]
        white, black = (noisy(grey(v), "gaussian", severity) for v in (255, 0))
        assert int(white.min()) > 255 - reach and int(white.max()) == 255
        assert int(black.max()) < reach and int(black.min()) == 0
        assert 0.45 < float((white == 255).double().mean()) < 0.55
        assert int(noisy(grey(0), "shot", severity).max()) == 0
        bright = noisy(grey(255), "shot", severity)
        assert int(bright.max()) == 255 and int(bright.min()) > 60


def test_impulse_leaves_other_bytes_alone():
    pixels = torch.randint(1, 255, DRAWS, dtype=torch.uint8)
    for severity, amount in zip(SEVERITIES, CONSTANTS["impulse"], strict=True):
        found = noisy(pixels, "impulse", severity)
        changed = found[found != pixels]
        assert set(changed.unique().tolist()) == {0, 255}
        assert abs(len(changed) / pixels.numel() - amount) < 5 * math.sqrt(amount / 1e6)
        assert abs(float((changed == 255).double().mean()) - 0.5) < 0.03
    # Each channel for itself: a pixel rarely turns all black or all white.
    assert float(((found == 0) | (found == 255)).all(-1).double().mean()) < 0.001


@pytest.mark.parametrize(
    "arguments, error, text",
    [
        (("shots", 1), ValueError, "Noise 'shots': did you mean shot?"),
        (("speckle", 1), ValueError, "known: gaussian, shot, impulse"),
        (("shot", 0), ValueError, "Severity must be 1 to 5, not 0"),
        (("shot", 6), ValueError, "Severity must be 1 to 5, not 6"),
    ],
)
def test_wrong_noise(arguments, error, text):
    with pytest.raises(error, match=text.replace("?", r"\?")):
        noisy(grey(1, (1, 2, 2, 3)), *arguments)


def test_only_bytes():
    with pytest.raises(TypeError, match="Pixels must be uint8, not torch.float32"):
        noisy(torch.zeros(1, 2, 2, 3), "shot", 1)


def test_table_counts_and_means():
    """A classifier whose decision is the brightness of one byte, checked one image at a time."""
    torch.manual_seed(2)
    images = Images(torch.randint(0, 256, (70, 4, 4, 3), dtype=torch.uint8), torch.arange(70) % 4)
    pixels, labels = images.pixels.clone(), images.labels.clone()

    def classify(part):
        return part[:, 0, 0, 0].long() // 64

    done = []
    rows = noise_table(classify, images, 5, batch=32, advance=done.append)
    assert torch.equal(images.pixels, pixels) and torch.equal(images.labels, labels)
    assert sum(done) == 70 * 16 and max(done) == 32
    assert [(row["noise"], row["severity"]) for row in rows] == [
        ("clean", 0),
        *((noise, severity) for noise in NOISES for severity in SEVERITIES),
    ]
    for row in rows:
        changed = pixels
        if row["noise"] != "clean":
            changed = noisy(pixels, row["noise"], row["severity"], 5)
        right = sum(
            int(image[0, 0, 0]) // 64 == label
            for image, label in zip(changed, labels.tolist(), strict=True)
        )
        assert (row["right"], row["images"]) == (right, 70)
        assert row["accuracy"] == 100 * right / 70
    means = summary(rows)
    assert list(means) == ["clean", *NOISES]
    five = [row["accuracy"] for row in rows if row["noise"] == "shot"]
    assert means["shot"] == sum(five) / 5 and means["clean"] == rows[0]["accuracy"]
    few = noise_table(classify, images, 5, noises=["shot"], severities=[2])
    assert few == [rows[0], next(r for r in rows if (r["noise"], r["severity"]) == ("shot", 2))]
    with pytest.raises(ValueError, match="at least one image"):
        noise_table(classify, Images(pixels[:0], labels[:0]))


# --- the program ----------------------------------------------------------------------------------


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
