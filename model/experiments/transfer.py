"""Table 4: few-shot accuracy on CIFAR-FS, by features of networks trained on its base classes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from model.data.cifar import read_few_shot
from model.experiments import paper
from model.experiments.plots import by_setting, curve
from model.experiments.runs import Setting
from model.experiments.session import TRAINING, Experiment, Session, by_size
from model.experiments.store import Finished
from model.experiments.tables import (
    NOT_RUN,
    ORIGIN,
    markdown,
    missing,
    origin,
    over_seeds,
    paper_title,
    percent,
)
from model.measure.few_shot import VARIANTS, features_of, few_shot

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["TABLE4"]

WAYS, SHOTS = 5, 5


def few_shot_setting(setting: Setting) -> Setting:
    """The same network and recipe on CIFAR-FS."""
    return replace(setting, data_set="cifar-fs")


def measure(session: Session) -> Callable[[Finished], dict]:
    """A measurement by all three variants, on the novel classes."""
    scale, store = session.scale, session.store

    def run(finished: Finished) -> dict:
        novel = read_few_shot(store.data, "test")
        base, _ = store.images(finished.training)
        total = len(novel) + len(base) + len(VARIANTS) * scale.episodes
        with session.measuring("few-shot", total) as advance:
            mean = features_of(finished.network, base.pixels, store.device, advance).mean(0)
            found = features_of(finished.network, novel.pixels, store.device, advance)
            labels, results = novel.labels.to(store.device), {}
            for variant in VARIANTS:
                result = few_shot(
                    found,
                    labels,
                    base_mean=mean,
                    variant=variant,
                    ways=WAYS,
                    shots=SHOTS,
                    queries=scale.queries,
                    episodes=scale.episodes,
                    advance=advance,
                )
                results[variant] = {"mean": result.mean, "interval": result.interval}
        return {"few_shot": results, "episodes": scale.episodes, "queries": scale.queries}

    return run


def run(session: Session) -> None:
    settings = map(few_shot_setting, session.scale.settings)
    session.perform(by_size(session, settings, measure(session)))


def value(variant: str) -> Callable[[dict], float]:
    return lambda record: record["few_shot"][variant]["mean"]


def columns(setting: Setting) -> list[str]:
    return [setting.network] if setting.network in paper.TABLE4 else list(paper.TABLE4)


def tables(session: Session) -> str:
    text = []
    for setting in map(few_shot_setting, session.scale.settings):
        records, others = session.of(setting), columns(setting)
        rows = []
        for size in sorted({*paper.TABLE4["resnet18"], *(r["group_size"] for r in records)}):
            mine = [r for r in records if r["group_size"] == size]
            row = [str(size)]
            row += [
                f"{paper.TABLE4[n][size]:.2f}" if size in paper.TABLE4[n] else "" for n in others
            ]
            if mine:
                row += [percent(over_seeds(mine, value(variant))) for variant in VARIANTS]
                spread = max(r["few_shot"][v]["interval"] for r in mine for v in VARIANTS)
                row.append(f"± {spread:.2f}")
            else:
                row.append(missing(setting, "group_size", size))
                row += [NOT_RUN] * (len(VARIANTS) - 1) + [""]
            rows.append(row + origin(mine))
        header = ["ℓ", *(f"{paper_title(n, 'cifar-fs')}, %" for n in others)]
        header += [f"ours, {variant}, %" for variant in VARIANTS]
        header += ["of the episodes of one seed, at most"]
        text.append(f"## {setting.title}\n\n{markdown([*header, *ORIGIN], rows)}")
    queries = session.scale.queries
    text.append(
        f"{WAYS} ways, {SHOTS} shots, {session.scale.episodes:,} episodes, "
        f"{'all other images' if queries is None else f'{queries} queries'} a class; the network "
        "never saw the novel classes. UN: features as they are; L2N: of length 1; CL2N: the base "
        "classes' mean subtracted before that (SimpleShot, arXiv 1911.04623). The paper prints ± "
        "0.13 to 0.17 over its episodes.\n"
    )
    return "\n".join(text)


def figures(session: Session) -> dict[str, Figure]:
    def draw(setting, axes):
        records = session.of(few_shot_setting(setting))
        for variant in VARIANTS:
            points = [
                (size, found)
                for size in sorted({r["group_size"] for r in records})
                if (
                    found := over_seeds(
                        [r for r in records if r["group_size"] == size], value(variant)
                    )
                )
            ]
            curve(axes, points, f"ours: {variant}")
        for name in columns(setting):
            known = paper.TABLE4[name]
            axes.plot(list(known), list(known.values()), "--x", label=paper_title(name, "cifar-fs"))
        axes.set_xscale("log", base=2)
        axes.set(xlabel="group size ℓ", ylabel="few-shot accuracy, %")

    return {"few-shot": by_setting(session.scale.settings, draw)}


TABLE4 = Experiment(
    name="table4",
    # Its data set is CIFAR-FS.
    takes=("--group-sizes", *(option for option in TRAINING if option != "--data-set")),
    summary="few-shot accuracy on CIFAR-FS by nearest class mean",
    run=run,
    tables=tables,
    figures=figures,
)
