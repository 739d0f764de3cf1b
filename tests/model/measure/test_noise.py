"""Noises: moments against theory, determinism, clipping; the table."""

import math

import numpy as np
import pytest
import torch

from model.data.cifar import Images
from model.measure.noise import CONSTANTS, NOISES, SEVERITIES, noise_table, noisy, summary

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
