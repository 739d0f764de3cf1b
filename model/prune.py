"""Pruning of feature maps by how rarely they win, beside magnitude and chance.

A removed map never wins: the rest of its group competes without it. Its filter is then never
needed, and where a whole group is gone, neither are the weights that read it. Nothing is trained
afterwards. That rarely winning maps might be pruned is future work named in arXiv 2012.01509.

`python -m model.prune FILE --data DIR` prints accuracy against the share pruned, for each
criterion; with `--share` and `--output` it writes the pruned network file.
"""

from __future__ import annotations

import argparse
import copy
import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from model import zoo
from model.common import files
from model.common.errors import Parser, UserError, run_cli
from model.common.lazy import torch
from model.common.optional import need
from model.common.terminal import Table, console, progress_bar, say
from model.data.cifar import (
    DATA_SETS,
    Images,
    check_input,
    data_set_of,
    read_test,
    read_training,
    to_input,
)
from model.golden import attach_golden
from model.integers.reference import Reference
from model.multiplications import skeleton
from model.network import Classifier, Conv, Network, save
from model.network.count import taps
from model.show import open_network
from model.wins import network_wins, torch_wins

if TYPE_CHECKING:
    from model.dham.resnet import ResNet

__all__ = ["CRITERIA", "SCOPES", "choose", "cost", "curve", "main", "prune", "scores"]

CRITERIA = ("wins", "magnitude", "random")
SCOPES = ("layer", "global")
SHARES = (0.0, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 0.7)
BATCH = 250  # images at once through a ResNet
REFERENCE_BATCH = 50  # and through the integer reference, which is fastest so
NEVER = -1e6  # β of a removed map, where an activation of 1 is 1

Either = TypeVar("Either", "ResNet", Network)
Masks = list[np.ndarray]  # for each convolution bool [Cout], true where the map is removed


def scores(
    network: ResNet | Network, criterion: str, images: Images | None = None, seed: int = 0
) -> list[np.ndarray]:
    """For each convolution, how much each map is worth, float64 [Cout]; the least goes first.

    ``wins``: share of the pixels of `images` at which the map has a record of its own, a value
    above 0 (for ℓ = 1: at which it is active). ``magnitude``: L1 norm of its filter, projection
    included, over the mean of its layer. ``random``: drawn by `seed`.
    """
    if criterion not in CRITERIA:
        raise ValueError(f"Criterion must be one of {', '.join(CRITERIA)}, not {criterion!r}")
    if criterion == "wins":
        if images is None or len(images) == 0:
            raise ValueError("Ranking by wins needs at least one image")
        return _wins(network, images)
    if criterion == "magnitude":
        norms = _filter_norms(network)
        return [norm / max(norm.mean(), 1e-12) for norm in norms]
    draw = np.random.default_rng(seed)
    return [draw.random(len(norm)) for norm in _filter_norms(network)]


def _wins(network, images):
    if isinstance(network, Network):
        found = network_wins(network, images)
    else:
        from model.dham.resnet import evaluating

        layers = [(layer.name, layer.group_size) for layer in network.layers]
        device = next(network.parameters()).device
        with evaluating(network):
            found = torch_wins(
                lambda pixels: network.activations(to_input(pixels.to(device))),
                layers,
                images,
                network.shape.classes,
            )
    return [layer.per_map().double().numpy() / layer.pixels() for layer in found]


def _filter_norms(network):
    if isinstance(network, Network):
        norms = []
        for layer in network.convs:
            norm = np.abs(layer.weights).sum((1, 2, 3)).astype(np.float64)
            if layer.projection is not None:
                shortcut = layer.projection
                norm += np.abs(shortcut.weights).sum(1) * 2.0**shortcut.exponent
            norms.append(norm)
        return norms
    # One matrix holds the filter and, where there is one, the projection.
    return [layer.weight.detach().abs().sum(1).double().cpu().numpy() for layer in network.layers]


def choose(scores: Sequence[np.ndarray], share: float, scope: str = "layer") -> Masks:
    """The maps to remove: `share` (0 to below 1) of each layer's, or of all maps together.

    The number is rounded down; of equal scores the later map goes first; one map of every layer
    stays in any case.
    """
    if not 0 <= share < 1:
        raise ValueError(f"Share to prune must be from 0 to below 1, not {share:g}")
    if scope not in SCOPES:
        raise ValueError(f"Scope must be layer or global, not {scope!r}")
    masks = [np.zeros(len(layer), bool) for layer in scores]
    if scope == "layer":
        for layer, mask in zip(scores, masks, strict=True):
            mask[_least_first(layer)[: _count(share, len(layer))]] = True
        return masks
    # Every layer's best map is kept out of the draw.
    candidates = [
        (score, -index, -number)
        for number, row in enumerate(scores)
        for index, score in enumerate(row)
        if index != _least_first(row)[-1]
    ]
    for _, place, number in sorted(candidates)[: _count(share, sum(map(len, scores)))]:
        masks[-number][-place] = True
    return masks


