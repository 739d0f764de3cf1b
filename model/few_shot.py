"""``python -m model.few_shot FILE --data DIR``: few-shot accuracy on CIFAR-FS by nearest mean.

The method is that of ``model.measure.few_shot``.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict

from model.common.errors import Parser, UserError, nearest, run_cli
from model.common.lazy import torch
from model.common.optional import need
from model.common.terminal import Table, console, progress_bar, say
from model.data.cifar import DATA_SETS, check_input, few_shot_classes, read_few_shot
from model.measure.few_shot import VARIANTS, draws, features_of, few_shot, pooled, used
from model.network import Network
from model.training.checkpoint import Trained, is_checkpoint, open_trained
from model.zoo.opening import open_network

__all__ = ["main", "trained"]


def opened(file: str) -> tuple[Network | Trained, Callable[..., torch.Tensor], bool]:
    """What a file holds, its features of (pixels, progress), and whether by integers."""
    if is_checkpoint(file):
        found = open_trained(file)

        def of_checkpoint(pixels, progress):
            return features_of(found.network, pixels, found.device, progress).cpu()

        return found, of_checkpoint, found.integers
    network = open_network(file)
    check_input(network, file)
    return network, lambda pixels, progress: pooled(network, pixels.numpy(), progress), True


def trained(classes: Sequence[str]) -> tuple[str, bool]:
    """What a network with these classes was trained on, and whether that is CIFAR-FS's base."""
    if tuple(classes) == few_shot_classes("train"):
        return "CIFAR-FS's base classes", True
    for data in DATA_SETS.values():
        if tuple(classes) == data.classes:
            return data.title, False
    return f"{len(classes)} classes of its own", False


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the program."""
    parser = Parser(
        prog="python -m model.few_shot",
        description="Few-shot accuracy of a network's features on CIFAR-FS (SimpleShot).",
    )
    add = parser.add_argument
    add("file", help="network file (.dham), a name of the zoo, or a checkpoint (.pt)")
    add("--data", required=True, help="folder of CIFAR-100's binary version")
    add("--part", default="test", help="novel classes: test (20) or validation (16)")
    add("--variants", nargs="+", default=list(VARIANTS), metavar="NAME", help=", ".join(VARIANTS))
    add("--ways", type=int, default=5, help="classes of an episode")
    add("--shots", type=int, default=5, help="support images of a class")
    add("--queries", type=int, help="of a class (default: all other images, 595 for 5 shots)")
    add("--episodes", type=int, default=10_000)
    add("--seed", type=int, default=0, help="of the episodes")
    add("--json", action="store_true", help="machine-readable, on stdout")
    options = parser.parse_args(arguments)
    need("torch")
    if options.part not in ("test", "validation"):
        raise UserError(f"--part {options.part}: {nearest(options.part, ('test', 'validation'))}")
    for variant in options.variants:
        if variant not in VARIANTS:
            raise UserError(f"Variant {variant!r}: {nearest(variant, VARIANTS)}")
    sampling = {key: getattr(options, key) for key in ("ways", "shots", "queries", "episodes")}
    if not 0 <= options.seed < 2**63:
        raise UserError(f"--seed must be 0 to 2^63 - 1, not {options.seed}")
    network, extract, integers = opened(options.file)
    novel = read_few_shot(options.data, options.part)
    try:
        next(draws(novel.labels.bincount().tolist(), **sampling))  # before the long work
    except ValueError as error:
        raise UserError(str(error)) from None
    base = read_few_shot(options.data, "train").pixels if "CL2N" in options.variants else None

    start = time.monotonic()
    results = {}
    with progress_bar() as bar:

        def features(pixels, what):
            task = bar.add_task(f"features, {what} classes", total=len(pixels))
            return extract(pixels, lambda count: bar.advance(task, count))

        # What no episode asks for stays zero, and is never looked at.
        asked = used(novel.labels, seed=options.seed, **sampling)
        part = features(novel.pixels[asked], "novel")
        found = part.new_zeros(len(novel.labels), part.shape[1])
        found[asked] = part
        mean = None if base is None else features(base, "base").mean(0)
        for variant in dict.fromkeys(options.variants):
            task = bar.add_task(f"episodes, {variant}", total=options.episodes)
            results[variant] = few_shot(
                found,
                novel.labels,
                base_mean=mean,
                variant=variant,
                seed=options.seed,
                advance=lambda count, task=task: bar.advance(task, count),  # type: ignore[misc]
                **sampling,
            )
    name, proper = trained(network.classes)
    facts = {
        "file": str(options.file),
        "sha256": network.sha256,
        "integers": integers,
        "trained_on": name,
        "trained_on_base_classes": proper,
        "part": options.part,
        "features": found.shape[1],
        "images": {"novel": len(asked), "base": 0 if base is None else len(base)},
        **sampling,
        "seed": options.seed,
        "results": {variant: asdict(result) for variant, result in results.items()},
        "seconds": round(time.monotonic() - start, 2),
    }
    if options.json:
        print(json.dumps(facts, indent=2))
    else:
        _print(facts)
    return 0


def _print(facts):
    table = Table("variant", "accuracy, %", "±")
    for variant, result in facts["results"].items():
        table.add(variant, f"{result['mean']:.2f}", f"{result['interval']:.2f}")
    table.show(to := console())
    queries = "all other images" if facts["queries"] is None else f"{facts['queries']} queries"
    say(
        to,
        f"{facts['ways']}-way {facts['shots']}-shot, {queries} of a class, "
        f"{facts['episodes']} episodes by seed {facts['seed']}; {facts['features']} "
        f"{'integer' if facts['integers'] else 'floating-point'} features; "
        f"CIFAR-FS, {facts['part']} classes",
    )
    say(to, f"The network was trained on {facts['trained_on']}.")
    if facts["trained_on"] == DATA_SETS["cifar100"].title:
        say(to, "It has seen the novel classes: this is not a few-shot result.")
    elif not facts["trained_on_base_classes"]:
        say(to, "Published results are of networks trained on CIFAR-FS's base classes.")


if __name__ == "__main__":
    run_cli(main)()
