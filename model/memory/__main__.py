"""`python -m model.memory --export FILE`: the network file of a classical memory.

The memory stores pairs of sparse vectors, random ones or those of a text file, and runs wherever
a network file runs: W = max y xᵀ in one-bit weights, retrieval as a convolution and a
winner-takes-all (`model.memory.export`).
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from model.common import files
from model.common.errors import Parser, UserError, run_cli
from model.memory import integers, theory
from model.memory.export import READOUTS, example, to_network
from model.memory.patterns import Parts, damage, random_vectors, read_vectors
from model.network import save

__all__ = ["main"]

LARGEST = 2**24  # weights of a network, and coordinates of the stored pairs
MOST = 2**16 - 1  # parts, or coordinates of a part
RECALLED = 1000  # stored pairs that are tried, at most


def parts_of(text: str) -> Parts:
    """ "8x32" to 8 parts of 32 coordinates."""
    try:
        count, size = (int(word) for word in text.lower().split("x"))
        parts = Parts(count, size)
    except ValueError:
        raise UserError(
            f"{text!r} is not a shape such as 8x32 (8 parts of 32 coordinates)"
        ) from None
    if max(count, size) > MOST:
        raise UserError(f"A network file does at most {MOST} parts and coordinates, not {text}")
    return parts


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Options of the program."""
    parser = Parser(prog="python -m model.memory", description=__doc__.splitlines()[0])
    add = parser.add_argument
    add("--export", required=True, metavar="FILE", help="network file to write (.dham)")
    add("--source", metavar="CxL", help="parts and coordinates of the probe (8x32)")
    add("--target", metavar="CxL", help="those of the answer (the source's)")
    add("--patterns", type=Path, metavar="FILE", help="text or CSV: a stored pair a line")
    add("--pairs", type=int, metavar="M", help="so many random pairs instead (200)")
    add("--example", action="store_true", help="the small memory of docs/memory.md instead")
    add("--auto", action="store_true", help="store vectors with themselves (Gripon–Berrou)")
    add("--iterations", type=int, default=1, metavar="N", help="of retrieval, with --auto (1)")
    add("--readout", choices=READOUTS, default="parts", help="what the logits say (parts)")
    add("--seed", type=int, default=0, help="of random pairs and golden probes (0)")
    add("--name", help="of the network, instead of one made of its shapes")
    return parser.parse_args(arguments)


def pairs_of(options: argparse.Namespace) -> tuple[np.ndarray, np.ndarray, Parts, Parts]:
    """The stored (inputs, outputs) and their shapes, from the options."""
    if sum((options.example, options.patterns is not None, options.pairs is not None)) > 1:
        raise UserError("Give one of --patterns, --pairs and --example")
    if options.example:
        if options.source or options.target or options.auto:
            raise UserError("--example has its own shapes and pairs: leave the other options out")
        return example()
    source = parts_of(options.source or "8x32")
    target = parts_of(options.target) if options.target else source
    if options.auto and source != target:
        raise UserError(f"--auto stores vectors with themselves: {target} is not {source}")
    if options.patterns is not None:
        groups = (source,) if options.auto else (source, target)
        vectors = read_vectors(options.patterns, *groups)
        return vectors[0], vectors[-1], source, target
    count = 200 if options.pairs is None else options.pairs
    most = LARGEST // (source.count + target.count)
    if not 1 <= count <= most:
        raise UserError(f"Pairs must be 1 to {most}, not {count}")
    rng = np.random.default_rng(options.seed)
    inputs = random_vectors(rng, source, count)
    outputs = inputs if options.auto else random_vectors(rng, target, count)
    return inputs, outputs, source, target


def check_size(options: argparse.Namespace, source: Parts, target: Parts, count: int) -> None:
    """Raise `UserError` for a network of so many weights that making it would take too long."""
    weights = source.size**2 + options.iterations * source.length * target.length
    if options.readout == "patterns":
        weights += count * target.length
    if weights > LARGEST:
        raise UserError(
            f"The network from {source} to {target} has {weights:,} weights, "
            f"at most {LARGEST:,} are made"
        )


def recalled(inputs, outputs, source, target, iterations, seed) -> list[str]:
    """What the memory answers to its own pairs, whole, half erased and one part wrong, in words."""
    weights = integers.store(inputs, outputs, source, target)
    few = slice(0, RECALLED)
    text = []
    for erased, wrong, words in (
        (0, 0, "whole"),
        (source.count // 2, 0, f"{source.count // 2} of {source.count} parts erased"),
        (0, 1, "one part wrong"),
    ):
        if wrong and source.size == 1:
            continue
        rng = np.random.default_rng(seed)
        probes = damage(rng, inputs[few], source, erased=erased, wrong=wrong)
        found = integers.retrieve(weights, probes, source, target, iterations)
        right = int((found == outputs[few]).all(axis=1).sum())
        text.append(f"probes {words}: {right} of {len(probes)} right")
    return text


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the program."""
    options = parse(arguments)
    if not 0 <= options.seed < 2**31:
        raise UserError(f"Seed must be 0 to {2**31 - 1}, not {options.seed}")
    if options.iterations > 1 and not options.auto:
        raise UserError("--iterations feeds the answer back: it needs --auto")
    output = files.check_output(options.export, "--export", keep=options.patterns)
    try:
        inputs, outputs, source, target = pairs_of(options)
        check_size(options, source, target, len(inputs))
        name = f"memory-{source}-{target}" if options.name is None else options.name
        network = to_network(
            inputs,
            outputs,
            source,
            target,
            name=name,
            iterations=options.iterations,
            readout=options.readout,
            seed=options.seed,
        )
    except ValueError as error:
        raise UserError(str(error)) from None
    save(network, output)
    made = network.metadata["memory"]
    expected = theory.density(source, target, len(inputs))
    of_random = f", of random pairs {expected:.3f}" if options.patterns is None else ""
    print(
        f"{output}: {source} to {target}, {len(inputs)} pairs, "
        f"density {made['density']:.3f}{of_random}"
    )
    for line in recalled(inputs, outputs, source, target, options.iterations, options.seed):
        print(f"  {line}")
    return 0


if __name__ == "__main__":
    run_cli(main)()
