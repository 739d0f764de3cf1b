"""``python -m model.noise FILE --data DIR``: accuracy under Gaussian, shot and impulse noise."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence

from model.common.errors import Parser, UserError, nearest, run_cli
from model.common.lazy import torch
from model.common.optional import need
from model.common.terminal import Table, console, progress_bar, say
from model.data.cifar import DATA_SETS, check_input, data_set_of, read_test
from model.integers.reference import Reference
from model.measure.noise import BLOCK, NOISES, SEVERITIES, noise_table, summary
from model.network import Network
from model.training.checkpoint import Trained, classify, is_checkpoint, open_trained
from model.zoo.opening import open_network

__all__ = ["main"]


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
