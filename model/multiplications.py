"""``python -m model.multiplications --network NAME|FILE``: multiplications of one frame, by layer.

``--paper`` counts as Table 1 of arXiv 2012.01509 does, beside the true counts, and compares with
what is printed there; status 1 if it is not equal. ``model.measure.multiplications`` counts.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict

from model.common.errors import Parser, UserError, nearest, run_cli
from model.common.terminal import Table, console, say
from model.dham.shapes import NETWORKS, shape_of
from model.measure.multiplications import (
    CLASSES,
    PaperRow,
    layer_counts,
    paper_rows,
    skeleton,
    total,
)
from model.zoo.opening import open_network

__all__ = ["main"]


def _known_counts(name: str, sizes: Sequence[int] | None, classes: int) -> list[dict]:
    """One entry for each ℓ: layers, totals, and the total with layers after an addition dense."""
    entries = []
    for group_sizes in [(size,) for size in sizes] if sizes else [NETWORKS[name].group_sizes]:
        options: dict = {"group_sizes": group_sizes, "classes": classes}
        try:
            shapes = [shape_of(name, dense_sums=dense, **options) for dense in (False, True)]
        except ValueError as error:
            raise UserError(f"{name}: {error}") from None
        grouped, sums = (layer_counts(skeleton(shape)) for shape in shapes)
        layers = [
            asdict(layer) | {"dham_dense_sums": other.dham}
            for layer, other in zip(grouped, sums, strict=True)
        ]
        totals = total(grouped) | {"dham_dense_sums": total(sums)["dham"]}
        entries.append({"group_sizes": list(group_sizes), "layers": layers, "total": totals})
    return entries


def _file_counts(name: str) -> list[dict]:
    network = open_network(name)
    counts = layer_counts(network)
    sizes = [layer.group_size for layer in network.convs]
    return [{"group_sizes": sizes, "layers": [asdict(c) for c in counts], "total": total(counts)}]


def _print_layers(name: str, entry: dict) -> None:
    sizes = " ".join(map(str, entry["group_sizes"]))
    sums = "dham_dense_sums" in entry["total"]
    headings = ["ℓ of input", "dense", "dense, inside", "DHAM"] + ["DHAM, sums dense"] * sums
    title = f"{name}, ℓ = {sizes}: multiplications of one frame"
    table = Table("layer", "input", "output", "kernel", *headings, title=title, left=4)
    keys = ["dense", "dense_inside", "dham"] + ["dham_dense_sums"] * sums
    for layer in entry["layers"]:
        kernel = "x".join(map(str, layer["kernel"]))
        kernel += f" /{layer['stride']}" * (layer["stride"] > 1)
        table.add(
            layer["name"],
            "x".join(map(str, layer["input"])),
            "x".join(map(str, layer["output"])),
            kernel + " + projection" * layer["projection"],
            layer["input_group_size"],
            *(f"{layer[key]:,}" for key in keys),
        )
    table.add_total("total", "", "", "", "", *(f"{entry['total'][key]:,}" for key in keys))
    table.show(console())


def _print_paper(name: str, rows: Sequence[PaperRow]) -> None:
    title = f"{name}, CIFAR-{CLASSES[name]}: multiplications, Table 1 of arXiv 2012.01509"
    headings = ["ℓ", "paper's count", "printed", "", "dense", "dense, inside", "DHAM"]
    table = Table(*headings, "DHAM, sums dense", title=title, left=0)
    for row in rows:
        table.add(
            row.group_size,
            row.papers_count,
            row.printed,
            "equal" if row.equal else "NOT equal",
            *(f"{n:,}" for n in (row.dense, row.dense_inside, row.dham, row.dham_dense_sums)),
        )
    table.show(console())
    wrong = [row for row in rows if not row.equal]
    for row in wrong:
        say(
            console(),
            f"ℓ = {row.group_size}: NOT equal to the paper's: {row.papers_count} computed, "
            f"{row.printed} printed",
        )
    if not wrong:
        say(console(), f"all {len(rows)} numbers equal to the paper's")


def main(arguments: Sequence[str] | None = None) -> int:
    parser = Parser(
        prog="python -m model.multiplications", description="Count multiplications of one frame."
    )
    add = parser.add_argument
    add("--network", required=True, help=f"{', '.join(NETWORKS)}, or a network file (.dham)")
    add("--group-size", type=int, nargs="+", metavar="L", help="ℓ of all layers, one or more")
    add("--classes", type=int, help="outputs of the classifier (default: 10; resnet50: 100)")
    add("--paper", action="store_true", help="Table 1's own count, compared with what it printed")
    add("--json", action="store_true", help="machine-readable, on stdout")
    options = parser.parse_args(arguments)
    name = options.network
    if options.classes is not None and options.classes < 1:
        raise UserError(f"--classes must be a positive integer, not {options.classes}")
    for size in options.group_size or ():
        if size < 1:
            raise UserError(f"--group-size must be positive integers, not {size}")
    if options.paper:
        if options.classes is not None:
            raise UserError("--classes: Table 1 fixes them, leave it out with --paper")
        rows = paper_rows(name, options.group_size)
        equal = all(row.equal for row in rows)
        if options.json:
            facts = {"network": name, "equal": equal, "rows": [asdict(row) for row in rows]}
            print(json.dumps(facts, indent=2))
        else:
            _print_paper(name, rows)
        return 0 if equal else 1
    if name in NETWORKS:
        classes = options.classes or CLASSES.get(name, 10)
        entries = _known_counts(name, options.group_size, classes)
    else:
        for option in ("group_size", "classes"):
            if getattr(options, option) is not None:
                text = option.replace("_", "-")
                raise UserError(f"--{text}: the network file {name} fixes it, leave it out")
        entries = _file_counts(_file(name))
    if options.json:
        print(json.dumps({"network": name, "counts": entries}, indent=2))
    else:
        for entry in entries:
            _print_layers(name, entry)
    return 0


def _file(name: str) -> str:
    if not (name.endswith(".dham") or "/" in name):
        raise UserError(
            f"Unknown network {name}: {nearest(name, tuple(NETWORKS))}, or a file FILE.dham"
        )
    return name


if __name__ == "__main__":
    run_cli(main)()
