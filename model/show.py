"""``python -m model.show FILE``: what a network file holds, as tables or as JSON."""

import json
from collections.abc import Sequence

from rich.console import Console

from model.common.errors import Parser, run_cli
from model.common.terminal import Table, console, pairs, say
from model.network import Network, accumulator_bound, signed_bits
from model.network.count import multiplications, total_multiplications
from model.zoo.opening import open_network

__all__ = ["describe", "main", "print_tables"]


def describe(network: Network) -> dict:
    """All that is shown of `network`, as JSON-able values; the tables and ``--json`` use it.

    ``layers[i]["multiplications"]`` and ``["accumulator_bits"]`` are the layer's own, the
    top-level ones the network's. Shapes are (height, width, channels).
    """
    tensors = network.tensors
    layers = []
    for index, layer in enumerate(network.layers):
        source = tensors[layer.source]
        count = multiplications(layer, tensors)
        entry = {
            "name": layer.name,
            "kind": layer.kind,
            "source": layer.source,
            "source_name": _name(network, layer.source),
            "input": _shape(source),
            "input_group_size": source.group_size,
            "weight_bits": layer.weight_bits,
            "weights": int(layer.weights.size),
            "multiplications": count._asdict(),
            "accumulator_bits": signed_bits(*accumulator_bound(layer, tensors)),
        }
        if layer.kind == "conv":
            output = tensors[index + 1]
            entry |= {
                "output": _shape(output),
                "kernel": list(layer.weights.shape[1:3]),
                "stride": layer.stride,
                "padding": list(layer.padding),
                "group_size": layer.group_size,
                "activation_bits": layer.activation_bits,
                "order": layer.order,
                "binary": layer.binary,
                "projection": None,
                "identity": None,
            }
            if layer.projection is not None:
                entry["weights"] += int(layer.projection.weights.size)
                entry["projection"] = {
                    "source": layer.projection.source,
                    "source_name": _name(network, layer.projection.source),
                    "stride": layer.projection.stride,
                    "exponent": layer.projection.exponent,
                }
            if layer.identity is not None:
                entry["identity"] = {
                    "source": layer.identity.source,
                    "source_name": _name(network, layer.identity.source),
                    "factor": [
                        int(layer.identity.factor.min()),
                        int(layer.identity.factor.max()),
                    ],
                }
        else:
            entry["output"] = [1, 1, layer.channels]
        layers.append(entry)
    golden = network.golden
    return {
        "name": network.name,
        "sha256": network.sha256,
        "input_shape": list(network.input_shape),
        "input_bits": network.input_bits,
        "classes": list(network.classes),
        "layers": layers,
        "weights": sum(layer["weights"] for layer in layers),
        "weight_bits_total": sum(layer["weights"] * layer["weight_bits"] for layer in layers),
        "multiplications": total_multiplications(network)._asdict(),
        "accumulator_bits": network.accumulator_bits,
        "metadata": network.metadata,
        "golden": None
        if golden is None
        else {
            "frames": len(golden.images),
            "layers": len(network.convs),
            "decisions": [int(n) for n in golden.logits.argmax(axis=1)],
        },
    }


def print_tables(network: Network, to: Console) -> None:
    """Print `network` readably: layers, totals, metadata, golden vectors."""
    facts = describe(network)
    height, width, channels = facts["input_shape"]
    say(
        to,
        f"{facts['name']}  input {height}x{width}x{channels}, {facts['input_bits']} bits, "
        f"{len(facts['classes'])} classes, sha256 {facts['sha256']}",
    )
    _layer_table(facts).show(to)
    total = facts["multiplications"]
    say(
        to,
        f"{facts['weights']:,} weights ({facts['weight_bits_total'] / 8192:,.1f} KiB), "
        f"{total['dense']:,} multiplications dense, {total['dham']:,} as a DHAM "
        f"({total['dense'] / max(total['dham'], 1):.2f} times fewer), "
        f"accumulator {facts['accumulator_bits']} bits",
    )
    metadata = {key: _text(v) for key, v in facts["metadata"].items() if key != "golden"}
    if metadata:
        say(to, "metadata")
        pairs(to, [(f"  {key}", value) for key, value in metadata.items()])
    say(to, _golden_text(facts))


def _layer_table(facts):
    names = ("layer", "from", "input", "output", "kernel", "shortcut")
    table = Table(*names, "ℓ", "bits", "order", "dense", "DHAM", "acc.", left=len(names))
    for layer in facts["layers"]:
        count = layer["multiplications"]
        cells = [layer["name"], layer["source_name"], _text(layer["input"], "x")]
        cells.append(_text(layer["output"], "x"))
        numbers = [f"{count['dense']:,}", f"{count['dham']:,}", str(layer["accumulator_bits"])]
        if layer["kind"] == "conv":
            bits = f"w{layer['weight_bits']} a{layer['activation_bits']}"
            order = "binary, " * layer["binary"] + layer["order"]
            cells += [_kernel(layer), _shortcuts(layer), str(layer["group_size"]), bits, order]
        else:
            cells += ["pool", "", "", f"w{layer['weight_bits']}", ""]
        table.add(*cells, *numbers)
    return table


def _kernel(layer):
    text = _text(layer["kernel"], "x")
    if layer["stride"] != 1:
        text += f" /{layer['stride']}"
    return text + f" pad {_text(layer['padding'], ',')}"


def _shortcuts(layer):
    parts = []
    if layer["projection"] is not None:
        shortcut = layer["projection"]
        stride = f" /{shortcut['stride']}" if shortcut["stride"] != 1 else ""
        name = shortcut["source_name"]
        parts.append(f"projection {name}{stride} ·2^{shortcut['exponent']}")
    if layer["identity"] is not None:
        low, high = layer["identity"]["factor"]
        factor = str(low) if low == high else f"{low}..{high}"
        parts.append(f"identity {layer['identity']['source_name']} ·{factor}")
    return " + ".join(parts)


def _golden_text(facts):
    golden = facts["golden"]
    if golden is None:
        return "No golden vectors: implementations cannot be checked against this file alone."
    text = f"golden vectors: {golden['frames']} frames of {golden['layers']} layers and the logits"
    try:
        coverage = facts["metadata"]["golden"]["coverage"]
        groups, channels = coverage["groups"], coverage["channels"]
        text += (
            f"; {groups[0]} of {groups[1]} groups and "
            f"{channels[0]} of {channels[1]} channels win somewhere"
        )
    except (TypeError, KeyError, IndexError):
        pass  # metadata is free: another writer may state it differently, or not at all
    return text


def _name(network, tensor):
    return "image" if tensor == 0 else network.layers[tensor - 1].name


def _shape(tensor):
    return [tensor.height, tensor.width, tensor.channels]


def _text(value, separator=" "):
    if isinstance(value, list) and all(isinstance(item, int | str) for item in value):
        return separator.join(map(str, value))
    return json.dumps(value) if isinstance(value, dict | list) else str(value)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = Parser(prog="python -m model.show", description="Show what a DHAM network file holds.")
    parser.add_argument("file", help="network file (.dham), or a name of the zoo")
    parser.add_argument("--json", action="store_true", help="machine-readable, on stdout")
    options = parser.parse_args(arguments)
    network = open_network(options.file)
    if options.json:
        print(json.dumps(describe(network), indent=2))
        return
    print_tables(network, console())


if __name__ == "__main__":
    run_cli(main)()
