"""Figures 2 to 4: share of wins of each feature map within its group, by layer and for two classes.

Counted on the test images, on the trainings of table 1.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from model.common.lazy import torch
from model.data.cifar import DATA_SETS, to_input
from model.experiments.session import TRAINING, Experiment, Session, by_size
from model.experiments.store import Finished
from model.experiments.tables import NOT_RUN, ORIGIN, markdown, origin, over_seeds, percent
from model.measure.wins import Wins, torch_wins
from model.measure.wins_figures import classes_figure, layer_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["FIGURES", "drawn_layers"]

#: Two classes of each data set that look alike.
PAIRS = {"cifar10": ("cat", "dog"), "cifar100": ("leopard", "tiger")}


def drawn_layers(names: Sequence[str], count: int) -> list[str]:
    """`count` layers, the last one among them, evenly spread from the first."""
    step = (len(names) - 1) / max(count - 1, 1)
    places = {len(names) - 1, *(round(index * step) for index in range(count - 1))}
    return [names[place] for place in sorted(places)]


def pair_of(data_set: str) -> tuple[int, int]:
    classes = DATA_SETS[data_set].classes
    first, second = PAIRS[data_set]
    return classes.index(first), classes.index(second)


def kept(wins: Wins, pair: tuple[int, int], whole: bool) -> dict:
    """What the record keeps of a layer: a summary, and the counts if it is to be drawn."""
    shares = wins.shares()
    found = {
        "layer": wins.name,
        "group_size": wins.group_size,
        "groups": wins.groups,
        "silent": float(wins.silent_share().mean()),
        "largest": float(shares.amax(1).mean()),
        "smallest": float(shares.amin(1).mean()),
        "entropy": float(wins.entropy().mean()),
        "distance": float(wins.distance(*pair).mean()),
        "never": len(wins.never()),
    }
    if whole:  # the two classes, and all others together
        rest = [label for label in range(wins.classes) if label not in pair]
        for key in ("counts", "silent"):
            values = getattr(wins, key)
            parts = [values[pair[0]], values[pair[1]], values[rest].sum(0)]
            found[f"{key}_by_class"] = [part.tolist() for part in parts]
    return found


def measure(session: Session) -> Callable[[Finished], dict]:
    scale, store = session.scale, session.store

    def run(finished: Finished) -> dict:
        training, network = finished.training, finished.network
        images, pair = store.test(training.data_set, scale.test), pair_of(training.data_set)
        layers = [(c.name, c.group_size) for c in training.shape.convolutions()]
        with session.measuring("wins", len(images)) as advance:
            found = torch_wins(
                lambda pixels: network.activations(to_input(pixels)),
                layers,
                images,
                len(DATA_SETS[training.data_set].classes),
                advance=advance,
            )
        drawn = drawn_layers([name for name, size in layers if size > 1], scale.layers)
        rows = [kept(wins, pair, wins.name in drawn) for wins in found if wins.group_size > 1]
        return {"images": len(images), "layers": rows}

    return run


def run(session: Session) -> None:
    # A dense layer has nothing to win.
    session.perform(by_size(session, session.scale.settings, measure(session), least=2))


def tables(session: Session) -> str:
    text = []
    for setting in session.scale.settings:
        records, rows = session.of(setting), []
        first, second = PAIRS[setting.data_set]
        for size in sorted({r["group_size"] for r in records}):
            mine = [r for r in records if r["group_size"] == size]
            for index, layer in enumerate(mine[0]["layers"]):

                def share(key: str, index: int = index, factor: float = 100) -> Callable:
                    return lambda record: factor * record["layers"][index][key]

                never = over_seeds(mine, share("never", factor=1))
                rows.append(
                    [
                        str(size),
                        layer["layer"],
                        *(
                            percent(over_seeds(mine, share(key)))
                            for key in ("silent", "largest", "smallest", "distance")
                        ),
                        percent(over_seeds(mine, share("entropy", factor=1))),
                        f"{never.text() if never else ''} of {layer['groups'] * size}",
                        *origin(mine),
                    ]
                )
        header = ["ℓ", "layer", "silent pixels, %", "largest share of a group, %"]
        header += ["smallest share, %", f"{first} against {second}, %", "entropy, bits"]
        header += ["maps that never win", *ORIGIN]
        body = markdown(header, rows) if rows else f"{NOT_RUN}\n"
        text.append(f"## {setting.title}\n\n{body}")
    text.append(
        "Means over the groups of a layer, counted over all pixels of the test images; a pixel "
        "where a group is silent counts for none of its maps. *A against B*: the part of the wins "
        "that would have to change maps between the two classes. The paper shows such shares as "
        "plots only (figures 2 to 4), so no number of its stands beside ours.\n"
    )
    return "\n".join(text)


def rebuilt(layer: dict) -> Wins:
    """The counts of a record's layer: classes 0 and 1 are the pair, 2 all others."""
    wins = Wins(layer["layer"], layer["group_size"], layer["groups"], 3)
    wins.counts = torch.tensor(layer["counts_by_class"])
    wins.silent = torch.tensor(layer["silent_by_class"])
    return wins


def figures(session: Session) -> dict[str, Figure]:
    found = {}
    for setting in session.scale.settings:
        records = session.of(setting)
        for size in sorted({r["group_size"] for r in records}):
            mine = [r for r in records if r["group_size"] == size]
            record = min(mine, key=lambda r: r["seed"])  # a figure shows one network
            for layer in record["layers"]:
                if "counts_by_class" not in layer:
                    continue
                wins, title = rebuilt(layer), f"{setting.title}, seed {record['seed']}"
                stem = f"{setting.network}-l{size}-{layer['layer']}"
                found[f"{stem}-all"] = layer_figure(wins, title)
                names = PAIRS[setting.data_set]
                found[f"{stem}-{'-'.join(names)}"] = classes_figure(wins, (0, 1), names, title)
    return found


FIGURES = Experiment(
    name="figures",
    takes=("--group-sizes", *TRAINING),
    dense="a group of one map has nothing to win",
    summary="figures 2 to 4: which feature map of a group wins how often",
    run=run,
    tables=tables,
    figures=figures,
)
