"""Whether relevance is an effect: `python -m benchmarks.relevance --data DIR`.

In one layer at a time the tenth of the maps with most relevance for the margin (`model.explain`) is
removed (`model.measure.pruning`), and the margin over the same class measured again: which share
of it is lost, the median over the first test images. Beside it, the same for the most active maps
and for maps drawn by chance. Above 1, the decision is lost. The figures are in docs/explain.md.
"""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from model import zoo
from model.common.errors import Parser, UserError, run_cli
from model.common.terminal import Table, console, progress_bar
from model.data.cifar import check_input, data_set_of, read_test
from model.explain.attribution import Explanation, explain, maps_of
from model.integers.reference import logits
from model.measure.pruning import prune
from model.network import Network
from model.zoo.opening import open_network

__all__ = ["main", "measure"]

SHARE = 0.1
CRITERIA = ("relevance", "activity", "random")


def worth(explanation: Explanation, layer: int, draw: np.random.Generator) -> dict:
    """What each map [C] of convolution `layer` is worth, by each of `CRITERIA`."""
    tensor = explanation.network.tensors[layer + 1]
    records = explanation.records[layer + 1]
    maps = maps_of(records, tensor)
    return {
        "relevance": explanation.targets[-1].tensors[layer + 1].maps,
        "activity": np.bincount(maps.ravel(), records.value.ravel(), tensor.channels),
        "random": draw.random(tensor.channels),
    }


def lost(explanation: Explanation, layer: int, values: np.ndarray) -> float:
    """Share of the margin that goes with the maps of `layer` that have the highest `values`."""
    network = explanation.network
    masks = [np.zeros(conv.channels, bool) for conv in network.convs]
    most = np.argsort(-values, kind="stable")[: max(1, round(SHARE * len(values)))]
    masks[layer][most] = True
    found = logits(prune(network, masks), explanation.image[None])[0]
    margin = explanation.targets[-1].total
    return (margin - float(found[explanation.chosen] - found[explanation.runner])) / margin


def measure(network: Network, images: np.ndarray, seed: int, advance=lambda: None) -> list[dict]:
    """Median share lost, for each layer and criterion, over `images` [N, H, W, C].

    An image whose decision is a tie has no margin to lose and is left out.
    """
    draw = np.random.default_rng(seed)
    found: list[dict] = [{key: [] for key in CRITERIA} for _ in network.convs]
    for image in images:
        explanation = explain(network, image)
        if explanation.targets[-1].total > 0:
            for layer, row in enumerate(found):
                for key, values in worth(explanation, layer, draw).items():
                    row[key].append(lost(explanation, layer, values))
        advance()
    return [
        {
            "layer": conv.name,
            "images": len(row["random"]),
            **{key: float(np.median(row[key])) for key in CRITERIA},
        }
        for conv, row in zip(network.convs, found, strict=True)
    ]


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point."""
    parser = Parser(prog="python -m benchmarks.relevance", description=__doc__.split("\n")[0])
    parser.add_argument("--network", default=zoo.DEFAULT, metavar="FILE")
    parser.add_argument("--data", type=Path, required=True, help="folder of the binary version")
    parser.add_argument("--images", type=int, default=60, metavar="N", help="first N (60)")
    parser.add_argument("--seed", type=int, default=0, help="of the maps drawn by chance")
    parser.add_argument("--json", action="store_true", help="machine-readable, on stdout")
    options = parser.parse_args(arguments)
    if options.images < 1:
        raise UserError(f"--images must be a positive integer, not {options.images}")
    network = open_network(options.network)
    check_input(network, options.network)
    test = read_test(options.data, data_set_of(network.classes)).first(options.images)
    with progress_bar() as bar:
        task = bar.add_task(network.name, total=len(test))
        rows = measure(network, test.pixels.numpy(), options.seed, lambda: bar.advance(task))
    if options.json:
        print(json.dumps({"share": SHARE, "seed": options.seed, "layers": rows}, indent=2))
        return 0
    table = Table("layer", *CRITERIA, title=f"{network.name}, {rows[0]['images']} images")
    for row in rows:
        table.add(row["layer"], *(f"{row[key]:.2f}" for key in CRITERIA))
    table.show(console())
    return 0


if __name__ == "__main__":
    run_cli(main)()
