"""Finished trainings on disk, shared by all experiments: made once, read by each.

In OUTPUT/trainings: NAME.pt (checkpoint, each epoch), NAME.jsonl (an epoch a line) and NAME.json
(the sidecar, by `model.training.origin`). Files that `model.train` wrote may be put there under the
same name; its configuration must be the same. A sidecar is optional: what it does not say is
"unknown".
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from model.common.errors import UserError, how_stopped
from model.common.files import locked, write
from model.common.lazy import torch
from model.common.terminal import Bar
from model.data.cifar import Images, check_files, read_few_shot, read_test, read_training
from model.experiments.runs import Training
from model.training import checkpoint, origin
from model.training.hardware import hardware
from model.training.loop import Stop, train_epochs
from model.training.origin import UNKNOWN
from model.training.trainer import Epoch, Trainer, accuracy, reuse_memory

if TYPE_CHECKING:
    from model.dham.resnet import ResNet

__all__ = ["Finished", "Store"]


@contextmanager
def what_to_do() -> Iterator[None]:
    """Say with the error for a damaged checkpoint what helps here: it is made again."""
    try:
        yield
    except UserError as error:
        if "or is damaged" not in str(error):
            raise
        raise UserError(f"{error}: remove it, its training begins anew", error.status) from None


@dataclass(frozen=True)
class Finished:
    """A complete training: its network (in evaluation: the winner takes all) and its history."""

    training: Training
    network: ResNet
    history: list[Epoch]
    sidecar: dict
    checkpoint: str  # sha256 of its file

    def facts(self) -> dict:
        """What every record says of the training that it was measured on."""
        training, last = self.training, self.history[-1]
        recipe = asdict(training.recipe)
        return {
            "training": training.name,
            "network": training.network,
            "width": training.width,
            "group_sizes": list(training.shape.group_sizes),
            "data_set": training.data_set,
            "recipe_name": training.recipe_name,
            "recipe": json.loads(json.dumps(recipe)),
            "seed": training.seed,
            "epochs": len(self.history),
            "training_images": training.images,
            "teacher": training.teacher and training.teacher.name,
            "validation": last.validation,
            "train_seconds": round(sum(epoch.seconds for epoch in self.history), 1),
            "hardware": self.sidecar.get("hardware", UNKNOWN),
            "commit": self.sidecar.get("commit", UNKNOWN),
            "command": self.sidecar.get("command", UNKNOWN),
            "checkpoint": self.checkpoint,
        }


class Store:
    """Trainings in a folder, made on demand.

    Parameters
    ----------
    folder : Path
        OUTPUT/trainings.
    data : Path
        Folder of the data sets.
    commit, command : str
        What a training that begins now notes about itself.
    compiled : bool
        By `torch.compile`, where `model.training.trainer` can.
    """

    def __init__(
        self,
        folder: Path,
        data: Path,
        *,
        device: torch.device,
        commit: str,
        command: str,
        compiled: bool = False,
    ):
        self.folder, self.data, self.device = folder, data, device
        self.commit, self.command, self.compiled = commit, command, compiled
        self._data: dict[tuple, object] = {}

    def path(self, training: Training, suffix: str = ".pt") -> Path:
        return self.folder / f"{training.name}{suffix}"

    def _once(self, key: tuple, read: Callable[[], object]):
        if key not in self._data:
            self._data[key] = read()
        return self._data[key]

    def check_data(self, data_sets: Iterable[str]) -> None:
        """Check the files of these data sets, training and test, without reading them.

        Raises ``UserError`` for a missing one and one of a wrong size.
        """
        for data_set in data_sets:
            check_files(self.data, data_set)

    def images(self, training: Training) -> tuple[Images, Images]:
        """(training, validation) images, the validation split by seed 0 whatever the training's.

        The test images' file is checked as well: it is read after the training alone.
        """

        def read():
            self.check_data([training.data_set])
            if training.data_set != "cifar-fs":
                return read_training(self.data, training.data_set, validation=training.split)
            base = read_few_shot(self.data, "train")
            order = torch.randperm(len(base), generator=torch.Generator().manual_seed(0))
            held = min(training.split, len(base) // 10)
            return tuple(
                Images(base.pixels[part], base.labels[part])
                for part in (order[held:], order[:held])
            )

        whole, held = self._once(("training", training.data_set, training.split), read)
        return whole.first(training.images), held.first(training.held_out)

    def test(self, data_set: str, count: int | None) -> Images:
        """The first `count` test images, on the device."""
        read = self._once(("test", data_set), lambda: read_test(self.data, data_set))
        return read.first(count).to(self.device)

    def trainer(self, training: Training, teacher: ResNet | None = None) -> Trainer:
        """A trainer for it, at its beginning."""
        images, held_out = self.images(training)
        return Trainer(
            shape=training.shape,
            recipe=training.recipe,
            seed=training.seed,
            training=images,
            validation=held_out,
            device=self.device,
            teacher=teacher,
            compiled=self.compiled,
        )

    def complete(self, training: Training) -> bool:
        """Whether a checkpoint of all its epochs is there; its configuration is not checked."""
        path = self.path(training)
        if not path.exists():
            return False
        with what_to_do():
            return len(checkpoint.read(path)["history"]) >= training.recipe.epochs

    def sidecar(self, training: Training) -> dict:
        """What NAME.json says; empty where there is none."""
        return origin.read(self.path(training, ".json"))

    def with_origin(self, record: dict) -> dict:
        """The record, with what its training's sidecar knows now and did not say then."""
        unknown = [key for key in ("hardware", "commit", "command") if record[key] == UNKNOWN]
        if not unknown:
            return record
        found = origin.read(self.folder / f"{record['training']}.json")
        return record | {key: found.get(key, UNKNOWN) for key in unknown}

    def finish(self, training: Training, progress: Bar) -> Finished:
        """Load the training, or go on with it until it is complete.

        Raises ``UserError`` for a checkpoint of another configuration, a damaged one, a loss that
        is not a number, and Ctrl-C (status 130): what is complete stays.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        reuse_memory()
        teacher = None
        if training.teacher is not None:
            teacher = self.finish(training.teacher, progress).network
        path = self.path(training)
        trainer = self.trainer(training, teacher)
        with self.alone(training, progress):
            if path.exists():
                with what_to_do():
                    trainer.load(path)
            if len(trainer.history) < training.recipe.epochs:
                self._train(training, trainer, progress)
            elif not self._logged(training, trainer.history):
                self._log(training, trainer.history)
        trainer.network.eval()
        sidecar, digest = self.sidecar(training), checkpoint.digest(path)
        return Finished(training, trainer.network, trainer.history, sidecar, digest)

    @contextmanager
    def alone(self, training: Training, progress: Bar) -> Iterator[None]:
        """Wait until no other process trains it; a lock ends when its process does."""
        place = self.folder / "locks" / training.name
        place.parent.mkdir(exist_ok=True)
        with ExitStack() as stack:
            waiting = f"waiting for the process that trains {training.name}"
            try:
                stack.enter_context(locked(place, busy=waiting))
            except UserError:
                progress.say(waiting)
                stack.enter_context(locked(place))
            yield

    def _logged(self, training: Training, history: list[Epoch]) -> bool:
        path = self.path(training, ".jsonl")
        return path.exists() and path.read_text("utf-8").count("\n") == len(history)

    def _log(self, training: Training, history: list[Epoch]) -> None:
        lines = "".join(json.dumps(asdict(epoch)) + "\n" for epoch in history)
        write(self.path(training, ".jsonl"), lines)

    def _train(self, training: Training, trainer: Trainer, progress: Bar) -> None:
        epochs, name = training.recipe.epochs, training.name
        origin.describe(
            self.path(training, ".json"),
            begun=bool(trainer.history),
            hardware=hardware(self.device),
            commit=self.commit,
            command=self.command,
        )
        task = progress.add_task(
            name, total=trainer.total, completed=len(trainer.history) * trainer.steps, state=""
        )

        def keep(epoch: Epoch) -> None:
            trainer.save(self.path(training))
            self._log(training, trainer.history)

        def say(epoch: Epoch) -> None:
            progress.say(
                f"{name}: epoch {epoch.epoch}/{epochs}, loss {epoch.loss:.3f}, "
                f"validation {epoch.validation:.2f} %, {epoch.seconds:.0f} s"
            )

        try:
            train_epochs(
                trainer,
                begin=lambda number: progress.update(task, state=f"epoch {number}/{epochs}"),
                advance=lambda loss: progress.advance(task),
                keep=keep,
                say=say,
                stopped=lambda error, kept: self._what_stopped(training, error, kept),
            )
        finally:
            progress.remove_task(task)

    def _what_stopped(self, training: Training, error: Stop, number: int) -> UserError | None:
        """What to tell of a training that ended early, `number` epochs of it being kept."""
        name = training.name
        kept = f"the checkpoint of epoch {number} is kept: {self.path(training)}"
        if isinstance(error, KeyboardInterrupt):
            word, status = how_stopped(error)
            what = kept if number else "no epoch of it was complete"
            return UserError(
                f"{word.capitalize()} in epoch {number + 1} of {name}: {what}; finished runs are "
                "recorded; the same command goes on",
                status,
            )
        if isinstance(error, UserError):
            return UserError(f"{name}: {error}{f'; {kept}' if number else ''}", error.status)
        return None

    def tested(self, finished: Finished, count: int | None) -> dict:
        """Accuracy on the first `count` test images: {"right", "images", "accuracy"}.

        Measured once for a checkpoint, and kept in its sidecar.
        """
        images = self.test(finished.training.data_set, count)
        return origin.tested(
            self.path(finished.training, ".json"),
            checkpoint=finished.checkpoint,
            images=len(images),
            hardware=hardware(self.device),
            measure=lambda: accuracy(finished.network, images),
        )
