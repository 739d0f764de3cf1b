"""One run of one experiment: what is to be done, what is done, and the progress of both."""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import TextColumn

from model.common.errors import UserError, how_stopped
from model.common.terminal import Bar, progress_bar
from model.experiments.records import Records
from model.experiments.runs import Setting, Training, possible
from model.experiments.scales import Scale
from model.experiments.store import Finished, Store

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["TRAINING", "Experiment", "Session", "Task", "by_size", "show_progress"]

#: Options that change what is run, of every experiment that trains (a few leave one out).
TRAINING = (
    "--seeds",
    "--network",
    "--width",
    "--data-set",
    "--recipe",
    "--epochs",
    "--batch",
    "--learning-rate",
    "--dense-sums",
    "--binary",
    "--no-training",
    "--compile",
)


@dataclass(frozen=True, kw_only=True)
class Task:
    """One record to be: a training, and what is measured on it.

    Attributes
    ----------
    key : str
        Of the record.
    facts : dict
        What the record says apart from what is measured: ℓ, c, temperatures, ...
    measure : callable
        From the finished training to the measured part of the record.
    """

    key: str
    training: Training
    facts: dict
    measure: Callable[[Finished], dict]


@dataclass(kw_only=True)
class Session:
    """What an experiment runs with.

    Attributes
    ----------
    folder : Path
        OUTPUT/NAME-LABEL, where its records and report are.
    group_sizes, groups : sequence of int
        ℓ and c that are run: the scale's, or what the user asked for.
    asked : sequence of int or None
        ℓ that the user asked for.
    command : str
        The options, for the report.
    train : bool
        Whether what is not trained is trained; otherwise it is left out.
    """

    scale: Scale
    label: str
    folder: Path
    store: Store
    records: Records
    progress: Bar
    seeds: Sequence[int]
    group_sizes: Sequence[int]
    groups: Sequence[int]
    asked: Sequence[int] | None
    command: str
    train: bool = True

    def sizes(self, usual: Sequence[int]) -> Sequence[int]:
        """ℓ of an experiment that has its own: what the user asked for, or the usual ones."""
        return usual if self.asked is None else self.asked

    def of(self, setting: Setting) -> list[dict]:
        """Records of one setting; origins that were unknown, as sidecars give them by now."""
        found = [r for r in self.records.all() if r.get("setting") == setting.label]
        return [self.store.with_origin(r) if "training" in r else r for r in found]

    @contextmanager
    def measuring(self, text: str, total: int) -> Iterator[Callable[[int], None]]:
        """A line of progress for a measurement; the function that it gives advances it."""
        task = self.progress.add_task(text, total=total, state="")
        try:
            yield lambda count: self.progress.advance(task, count)
        finally:
            self.progress.remove_task(task)

    def perform(self, tasks: Sequence[Task]) -> None:
        """Do what has no record yet, one record after another.

        With `train` off, tasks whose training is not complete are left out. What another process
        has recorded meanwhile is not done again. Data of all that is to be done is checked first.
        """
        if not self.train:
            tasks = [t for t in tasks if t.key in self.records or self.store.complete(t.training)]
        keys = [task.key for task in tasks]
        if len(set(keys)) != len(keys):
            raise ValueError("Keys of tasks must differ")
        if not tasks:
            return
        left = [task.training.data_set for task in tasks if task.key not in self.records]
        self.store.check_data(dict.fromkeys(left))
        if left:
            self.progress.say(f"Recording in {self.folder}/")
        with self.progress:
            self._perform(tasks, keys)

    def _perform(self, tasks: Sequence[Task], keys: Sequence[str]) -> None:
        whole = self.progress.add_task(
            "all runs",
            total=len(tasks),
            completed=sum(task.key in self.records for task in tasks),
            state="",
        )
        for number, task in enumerate(tasks, 1):
            self.records.read()
            self.progress.update(whole, completed=sum(key in self.records for key in keys))
            if task.key in self.records:
                continue
            self.progress.update(whole, state=f"run {number}: {task.training.name}")
            begun = time.perf_counter()
            finished = self.store.finish(task.training, self.progress)
            try:
                measured = task.measure(finished)
            except KeyboardInterrupt as error:
                word, status = how_stopped(error)
                raise UserError(
                    f"{word.capitalize()} while {task.training.name} was measured: the training "
                    "and all finished runs are kept; the same command goes on",
                    status,
                ) from None
            self.records.append(
                {
                    "key": task.key,
                    "scale": self.scale.name,
                    **task.facts,
                    **finished.facts(),
                    **measured,
                    "measured_at": self.store.commit,
                    "seconds": round(time.perf_counter() - begun, 1),
                }
            )
        done = sum(key in self.records for key in keys)
        self.progress.update(whole, completed=done, state="complete")


def by_size(
    session: Session,
    settings: Iterable[Setting],
    measure: Callable[[Finished], dict],
    least: int = 1,
) -> list[Task]:
    """Tasks that measure each setting's trainings of every ℓ of at least `least`, seed by seed."""
    tasks = []
    for setting in settings:
        for seed in session.seeds:
            for size in possible(setting, "group_size", session.group_sizes):
                if size < least:
                    continue
                shape = setting.shape(group_size=size)
                training = session.scale.training(setting, shape, setting.of_recipe(), seed)
                facts = {"setting": setting.label, "group_size": size}
                key = training.name
                tasks.append(Task(key=key, training=training, facts=facts, measure=measure))
    return tasks


@dataclass(frozen=True, kw_only=True)
class Experiment:
    """One entry of `python -m model.experiments`.

    `run` appends records to its session; `tables` makes Markdown of them and `figures` plots, of
    any part of the records. A log of a training is written `[text](log:NAME)` in `tables`, and
    becomes a link. `notes` has what it says of a scale by name, where the scale's note is wrong.
    `takes` has the options that change what it runs; the others of this kind are refused. `dense`
    says why it has no ℓ = 1, where that is so.
    """

    name: str
    summary: str
    takes: Sequence[str]
    run: Callable[[Session], None]
    tables: Callable[[Session], str]
    figures: Callable[[Session], "dict[str, Figure]"]
    notes: Mapping[str, str] = field(default_factory=dict)
    dense: str | None = None

    def note(self, scale: Scale) -> str:
        """What stands in every output at this scale."""
        return self.notes.get(scale.name, scale.note)


def show_progress(to: Console | None = None) -> Bar:
    """Lines of progress: what, how far, state, time used and left; on stderr, or `to`."""
    return progress_bar(
        TextColumn("{task.fields[state]}"),
        to=to,
        speed_estimate_period=24 * 3600,  # runs take hours
    )
