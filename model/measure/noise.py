"""Accuracy under Gaussian, shot and impulse noise.

The noises of CIFAR-10-C, with its constants, on the clean test images: D. Hendrycks and
T. Dietterich, "Benchmarking neural network robustness to common corruptions and perturbations",
ICLR 2019 (arXiv 1903.12261). The constants are those of the authors' ``make_cifar_c.py`` (in
ImageNet-C they are larger). Table 5 of arXiv 2012.01509 gives the mean over the five severities.

The published images were drawn once without a seed; these are drawn anew, from the same
distributions, and by seed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from model.common.errors import nearest
from model.common.lazy import torch
from model.data.cifar import Images

__all__ = ["BLOCK", "CONSTANTS", "NOISES", "SEVERITIES", "noise_table", "noisy", "summary"]

# For severities 1 to 5, on pixel values of 0 to 1.
CONSTANTS: dict[str, tuple[float, ...]] = {
    "gaussian": (0.04, 0.06, 0.08, 0.09, 0.10),  # standard deviation
    "shot": (500, 250, 100, 75, 50),  # photons of a white pixel
    "impulse": (0.01, 0.02, 0.03, 0.05, 0.07),  # share of the bytes that become 0 or 255
}
NOISES = tuple(CONSTANTS)
SEVERITIES = (1, 2, 3, 4, 5)
BLOCK = 500  # images at once


def noisy(pixels: torch.Tensor, noise: str, severity: int, seed: int = 0) -> torch.Tensor:
    """`pixels` with one noise, drawn for each byte alone; a new tensor.

    Parameters
    ----------
    pixels : Tensor
        uint8 [N, H, W, C].
    noise : str
        One of `NOISES`.
    severity : int
        1 to 5.
    seed : int
        The same seed, noise and severity give the same result on every device, since all is drawn
        on the CPU; and the first images' noise does not depend on how many follow.

    Returns
    -------
    Tensor
        uint8 [N, H, W, C] on the device of `pixels`. Values are cut off to whole numbers, not
        rounded, as CIFAR-10-C's were.
    """
    if noise not in CONSTANTS:
        raise ValueError(f"Noise {noise!r}: {nearest(noise, NOISES)}")
    if severity not in SEVERITIES:
        raise ValueError(f"Severity must be 1 to 5, not {severity!r}")
    if pixels.dtype != torch.uint8:
        raise TypeError(f"Pixels must be uint8, not {pixels.dtype}")
    constant = CONSTANTS[noise][severity - 1]
    state = np.random.SeedSequence([seed, NOISES.index(noise), severity])
    generator = torch.Generator().manual_seed(int(state.generate_state(1)[0]))
    result = torch.empty_like(pixels)
    for first in range(0, len(pixels), BLOCK):
        block = pixels[first : first + BLOCK].cpu()
        result[first : first + BLOCK] = _DRAW[noise](block, constant, generator).to(pixels.device)
    return result


def _gaussian(block, deviation, generator):
    drawn = torch.randn(block.shape, generator=generator) * (255 * deviation)
    return (block + drawn).clamp_(0, 255).to(torch.uint8)


def _shot(block, photons, generator):
    counts = torch.poisson(block * (photons / 255), generator=generator).to(torch.int64)
    return (counts.clamp_(max=photons) * 255 // photons).to(torch.uint8)


def _impulse(block, amount, generator):
    drawn = torch.rand(block.shape, generator=generator)  # below the amount: half pepper, half salt
    salted = torch.where(drawn < amount, 255, block)
    return torch.where(drawn < amount / 2, 0, salted).to(torch.uint8)


_DRAW = {"gaussian": _gaussian, "shot": _shot, "impulse": _impulse}


def noise_table(
    classify: Callable[[torch.Tensor], torch.Tensor],
    images: Images,
    seed: int = 0,
    *,
    noises: Sequence[str] = NOISES,
    severities: Sequence[int] = SEVERITIES,
    batch: int = BLOCK,
    advance: Callable[[int], object] | None = None,
) -> list[dict]:
    """Accuracy of a classifier on the clean images and under every noise and severity.

    Parameters
    ----------
    classify : callable
        uint8 [B, H, W, C] to the decided classes [B], at most `batch` images at a time.
    images : Images
        The clean ones; they stay as they are.
    advance : callable
        Called with the number of images after each batch; in all, there are
        ``len(images) · (1 + len(noises) · len(severities))``.

    Returns
    -------
    list of dict
        The clean row first: ``noise`` ("clean" or its name), ``severity`` (0 where clean),
        ``right``, ``images``, ``accuracy`` in percent.
    """
    if len(images) == 0:
        raise ValueError("Accuracy needs at least one image")

    def row(noise, severity, pixels):
        right = 0
        for first in range(0, len(pixels), batch):
            part = pixels[first : first + batch]
            decided = classify(part).to(images.labels.device)
            right += int((decided == images.labels[first : first + batch]).sum())
            if advance is not None:
                advance(len(part))
        return {
            "noise": noise,
            "severity": severity,
            "right": right,
            "images": len(pixels),
            "accuracy": 100 * right / len(pixels),
        }

    rows = [row("clean", 0, images.pixels)]
    for noise in noises:
        for severity in severities:
            rows.append(row(noise, severity, noisy(images.pixels, noise, severity, seed)))
    return rows


def summary(rows: Sequence[dict]) -> dict[str, float]:
    """Mean accuracy in percent over the severities of each noise, and ``clean``: table 5's row."""
    found: dict[str, list[float]] = {}
    for row in rows:
        found.setdefault(row["noise"], []).append(row["accuracy"])
    return {noise: sum(values) / len(values) for noise, values in found.items()}