def _least_first(layer):
    """Indices by score; of equal scores the highest index first."""
    return np.lexsort((-np.arange(len(layer)), layer))


def _count(share, maps):
    return min(int(share * maps + 1e-9), maps - 1)


def prune(network: Either, masks: Sequence[np.ndarray]) -> Either:
    """A copy of `network` in which the maps of `masks` never win; nothing else changes.

    Of a file's network the filter, bias and factor of a removed map become 0. Its S is then 0 and
    so is Q(0) = 2^(s−1) >> s; in either order another map of the group wins wherever its Q is above
    0, and where none is, the record is (0, 0) anyway. Weights that would read the map become 0 as
    well. No accumulator's bound grows. Golden vectors and metadata are dropped: they are of
    another network.

    Of a `ResNet`, β becomes so low that the sum is below 0 whatever the input; weights stay, for a
    group shares the step of its quantiser.
    """
    maps = [len(mask) for mask in masks]
    if isinstance(network, Network):
        _check_masks(maps, [layer.channels for layer in network.convs])
        return _prune_file(network, masks)
    pruned = copy.deepcopy(network)
    layers: Any = pruned.layers
    _check_masks(maps, [layer.window[0] for layer in layers])
    with torch.no_grad():
        for layer, mask in zip(layers, masks, strict=True):
            layer.beta[torch.from_numpy(mask).to(layer.beta.device)] = NEVER
    return pruned


def _check_masks(given, maps):
    if given != maps:
        raise ValueError(f"Masks are of {given} maps, the network's layers have {maps}")


def _prune_file(network, masks):
    removed = [np.zeros(network.input_shape[2], bool), *masks]  # by tensor

    def cleared(weights, source, mask=None):
        weights = weights.copy()
        weights[..., removed[source]] = 0
        if mask is not None:
            weights[mask] = 0
        return weights

    layers: list[Conv | Classifier] = []
    for layer, mask in zip(network.convs, masks, strict=True):
        projection, identity = layer.projection, layer.identity
        if projection is not None:
            weights = cleared(projection.weights, projection.source, mask)
            projection = replace(projection, weights=weights)
        if identity is not None:
            identity = replace(identity, factor=np.where(mask, 0, identity.factor))
        layers.append(
            replace(
                layer,
                weights=cleared(layer.weights, layer.source, mask),
                bias=np.where(mask, 0, layer.bias),
                projection=projection,
                identity=identity,
            )
        )
    last = network.classifier
    layers.append(replace(last, weights=cleared(last.weights, last.source)))
    return replace(network, layers=tuple(layers), golden=None, metadata={}, sha256=None)


def cost(network: ResNet | Network, masks: Sequence[np.ndarray]) -> tuple[int, int]:
    """(multiplications of one frame, weights) that are left without the maps of `masks`.

    A removed map saves its own products; the products of whoever reads it are saved once its whole
    group is gone, because a group counts once (`model.network.count`).
    """
    if not isinstance(network, Network):
        network = skeleton(network.shape)
    tensors = network.tensors
    live = [np.ones(network.input_shape[2], bool), *(~mask for mask in masks)]
    groups = [
        int(kept.reshape(-1, tensor.group_size).any(1).sum())
        for kept, tensor in zip(live, tensors, strict=True)
    ]
    maps = [int(kept.sum()) for kept in live]
    products = weights = 0
    for index, layer in enumerate(network.convs):
        _, high, wide, _ = layer.weights.shape
        reads = taps(layer, tensors[layer.source]) * groups[layer.source]
        fan_in = high * wide * maps[layer.source]
        if layer.projection is not None:
            reads += tensors[index + 1].pixels * groups[layer.projection.source]
            fan_in += maps[layer.projection.source]
        products += reads * maps[index + 1]
        weights += fan_in * maps[index + 1]
    last = network.classifier
    products += tensors[last.source].pixels * groups[last.source] * last.channels
    return products, weights + maps[last.source] * last.channels


