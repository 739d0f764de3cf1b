"""The study behind `model.search`: who works on which trial, and what became of it.

Optuna proposes and keeps the trials; who works on which is settled here, by locks that the
operating system lets go of when a process ends, however it ends. So a killed worker's trial is
known at once, is started again by whoever comes next, and is never run by two. (Optuna's own
heartbeat asks for patience instead: it takes a stopped process for a dead one, and misses one that
dies before its first beat.)
"""

import math
import random
import time
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from model.common.errors import UserError
from model.common.files import locked
from model.searching.space import Costs, Space

__all__ = ["ATTEMPTS", "DRAWS", "STARTUP", "Study", "Task"]

ATTEMPTS = 3  # times that a trial is started before it is given up: it may kill its workers
STARTUP = 10  # trials that are drawn at random, before Optuna's sampler knows enough
DRAWS = 20  # proposals of the sampler for one trial; then as many at random before it is given up
UNFIT = 10.0  # constraint of a network that does not fit: as one far over the budget
NAME = "ell"  # of the study within its file


@dataclass(frozen=True)
class Task:
    slot: int
    trial: Any  # of Optuna
    group_sizes: tuple[int, ...]


class Study:
    """The study's file, opened, and its locks.

    FILE.lock is held while a trial is being chosen, FILE.N.lock while trial N is being run. A
    planned trial is a slot; Optuna's trials that carry its number are its proposals and attempts,
    and at most one of them is complete.
    """

    def __init__(self, path: Path, space: Space | None = None, configuration: dict | None = None):
        self.path = Path(path)
        self.space: Any = space  # None where trials are only read
        self.configuration: Any = configuration
        if not self.path.parent.is_dir():
            raise UserError(f"No folder {self.path.parent} to write the study {self.path} into")

    def __enter__(self):
        self.held: dict[int, ExitStack] = {}  # locks of trials that this process runs
        with self.choosing():
            self.open()
        return self

    def __exit__(self, *_):
        self.storage.remove_session()
        self.storage.engine.dispose()
        for slot in list(self.held):
            self.release(slot)

    def choosing(self) -> AbstractContextManager[None]:
        return locked(self.path.with_name(f"{self.path.name}.lock"))

    def lock(self, slot: int) -> AbstractContextManager[None]:
        """The lock of a slot; `UserError` where another process has it."""
        return locked(self.path.with_name(f"{self.path.name}.{slot}.lock"), f"Slot {slot} is run")

    def release(self, slot: int) -> None:
        self.held.pop(slot).close()

    def open(self) -> None:
        import optuna
        from sqlalchemy.exc import DatabaseError

        optuna.logging.set_verbosity(optuna.logging.ERROR)  # rows are reported instead
        try:
            self.storage = optuna.storages.RDBStorage(
                f"sqlite:///{self.path}", engine_kwargs={"connect_args": {"timeout": 120}}
            )
            self.quick_commits()
            known = NAME in [one.study_name for one in optuna.get_all_study_summaries(self.storage)]
            if not known and self.configuration is None:
                raise UserError(f"{self.path} is no study of this program")
            self.study = optuna.create_study(
                storage=self.storage, study_name=NAME, direction="maximize", load_if_exists=True
            )
        except (DatabaseError, RuntimeError) as error:
            reason = str(error.args[0] if error.args else error).split("\n")[0]
            raise UserError(f"{self.path} is no study of this program: {reason}") from None
        if self.configuration is None:
            return
        found = self.study.user_attrs.get("configuration")
        if found is None:
            self.study.set_user_attr("configuration", self.configuration)
        elif found != self.configuration:
            keys = {**self.configuration, **found}
            key = next(k for k in keys if found.get(k) != self.configuration.get(k))
            raise UserError(
                f"{self.path} is a study of another configuration: its {key} is "
                f"{found.get(key)}, not {self.configuration.get(key)}"
            )
        # Every worker draws its own random numbers; a single worker always the same ones.
        number = self.study.user_attrs.get("workers", 0)
        self.study.set_user_attr("workers", number + 1)
        seed = (self.configuration["seed"] * 1_000_003 + number) % 2**32
        self.study.sampler = optuna.samplers.TPESampler(seed=seed, n_startup_trials=STARTUP)
        self.random = random.Random(seed)

    def quick_commits(self) -> None:
        """Write-ahead log without a flush at every commit: a killed process loses nothing by it.

        (After a power failure the last commits may be missing; the file stays sound.)
        """
        from sqlalchemy import event

        @event.listens_for(self.storage.engine, "connect")
        def pragmas(connection, _):
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = NORMAL")

        self.storage.engine.dispose()  # connections made so far are without

    def alive(self, slot: int) -> bool:
        """Whether a process is running this slot."""
        try:
            with self.lock(slot):
                return False
        except UserError:
            return True

    def slots(self) -> dict[int, list]:
        """Optuna's trials by slot, in order."""
        found: dict[int, list] = {}
        for trial in self.study.get_trials():
            found.setdefault(trial.user_attrs["slot"], []).append(trial)
        return found

    def claim(self, trials: int, cost: Costs) -> "Task | str | None":
        """The next trial to run, its slot locked; ``wait`` while others run; None at the end."""
        from optuna.trial import TrialState

        with self.choosing():
            running = False
            for slot, attempts in self.slots().items():
                if attempts[-1].state == TrialState.RUNNING:
                    if self.alive(slot):
                        running = True
                    else:
                        self.study.tell(attempts[-1].number, state=TrialState.FAIL)
            while True:
                slots = self.slots()
                waiting = [s for s, tries in slots.items() if _state(tries) == "waiting"]
                opened = (s for s in range(trials) if _state(slots.get(s, [])) == "open")
                slot = waiting[0] if waiting else next(opened, -1)
                if slot < 0:
                    return "wait" if running else None
                if not waiting:
                    self.enqueue(slot, slots, cost)
                if (task := self.draw(slot, cost)) is not None:
                    return task

    def enqueue(self, slot, slots, cost):
        """Queue a trial of `slot`: the killed one again, the uniform ℓ, or a new proposal."""
        from optuna.trial import TrialState

        tries, budget = slots.get(slot, []), self.configuration["budget"]
        fixed = {}  # left to the sampler
        if tries and tries[-1].state == TrialState.FAIL:
            fixed = tries[-1].params
        elif slot == 0 and not tries and (uniform := self.space.uniform(cost, budget)):
            fixed = self.space.places(uniform)
        elif slot < STARTUP or len(tries) >= DRAWS:
            fixed = self.space.places(self.space.random(self.random, cost, budget))
        self.study.enqueue_trial(fixed, user_attrs={"slot": slot})

    def draw(self, slot, cost) -> Task | None:
        """Take the queued trial of `slot`; None where it is over the budget or known already.

        Such a proposal is not trained. It stays in the study, pruned: the sampler learns from its
        constraint where the budget ends. One that does not fit has its `reason`, and no cost.
        """

        with ExitStack() as held:
            held.enter_context(self.lock(slot))
            task = self.propose(slot, cost)
            if task is not None:
                self.held[slot] = held.pop_all()
            return task

    def propose(self, slot, cost) -> Task | None:
        """As `draw`, with the slot's lock held."""
        from optuna.trial import TrialState

        trial = self.study.ask()
        sizes, budget = self.space.suggest(trial), self.configuration["budget"]
        shape = self.space.shape(sizes)
        try:
            price = cost(shape)
        except BaseException:  # the trial is not to blame
            trial.set_user_attr("interrupted", True)
            self.study.tell(trial, state=TrialState.FAIL)
            raise
        fits = math.isfinite(price)
        known = {
            tuple(other.user_attrs["group_sizes"])
            for other in self.study.get_trials(
                states=(TrialState.COMPLETE, TrialState.RUNNING), deepcopy=False
            )
            if "group_sizes" in other.user_attrs
        }
        # JSON has no infinity.
        trial.set_constraint("budget", (price - budget) / budget if fits else UNFIT)
        trial.set_user_attr("cost", price if fits else None)
        if not fits:
            trial.set_user_attr("reason", cost.reasons.get(shape))
        if not price <= budget or tuple(sizes) in known:
            self.study.tell(trial, state=TrialState.PRUNED)
            return None
        trial.set_user_attr("group_sizes", sizes)
        return Task(slot, trial, tuple(sizes))

    def run(self, task: Task, score) -> None:
        """Run a claimed trial, and let go of its slot."""
        from optuna.trial import TrialState

        start = time.perf_counter()
        try:
            accuracy = float(score(self.space.shape(task.group_sizes)))
            if not math.isfinite(accuracy):
                raise UserError(f"Accuracy is {accuracy}")
        except UserError as error:  # a loss that is not a number would be none the next time either
            task.trial.set_user_attr("error", str(error))
            self.study.tell(task.trial, state=TrialState.PRUNED)
        except BaseException as error:
            # Whoever interrupts a program does not mean that its trial is to blame.
            task.trial.set_user_attr("interrupted", isinstance(error, KeyboardInterrupt))
            self.study.tell(task.trial, state=TrialState.FAIL)
            raise
        else:
            task.trial.set_user_attr("seconds", round(time.perf_counter() - start, 2))
            self.study.tell(task.trial, accuracy)
        finally:
            self.release(task.slot)

    def rows(self, trials: int) -> list[dict]:
        slots = self.slots()
        return [_row(slot, slots.get(slot, [])) for slot in range(trials)]


