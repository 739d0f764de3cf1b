"""`pruning`: accuracy against the share of feature maps removed, rarest winners first.

Beside it, the smallest filters first, and chance. On the trainings of table 1; nothing is trained
afterwards.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from model.common.statistics import interval
from model.experiments.plots import curve, new_figure
from model.experiments.session import TRAINING, Experiment, Session, by_size
from model.experiments.store import Finished
from model.experiments.tables import NOT_RUN, ORIGIN, markdown, origin, over_seeds, percent
from model.measure.pruning import CRITERIA
from model.measure.pruning import curve as pruned_curve

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["PRUNING"]


def measure(session: Session) -> Callable[[Finished], dict]:
    """Curves by all criteria: ranked on validation images, measured on test images."""
    scale, store = session.scale, session.store

    def run(finished: Finished) -> dict:
        training = finished.training
        _, held = store.images(training)
        ranking = held.first(scale.ranked)
        test = store.test(training.data_set, scale.test)
        rows = []
        with session.measuring("pruning", len(CRITERIA) * len(scale.shares) * len(test)) as advance:
            for criterion in CRITERIA:
                rows += pruned_curve(
                    finished.network,
                    ranking,
                    test,
                    scale.shares,
                    criterion,
                    seed=training.seed,
                    advance=advance,
                )
        return {"pruned": rows, "ranked_on": len(ranking)}

    return run


def run(session: Session) -> None:
    session.perform(by_size(session, session.scale.settings, measure(session)))


def rows_of(record: dict, criterion: str, share: float) -> list[dict]:
    return [
        row for row in record["pruned"] if (row["criterion"], row["share"]) == (criterion, share)
    ]


def value(criterion: str, share: float, key: str = "accuracy") -> Callable[[dict], float]:
    return lambda record: rows_of(record, criterion, share)[0][key]


def shares_of(records: list[dict]) -> list[float]:
    """Shares that all records have."""
    found = [{row["share"] for row in record["pruned"]} for record in records]
    return sorted(set.intersection(*found)) if found else []


def tables(session: Session) -> str:
    text = []
    for setting in session.scale.settings:
        records, rows = session.of(setting), []
        for size in sorted({r["group_size"] for r in records}):
            mine = [r for r in records if r["group_size"] == size]
            whole = mine[0]["pruned"][0]["multiplications"]
            for share in shares_of(mine):
                left = over_seeds(mine, value("wins", share, "multiplications"))
                rows.append(
                    [
                        str(size),
                        f"{share:g}",
                        *(percent(over_seeds(mine, value(c, share))) for c in CRITERIA),
                        f"{left.mean / whole:.3f}" if left else "",
                        *origin(mine),
                    ]
                )
        header = ["ℓ", "share of each layer removed", "rarest winners first, test, %"]
        header += ["smallest filters first, test, %", "by chance, test, %"]
        header += ["multiplications left, rarest winners", *ORIGIN]
        body = markdown(header, rows) if rows else f"{NOT_RUN}\n"
        text.append(f"## {setting.title}\n\n{body}")
        text += [verdict(records, size) for size in sorted({r["group_size"] for r in records})]
    text.append(
        "Removed maps never win: the rest of their group competes without them. For ℓ = 1 a map "
        "wins where it is active. Maps are ranked on validation images. The paper names this as "
        "future work: no number of its stands beside ours.\n"
    )
    return "\n".join(text)


def verdict(records: list[dict], size: int) -> str:
    """How much can go before a point of accuracy is lost, by each criterion."""
    mine, parts = [r for r in records if r["group_size"] == size], []
    shares = shares_of(mine)
    for criterion in CRITERIA:
        levels = [interval([value(criterion, s)(r) for r in mine]).mean for s in shares]
        lost = [level < levels[0] - 1 for level in levels]
        last = shares[lost.index(True) - 1 if any(lost) else -1]
        parts.append(f"{criterion} {last:g}")
    return (
        f"ℓ = {size}: the largest share tried up to which at most one point is lost: "
        f"{', '.join(parts)}.\n"
    )


def figures(session: Session) -> dict[str, Figure]:
    found = {}
    for setting in session.scale.settings:
        records = session.of(setting)
        sizes = sorted({r["group_size"] for r in records})
        if not sizes:
            continue
        figure, axes = new_figure(setting.title, columns=len(sizes), size=(3.8, 3.4))
        for size, place in zip(sizes, axes, strict=True):
            mine = [r for r in records if r["group_size"] == size]
            for criterion in CRITERIA:
                points = [
                    (share, level)
                    for share in shares_of(mine)
                    if (level := over_seeds(mine, value(criterion, share)))
                ]
                curve(place, points, criterion)
            place.set(xlabel="share of each layer's maps removed", ylabel="test accuracy, %")
            place.set_title(f"ℓ = {size}", fontsize=9)
            place.legend(fontsize=7)
        found[f"pruning-{setting.network}"] = figure
    return found


PRUNING = Experiment(
    name="pruning",
    takes=("--group-sizes", *TRAINING),
    summary="accuracy against the share of feature maps pruned",
    run=run,
    tables=tables,
    figures=figures,
)