def curve(
    network: Either,
    images_for_ranking: Images,
    images_for_accuracy: Images,
    shares: Sequence[float],
    criterion: str,
    *,
    scope: str = "layer",
    seed: int = 0,
    advance: Callable[[int], object] | None = None,
) -> list[dict]:
    """Accuracy against the share pruned, by one criterion; a row for each share.

    Parameters
    ----------
    network : ResNet or Network
        Trained; it is left as it is. A ResNet is evaluated in its present mode and on its device.
    images_for_ranking : Images
        Wins are counted on them; no other criterion looks at them.
    shares : sequence of float
        Each 0 to below 1.
    scope : str
        ``layer``: the share of every layer; ``global``: of all maps, compared across layers.
    seed : int
        Of the criterion ``random``.
    advance : callable
        Called with the number of images after each batch.

    Returns
    -------
    list of dict
        ``criterion``, ``scope``, ``seed`` (None where nothing is drawn), ``share``, ``removed`` of
        ``maps``, ``right`` of ``images``, ``accuracy`` in percent, ``multiplications``,
        ``weights``.
    """
    if len(images_for_accuracy) == 0:
        raise ValueError("Accuracy needs at least one image")
    found = scores(network, criterion, images_for_ranking, seed)
    return _curve(network, found, images_for_accuracy, shares, criterion, scope, seed, advance)


def _curve(network, found, images, shares, criterion, scope, seed, advance) -> list[dict]:
    """The rows of `curve`, of maps with these scores."""
    rows = []
    for share in shares:
        masks = choose(found, share, scope)
        products, weights = cost(network, masks)
        right = _right(prune(network, masks), masks, images, advance)
        rows.append(
            {
                "criterion": criterion,
                "scope": scope,
                "seed": seed if criterion == "random" else None,
                "share": float(share),
                "removed": int(sum(mask.sum() for mask in masks)),
                "maps": int(sum(map(len, masks))),
                "right": right,
                "images": len(images),
                "accuracy": 100 * right / len(images),
                "multiplications": products,
                "weights": weights,
            }
        )
    return rows


def _right(pruned, masks, images, advance=None) -> int:
    """Right decisions; raises `RuntimeError` where a removed map of a ResNet has won after all."""
    right = done = 0
    for decided in _decisions(pruned, masks, images):
        labels = images.labels[done : done + len(decided)].cpu()
        right += int((decided == labels).sum())
        done += len(decided)
        if advance is not None:
            advance(len(decided))
    return right


def _decisions(pruned, masks, images):
    if isinstance(pruned, Network):
        reference = Reference(pruned)
        for first in range(0, len(images), REFERENCE_BATCH):
            part = images.pixels[first : first + REFERENCE_BATCH].cpu().numpy()
            yield torch.from_numpy(reference.logits(part).argmax(axis=1))
        return
    from model.dham.resnet import evaluating

    device = next(pruned.parameters()).device
    with evaluating(pruned):
        for first in range(0, len(images), BATCH):
            outputs = pruned.activations(to_input(images.pixels[first : first + BATCH].to(device)))
            for layer, output, mask in zip(pruned.layers, outputs, masks, strict=True):
                if output[:, torch.from_numpy(mask).to(device)].any():
                    raise RuntimeError(f"A removed map of {layer.name} has won")
            yield pruned.classifier(outputs[-1]).argmax(1).cpu()


# --- the program ----------------------------------------------------------------------------------


def write_pruned(
    network: Network, masks: Masks, path: Path, test: Images, facts: dict, advance=None
) -> Network:
    """Measure the pruned network on `test`, give it golden vectors and metadata, and save it."""
    pruned = prune(network, masks)
    right = _right(pruned, masks, test, advance)
    metadata = {
        **{key: network.metadata[key] for key in ("data_set",) if key in network.metadata},
        "pruned": {"of": network.sha256, **facts},
        "top1": round(100 * right / len(test), 4),
        "test_images": len(test),
    }
    pruned = replace(pruned, name=f"{network.name}-pruned", metadata=metadata)
    return save(attach_golden(pruned), path)