def _state(tries) -> str:
    """Of a slot: open, waiting, running, complete, failed, lost (killed too often), exhausted."""
    from optuna.trial import TrialState

    states = [trial.state for trial in tries]
    for state in (TrialState.COMPLETE, TrialState.RUNNING, TrialState.WAITING):
        if state in states:
            return state.name.lower()
    if any("error" in trial.user_attrs for trial in tries):
        return "failed"
    killed = [
        trial
        for trial in tries
        if trial.state == TrialState.FAIL and not trial.user_attrs.get("interrupted")
    ]
    if len(killed) >= ATTEMPTS:
        return "lost"
    return "exhausted" if states.count(TrialState.PRUNED) >= 2 * DRAWS else "open"


def _row(slot, tries):
    state = _state(tries)
    trial = next((t for t in tries if t.state.name.lower() == state), tries[-1] if tries else None)
    facts = trial.user_attrs if trial is not None else {}
    sizes = facts.get("group_sizes")
    return {
        "slot": slot,
        "state": state,
        "group_sizes": sizes,
        "uniform": sizes is not None and len(set(sizes)) == 1,
        "cost": facts.get("cost") if sizes is not None else None,
        "accuracy": trial.value if state == "complete" else None,
        "seconds": facts.get("seconds"),
        "attempts": sum("group_sizes" in t.user_attrs for t in tries),
        "error": facts.get("error"),
    }
