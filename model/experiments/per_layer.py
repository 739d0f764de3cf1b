"""`per-layer`: a different ℓ in every layer, searched within the multiplications of a uniform ℓ.

Short trainings and the validation images choose; the best is then trained by the whole recipe, with
every seed, and stands beside the uniform ℓ of the same budget.
"""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING

from model.common.errors import UserError, how_stopped
from model.dham.shapes import Shape
from model.experiments.accuracy import (
    accuracy_task,
    baseline_of,
    test_accuracy,
    true_multiplications,
)
from model.experiments.plots import new_figure
from model.experiments.runs import Setting, possible
from model.experiments.session import TRAINING, Experiment, Session
from model.experiments.tables import NOT_RUN, ORIGIN, markdown, origin, over_seeds, percent
from model.searching.search import search
from model.training.hardware import hardware
from model.training.loop import train_epochs

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["PER_LAYER"]

SIZES = (1, 2, 4, 8)  # what ℓ may be in a layer


def search_key(setting: Setting, size: int) -> str:
    return f"search/{setting.label}/l{size}"


def budgets(session: Session, setting: Setting) -> list[int]:
    """ℓ whose multiplications are a budget."""
    return possible(setting, "group_size", session.sizes(session.scale.budgets))


def known_search(session: Session, setting: Setting, size: int) -> dict | None:
    """The record of a search, if it is complete."""
    key = search_key(setting, size)
    return next((r for r in session.records.all() if r["key"] == key), None)


def run_search(session: Session, setting: Setting, size: int) -> dict:
    """The record of a search: all trials, and the best by the validation images."""
    scale, store = session.scale, session.store
    uniform = setting.shape(group_size=size)
    recipe = setting.of_recipe(epochs=scale.trial_epochs)
    training, held = store.images(scale.training(setting, uniform, recipe, 0))
    steps = len(training) // recipe.batch * recipe.epochs
    session.folder.mkdir(parents=True, exist_ok=True)
    begun = time.perf_counter()
    text = f"search, budget of ℓ = {size}"
    with session.progress, session.measuring(text, scale.trials * steps) as advance:

        def score(shape: Shape) -> float:
            own = setting.shape(group_sizes=shape.group_sizes)
            trainer = store.trainer(scale.training(setting, own, recipe, 0))
            return train_epochs(trainer, advance=lambda loss: advance(1)).validation

        try:
            rows = search(
                setting.network,
                budget=true_multiplications(uniform),
                trials=scale.trials,
                study=session.folder / f"{setting.label}-l{size}.sqlite",
                training=training,
                validation=held,
                recipe=recipe,
                width=setting.width,
                sizes=SIZES,
                device=store.device,
                classes=uniform.classes,
                score=score,
            )
        except KeyboardInterrupt as error:
            word, status = how_stopped(error)
            raise UserError(
                f"{word.capitalize()} in a search: its finished trials are kept; the same command "
                "goes on",
                status,
            ) from None
    done = [row for row in rows if row.get("accuracy") is not None]
    if not done:
        raise UserError(f"No trial of the search for ℓ = {size} could be trained")
    best = max(done, key=lambda row: row["accuracy"])
    record = {
        "key": search_key(setting, size),
        "scale": scale.name,
        "kind": "search",
        "setting": setting.label,
        "group_size": size,
        "budget": true_multiplications(uniform),
        "trials": rows,
        "best": list(best["group_sizes"]),
        "trial_epochs": scale.trial_epochs,
        "hardware": hardware(store.device),
        "commit": store.commit,
        "seconds": round(time.perf_counter() - begun, 1),
    }
    if not session.records.append(record):  # another process was first: its choice counts
        return known_search(session, setting, size) or record
    return record


def run(session: Session) -> None:
    places = [(s, size) for s in session.scale.settings for size in budgets(session, s)]
    if session.train:
        searched = [s.data_set for s, size in places if known_search(session, s, size) is None]
        session.store.check_data(dict.fromkeys(searched))
    tasks = {}
    for setting, size in places:
        session.records.read()
        found = known_search(session, setting, size)
        if found is None and not session.train:
            continue
        best = (found or run_search(session, setting, size))["best"]
        for seed in session.seeds:
            for kind, shape in (
                ("uniform", setting.shape(group_size=size)),
                ("searched", setting.shape(group_sizes=tuple(best))),
            ):
                facts = {"kind": kind, "group_size": size}
                task = accuracy_task(session, setting, shape, seed, facts)
                # A search may choose a uniform ℓ: one training, then, and two records.
                task = replace(task, key=f"{kind}/l{size}/{task.key}")
                tasks[task.key] = task
    session.perform(list(tasks.values()))


def tables(session: Session) -> str:
    text = []
    for setting in session.scale.settings:
        records, rows = session.of(setting), []
        for size in budgets(session, setting):
            uniform, searched = (
                [r for r in records if (r["kind"], r["group_size"]) == (kind, size)]
                for kind in ("uniform", "searched")
            )
            found = known_search(session, setting, size)
            gain = baseline_of(searched, uniform, test_accuracy)
            chosen = f"search: {' '.join(map(str, found['best']))}" if found else "search"
            for what, mine, more in (
                (f"{size} in all layers", uniform, ""),
                (chosen, searched, percent(gain, sign=True) if gain else ""),
            ):
                count = f"{mine[0]['multiplications']:,}" if mine else ""
                level = percent(over_seeds(mine, test_accuracy))
                rows.append([str(size), what, count, level, more, *origin(mine)])
        header = ["budget: that of ℓ =", "ℓ by layer", "true multiplications", "ours, test, %"]
        header += ["searched − uniform, points, paired", *ORIGIN]
        body = markdown(header, rows) if rows else f"{NOT_RUN}\n"
        text.append(f"## {setting.title}\n\n{body}")
        for record in (r for r in records if r["kind"] == "search"):
            text.append(
                f"Search within the multiplications of ℓ = {record['group_size']}: "
                f"{len(record['trials'])} networks of {record['trial_epochs']} epochs each, "
                f"seed 0, {record['hardware']}, commit {record['commit']}, "
                f"{record['seconds']:.0f} s.\n"
            )
    text.append(
        "Chosen by the validation images. The paper names this as future work: no number of its "
        "stands beside ours.\n"
    )
    return "\n".join(text)


def figures(session: Session) -> dict[str, Figure]:
    found = {}
    for setting in session.scale.settings:
        records = [r for r in session.of(setting) if r["kind"] == "search"]
        if not records:
            continue
        figure, (axes,) = new_figure(setting.title)
        for record in records:
            done = [row for row in record["trials"] if row.get("accuracy") is not None]
            label = f"trials, budget of ℓ = {record['group_size']}"
            costs, levels = [r["cost"] for r in done], [r["accuracy"] for r in done]
            dots = axes.scatter(costs, levels, s=14, label=label)
            axes.axvline(record["budget"], color=dots.get_facecolor()[0], linestyle=":")
        axes.set_xlabel("true multiplications of one frame")
        axes.set_ylabel(f"validation accuracy after {records[0]['trial_epochs']} epochs, %")
        axes.legend(fontsize=7)
        found[f"search-{setting.network}"] = figure
    return found


PER_LAYER = Experiment(
    name="per-layer",
    # The search chooses ℓ of the layers after additions too.
    takes=("--group-sizes", *(option for option in TRAINING if option != "--dense-sums")),
    summary="a different ℓ in every layer, by search within a budget",
    run=run,
    tables=tables,
    figures=figures,
)