def _shares(text: str) -> tuple[float, ...]:
    try:
        found = tuple(float(part) for part in text.split(","))
    except ValueError:
        raise UserError(f"--shares: {text!r} is not a list of numbers such as 0,0.1,0.2") from None
    for share in found:
        if not 0 <= share < 1:
            raise UserError(f"--shares: a share must be from 0 to below 1, not {share:g}")
    return found


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    parser = Parser(
        prog="python -m model.prune",
        description="Accuracy of a network file against the share of feature maps pruned.",
    )
    add = parser.add_argument
    add("file", help="network file (.dham), or a name of the zoo")
    add("--data", required=True, help="folder of the binary version of the network's data set")
    add("--shares", default=",".join(f"{share:g}" for share in SHARES), help="of the table")
    add("--criteria", nargs="+", default=list(CRITERIA), metavar="NAME", help=", ".join(CRITERIA))
    add("--scope", choices=SCOPES, default="layer", help="share of every layer, or of all maps")
    add("--seed", type=int, default=0, help="of the criterion random")
    add("--images", type=int, default=1000, help="to rank on, and as many to measure on (1000)")
    add("--share", type=float, help="write the network pruned by this share, to --output")
    add("--criterion", choices=CRITERIA, default="wins", help="that --share prunes by (wins)")
    add("--output", metavar="FILE", help="pruned network file (.dham)")
    add("--limit", type=int, help="state the accuracy of FILE on the first N test images only")
    add("--json", action="store_true", help="machine-readable, on stdout")
    options = parser.parse_args(arguments)
    for name in options.criteria:
        if name not in CRITERIA:
            raise UserError(f"Criterion {name!r}: known: {', '.join(CRITERIA)}")
    for name in ("images", "limit"):
        value = getattr(options, name)
        if value is not None and value < 1:
            raise UserError(f"--{name} must be a positive integer, not {value}")
    if options.seed < 0:
        raise UserError(f"--seed must not be negative, not {options.seed}")
    if options.share is not None and not 0 <= options.share < 1:
        raise UserError(f"--share must be from 0 to below 1, not {options.share:g}")
    if (options.share is None) != (options.output is None):
        raise UserError("--share and --output belong together: what to prune, where to write it")
    if options.limit is not None and options.output is None:
        raise UserError("--limit belongs to --output: the table is of --images validation images")
    options.shares = _shares(options.shares)
    return options


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the program."""
    options = parse(arguments)
    need("torch")
    network = open_network(options.file)
    check_input(network, options.file)
    output = None
    if options.output is not None:
        output = files.check_output(options.output, "--output", keep=zoo.find(options.file))
    data_set = data_set_of(network.classes)
    training, validation = read_training(options.data, data_set)
    ranking, measured = training.first(options.images), validation.first(options.images)
    test = None
    if output is not None:
        test = read_test(options.data, data_set).first(options.limit)
    facts: dict[str, Any] = {
        "file": str(options.file),
        "sha256": network.sha256,
        "data": DATA_SETS[data_set].title,
        "ranking_images": len(ranking),
        "rows": [],
        "output": None,
    }
    try:
        with progress_bar() as bar:
            criteria = list(dict.fromkeys(options.criteria))
            steps = len(criteria) * len(options.shares) * len(measured) + len(test or ())
            task = bar.add_task("pruning", total=steps)

            def advance(count):
                bar.advance(task, count)

            keywords = {"scope": options.scope, "seed": options.seed}
            ranked = {
                criterion: scores(network, criterion, ranking, options.seed)
                for criterion in dict.fromkeys(
                    (*criteria, *[options.criterion] * (test is not None))
                )
            }
            facts["rows"] = [
                row
                for name in criteria
                for row in _curve(
                    network,
                    ranked[name],
                    measured,
                    options.shares,
                    name,
                    advance=advance,
                    **keywords,
                )
            ]
            if output is not None and test is not None:
                masks = choose(ranked[options.criterion], options.share, options.scope)
                pruned = {"criterion": options.criterion, "share": options.share, **keywords}
                pruned["removed"] = [int(mask.sum()) for mask in masks]
                written = write_pruned(network, masks, output, test, pruned, advance)
                facts["output"] = {
                    "file": str(output),
                    "sha256": written.sha256,
                    **written.metadata,
                }
    finally:  # a network that cannot be written must not take the table with it
        if facts["rows"]:
            print(json.dumps(facts, indent=2)) if options.json else _print(facts)
    return 0


def _print(facts):
    rows = facts["rows"]
    criteria = list(dict.fromkeys(row["criterion"] for row in rows))
    found = {(row["criterion"], row["share"]): row for row in rows}
    table = Table("share", "maps left", *(f"by {name}" for name in criteria), left=0)
    for share in dict.fromkeys(row["share"] for row in rows):
        line = [found[name, share] for name in criteria]
        table.add(
            f"{share:g}",
            f"{line[0]['maps'] - line[0]['removed']}",
            *(f"{row['accuracy']:.2f} %  {row['multiplications'] / 1e6:.3f} M" for row in line),
        )
    table.show(to := console())
    say(
        to,
        f"Top-1 as integers on {rows[0]['images']} validation images of {facts['data']}, without "
        f"retraining, and millions of multiplications; wins counted on "
        f"{facts['ranking_images']} training images",
    )
    if facts["output"] is not None:
        made = facts["output"]
        say(
            to,
            f"{made['file']}: {made['top1']:.2f} % top-1 as integers on {made['test_images']} "
            f"test images, {sum(made['pruned']['removed'])} maps pruned by "
            f"{made['pruned']['criterion']}",
        )


if __name__ == "__main__":
    run_cli(main)()
