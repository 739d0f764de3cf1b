"""``python -m model.wins FILE --data DIR``: which feature map of each group wins how often.

Figures 2 to 4 of arXiv 2012.01509: the share of wins of each map within its group, for all images
and for two classes side by side. A pixel where a group is silent (its value is 0) counts for none
of its maps; how many those are is reported beside.

In the output folder: wins.jsonl (a line for each layer, and for each layer and class), wins.md, and
each grouped layer's figures as PNG and SVG.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Sequence

from model.common import files
from model.common.errors import Parser, UserError, nearest, run_cli
from model.common.optional import need
from model.common.terminal import progress_bar
from model.data.cifar import DATA_SETS, check_input, data_set_of, read_test
from model.measure.wins import Wins, network_wins
from model.measure.wins_figures import classes_figure, layer_figure, write_figure
from model.zoo.opening import open_network

__all__ = ["main", "markdown"]


def lines(found: Sequence[Wins], names: Sequence[str]) -> list[dict]:
    """What wins.jsonl holds: for each layer all images (class null), then each class."""
    rows = []
    for wins in found:
        for label in (None, *range(wins.classes)):
            rows.append(
                {
                    "layer": wins.name,
                    "group_size": wins.group_size,
                    "class": None if label is None else names[label],
                    "pixels": wins.pixels(label),
                    "wins": wins.per_map(label).view(wins.groups, -1).tolist(),
                    "silent": wins.silent_pixels(label).tolist(),
                    "entropy_bits": wins.entropy(label).tolist(),
                    "never": wins.never(label),
                }
            )
    return rows


def markdown(
    found: Sequence[Wins], names: Sequence[str], title: str, pair: tuple[int, int] | None = None
) -> str:
    """One row a layer; means are over its groups. `pair` adds the distance of two classes."""
    heads = ["layer", "ℓ", "groups", "silent, %", "largest share, %", "smallest share, %"]
    heads += ["entropy, bits", "at most", "maps that never win"]
    if pair is not None:
        heads.append(f"{names[pair[0]]} against {names[pair[1]]}, %")
    rows = []
    for wins in found:
        shares = wins.shares()
        never = len(wins.never())
        cells = [
            wins.name,
            str(wins.group_size),
            str(wins.groups),
            f"{100 * wins.silent_share().mean():.1f}",
            f"{100 * shares.amax(1).mean():.1f}",
            f"{100 * shares.amin(1).mean():.1f}",
            f"{wins.entropy().mean():.2f}",
            f"{math.log2(wins.group_size):.2f}",
            f"{never} of {wins.groups * wins.group_size}",
        ]
        if pair is not None:
            cells.append(f"{100 * wins.distance(*pair).mean():.1f}")
        rows.append(cells)
    ruler = ["---", *["---:"] * (len(heads) - 1)]
    table = "\n".join(f"| {' | '.join(row)} |" for row in (heads, ruler, *rows))
    return f"# Wins\n\n{title}\n\n{table}\n"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the program."""
    parser = Parser(
        prog="python -m model.wins",
        description="Share of wins of each feature map within its group, on the test images.",
    )
    add = parser.add_argument
    add("file", help="network file (.dham), or a name of the zoo")
    add("--data", required=True, help="folder of the binary version of the network's data set")
    add("--layer", nargs="+", metavar="NAME", help="these layers only (default: all)")
    add("--classes", nargs=2, metavar="NAME", help="two classes side by side")
    add("--limit", type=int, help="take the first N test images only")
    add("--output", help="folder (default: build/wins/NAME)")
    options = parser.parse_args(arguments)
    need("torch", "matplotlib")
    if options.limit is not None and options.limit < 1:
        raise UserError(f"--limit must be a positive integer, not {options.limit}")
    network = open_network(options.file)
    check_input(network, options.file)
    data_set = data_set_of(network.classes)
    names = network.classes
    test = read_test(options.data, data_set).first(options.limit)
    pair = None if options.classes is None else _pair(options.classes, names, test)
    dense = {layer.name for layer in network.convs if layer.group_size == 1}
    for name in options.layer or ():
        if name in dense:
            raise UserError(f"Layer {name} is dense (ℓ = 1): its groups have nothing to win")

    folder = options.output
    if folder is None:
        folder = files.in_build("wins", network.name)
    folder = files.output_folder(folder, "--output")
    with progress_bar() as bar:
        task = bar.add_task(network.name, total=len(test))
        found = network_wins(
            network, test, options.layer, advance=lambda count: bar.advance(task, count)
        )
    title = f"{network.name}, {len(test)} test images of {DATA_SETS[data_set].title}"
    facts = {"network": network.name, "sha256": network.sha256, "data": DATA_SETS[data_set].title}
    rows = [{**facts, "images": len(test), **row} for row in lines(found, names)]
    files.write(folder / "wins.jsonl", "".join(json.dumps(row) + "\n" for row in rows))
    text = markdown(found, names, f"{title}, file {network.sha256}.", pair)
    files.write(folder / "wins.md", text)
    grouped = [wins for wins in found if wins.group_size > 1]
    for wins in grouped:
        stem = re.sub(r"[^\w.-]", "_", wins.name)
        write_figure(layer_figure(wins, title), folder / stem)
        if pair is not None:
            figure = classes_figure(wins, pair, (names[pair[0]], names[pair[1]]), title)
            write_figure(figure, folder / f"{stem}.{names[pair[0]]}-{names[pair[1]]}")
    print(text.split("\n\n", 2)[2].rstrip())
    print(f"{folder}: wins.jsonl, wins.md, figures of {len(grouped)} layers")
    return 0


def _pair(chosen, names, test):
    for name in chosen:
        if name not in names:
            raise UserError(f"Class {name!r}: {nearest(name, names)}")
    first, second = (names.index(name) for name in chosen)
    if first == second:
        raise UserError(f"--classes needs two different classes, not {chosen[0]} twice")
    for label in (first, second):
        if not bool((test.labels == label).any()):
            raise UserError(f"No {names[label]} is among the first {len(test)} test images")
    return first, second


if __name__ == "__main__":
    run_cli(main)()
