"""``python -m model.noise FILE --data DIR``: accuracy under Gaussian, shot and impulse noise.

The noises of CIFAR-10-C, with its constants, on the clean test images: D. Hendrycks and
T. Dietterich, "Benchmarking neural network robustness to common corruptions and perturbations",
ICLR 2019 (arXiv 1903.12261). The constants are those of the authors' ``make_cifar_c.py`` (in
ImageNet-C they are larger). Table 5 of arXiv 2012.01509 gives the mean over the five severities.

The published images were drawn once without a seed; these are drawn anew, from the same
distributions, and by seed.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence

import numpy as np

from model.common.errors import Parser, UserError, nearest, run_cli
from model.common.lazy import torch
from model.common.optional import need
from model.common.terminal import Table, console, progress_bar, say
from model.data.cifar import DATA_SETS, Images, check_input, data_set_of, read_test
from model.integers.reference import Reference
from model.network import Network
from model.show import open_network
from model.training.checkpoint import Trained, classify, is_checkpoint, open_trained

__all__ = ["CONSTANTS", "NOISES", "SEVERITIES", "main", "noise_table", "noisy", "summary"]

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


def opened(
    file: str,
) -> tuple[Network | Trained, Callable[[torch.Tensor], torch.Tensor], int, bool]:
    """What a file holds, how it classifies, in which batches, and whether by integers."""
    if is_checkpoint(file):
        found = open_trained(file)
        return found, classify(found.network, found.device), BLOCK, found.integers
    network = open_network(file)
    check_input(network, file)
    reference = Reference(network)

    def by_reference(pixels: torch.Tensor) -> torch.Tensor:
        return torch.from_numpy(reference.logits(pixels.numpy()).argmax(axis=1))

    return network, by_reference, 50, True  # 50: what the reference is fastest with


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the program."""
    parser = Parser(
        prog="python -m model.noise",
        description="Accuracy of a network under the noises of CIFAR-10-C.",
    )
    add = parser.add_argument
    add("file", help="network file (.dham), a name of the zoo, or a checkpoint (.pt)")
    add("--data", required=True, help="folder of the binary version of the network's data set")
    add("--noises", nargs="+", default=list(NOISES), metavar="NAME", help=", ".join(NOISES))
    add("--limit", type=int, help="take the first N test images only")
    add("--seed", type=int, default=0, help="of the noise")
    add("--json", action="store_true", help="machine-readable, on stdout")
    options = parser.parse_args(arguments)
    need("torch")
    for noise in options.noises:
        if noise not in NOISES:
            raise UserError(f"Noise {noise!r}: {nearest(noise, NOISES)}")
    if options.limit is not None and options.limit < 1:
        raise UserError(f"--limit must be a positive integer, not {options.limit}")
    if options.seed < 0:
        raise UserError(f"--seed must not be negative, not {options.seed}")
    network, decide, batch, integers = opened(options.file)
    data_set = data_set_of(network.classes)
    test = read_test(options.data, data_set).first(options.limit)
    noises = list(dict.fromkeys(options.noises))

    start = time.monotonic()
    with progress_bar() as bar:
        total = len(test) * (1 + len(noises) * len(SEVERITIES))
        task = bar.add_task(network.name, total=total)
        rows = noise_table(
            decide,
            test,
            options.seed,
            noises=noises,
            batch=batch,
            advance=lambda count: bar.advance(task, count),
        )
    facts = {
        "file": str(options.file),
        "sha256": network.sha256,
        "integers": integers,
        "data": DATA_SETS[data_set].title,
        "images": len(test),
        "seed": options.seed,
        "rows": rows,
        "mean": summary(rows),
        "seconds": round(time.monotonic() - start, 2),
    }
    if options.json:
        print(json.dumps(facts, indent=2))
    else:
        _print(facts)
    return 0


def _print(facts):
    table = Table("noise", *(f"severity {severity}" for severity in SEVERITIES), "mean")
    for noise, mean in facts["mean"].items():
        cells = [f"{row['accuracy']:.2f}" for row in facts["rows"] if row["noise"] == noise]
        cells = [""] * len(SEVERITIES) if noise == "clean" else cells
        table.add(noise, *cells, f"{mean:.2f}")
    table.show(to := console())
    say(
        to,
        f"% top-1 {'as integers' if facts['integers'] else 'in floating point'} "
        f"on {facts['images']} test images of {facts['data']}; noise by seed {facts['seed']}",
    )


if __name__ == "__main__":
    run_cli(main)()
