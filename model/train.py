"""`python -m model.train`: train and quantise a DHAM network, and write its file.

In the output folder: NAME.pt (checkpoint, each epoch), NAME.jsonl (metrics, a line an epoch),
NAME.png (curves) and NAME.json (hardware, commit and command: `model.training.origin`). A recipe
that quantises adds NAME.float.pt (the checkpoint before that began) and, at the end, NAME.dham (the
network file); another one the accuracy on the test images, in NAME.json. NAME.lock is there while a
process trains it.
"""

from __future__ import annotations

import argparse
import io
import json
import shlex
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from dataclasses import asdict, replace
from pathlib import Path

from rich.console import Console
from rich.progress import TextColumn

from model.common.lazy import torch

# isort: split
from model.common import distributed, files, heartbeat, terminal
from model.common.errors import UserError, how_stopped, run_cli
from model.common.optional import need
from model.common.terminal import progress_bar, say
from model.data.cifar import DATA_SETS, Images, check_files, read_test, read_training
from model.network import save
from model.training import checkpoint, origin
from model.training.export import export, finish
from model.training.hardware import hardware
from model.training.loop import Stop, train_epochs
from model.training.options import command_line, parse, recipe_of, shape_from
from model.training.trainer import Epoch, Trainer, accuracy, reuse_memory

__all__ = ["main", "parse", "plot", "recipe_of", "train"]


def plot(history: list[Epoch], path: Path) -> None:
    """Curves of loss and accuracies over the epochs, as PNG."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    epochs = [e.epoch for e in history]
    figure, (left, right) = pyplot.subplots(1, 2, figsize=(10, 4), layout="constrained")
    left.plot(epochs, [e.loss for e in history])
    left.set(xlabel="epoch", ylabel="training loss", yscale="log")
    right.plot(epochs, [e.training for e in history], label="training, augmented")
    right.plot(epochs, [e.validation for e in history], label="validation")
    first = next((e.epoch for e in history if e.quantised), None)
    if first is not None:
        right.axvline(first, color="grey", linestyle=":", label="quantised from here")
    right.set(xlabel="epoch", ylabel="top-1, %")
    right.legend()
    data = io.BytesIO()
    figure.savefig(data, format="png", dpi=120)
    pyplot.close(figure)
    files.write(path, data.getvalue())


def write_metrics(history: list[Epoch], path: Path) -> None:
    """All epochs so far, one JSON object a line; rewritten whole, so that a resumed run agrees."""
    files.write(path, "".join(json.dumps(asdict(epoch)) + "\n" for epoch in history))


def write_epoch(trainer: Trainer, base: Path, epoch: Epoch) -> None:
    """Checkpoint, metrics and curves after an epoch; the first of several processes writes them."""
    trainer.save(base.with_name(base.name + ".pt"))
    if trainer.recipe.quantise < 1 and not epoch.quantised:  # the last of these stays
        trainer.save(base.with_name(base.name + ".float.pt"))

    def write():
        write_metrics(trainer.history, base.with_name(base.name + ".jsonl"))
        plot(trainer.history, base.with_name(base.name + ".png"))

    distributed.together(write if distributed.rank() == 0 else lambda: None)


def run_epochs(trainer: Trainer, base: Path, to: Console, command: str) -> None:
    """Train the epochs that are left, with a checkpoint after each."""
    state = TextColumn("{task.fields[state]}")
    total = trainer.recipe.epochs
    with progress_bar(state, to=to) as progress:
        task = progress.add_task(
            "training",
            total=trainer.total,
            state="",
            completed=len(trainer.history) * trainer.steps,
        )

        def begin(number: int) -> None:
            progress.update(task, description=f"epoch {number}/{total}")

        def advance(loss: float) -> None:
            progress.update(task, advance=1, state=f"loss {loss:.3f}")

        def say_epoch(epoch: Epoch) -> None:
            progress.say(
                f"epoch {epoch.epoch}/{total}: loss {epoch.loss:.3f}, "
                f"training {epoch.training:.2f} %, validation {epoch.validation:.2f} %"
                f"{', quantised' if epoch.quantised else ''}, {epoch.seconds:.0f} s"
            )

        train_epochs(
            trainer,
            begin=begin,
            advance=advance,
            keep=lambda epoch: write_epoch(trainer, base, epoch),
            say=say_epoch,
            stopped=lambda error, kept: what_stopped(error, kept, base, command),
        )


def what_stopped(error: Stop, written: int, base: Path, command: str) -> UserError:
    """What to tell of a training that ended early, `written` epochs of it being kept."""
    if isinstance(error, KeyboardInterrupt):
        word, status = how_stopped(error)
        kept = (
            f"the checkpoint after epoch {written} is kept; go on with: {command} --resume"
            if written
            else "no epoch was complete"
        )
        return UserError(f"{word.capitalize()} in epoch {written + 1}: {kept}", status)
    what = str(error)
    if isinstance(error, OSError):
        what = f"{error.strerror or error}: {error.filename or base.parent}"
    kept = f"; last good checkpoint: {base}.pt, after epoch {written}" if written else ""
    return UserError(f"{what}{kept}")


def output_folder(folder: Path, name: str) -> Path:
    """Folder and name of the files to write; tried now, not after an epoch."""
    if Path(name).name != name:
        raise UserError(f"Name {name!r} must be that of a file, without a folder: use --output")
    return files.output_folder(folder, "--output") / name


def remove_empty(folder: Path) -> None:
    with suppress(OSError):  # it holds something
        folder.rmdir()


def prepare(
    options: argparse.Namespace, name: str, held: ExitStack
) -> tuple[Path, torch.device, dict]:
    """Where to write, the device, and what `Trainer` needs of files; each process reads its own.

    `held` keeps the lock of the name, which the first process takes, until it is closed; a folder
    that was made here and holds nothing then is removed.
    """
    device = distributed.device_of(options.device)
    check_files(options.data, options.data_set)  # those of the end too, before the first step
    training, validation = read_training(options.data, options.data_set)
    if options.quick:
        training = training.first(2048)
        validation = validation.first(500)
    teacher = None if options.teacher is None else checkpoint.load_network(options.teacher)
    base = options.output / name
    if distributed.rank() == 0:
        new = not options.output.exists()
        base = output_folder(options.output, name)
        if new:
            held.callback(remove_empty, options.output)
        busy = f"Another process trains {name} in {options.output}: wait, or give another --name"
        held.enter_context(files.locked(base.with_name(f"{name}.lock"), busy))
        there = base.with_name(f"{name}.pt").is_file()
        if options.resume and not there:
            raise UserError(f"No checkpoint {base}.pt to resume from")
        if there and not options.resume:
            raise UserError(
                f"{base}.pt is there already: go on with --resume, or give another --name"
            )
    return base, device, {"training": training, "validation": validation, "teacher": teacher}


def describe(trainer: Trainer, sidecar: Path, machine: str, command: str) -> None:
    """Note in NAME.json who trains the epochs that are left; the first of several processes."""

    def write():
        if len(trainer.history) < trainer.recipe.epochs and distributed.rank() == 0:
            origin.describe(
                sidecar,
                begun=bool(trainer.history),
                hardware=machine,
                commit=origin.commit_of(),
                command=command,
            )

    distributed.together(write)


def train(options: argparse.Namespace, command: str, console: Console) -> Path | None:
    """Everything, from the options to the network file; returns its path.

    Of several processes the first returns it; the others end with the last epoch, and None.
    """
    with ExitStack() as held:
        return train_holding(held, options, command, console)


def train_holding(
    held: ExitStack, options: argparse.Namespace, command: str, console: Console
) -> Path | None:
    """As `train`; `held` keeps the lock of the name."""
    try:
        shape, recipe = shape_from(options), recipe_of(options)
    except (ValueError, TypeError) as error:
        raise UserError(str(error)) from None
    sizes = sorted(set(shape.group_sizes), reverse=True)
    name = options.name or f"{options.network}-l{'-'.join(map(str, sizes))}"
    reuse_memory()
    with distributed.processes():
        base, device, given = distributed.together(lambda: prepare(options, name, held))
        trainer = Trainer(
            shape=shape,
            recipe=recipe,
            seed=options.seed,
            device=device,
            compiled=options.compile,
            **given,
        )
        if options.resume:
            trainer.load(base.with_name(f"{name}.pt"))
        count = distributed.size()
        machine = f"{f'{count} × ' if count > 1 else ''}{hardware(device)}"
        say(console, f"Writing {base}.*")
        describe(trainer, base.with_name(f"{name}.json"), machine, command)
        folders = shlex.join(["--data", str(options.data), "--output", str(options.output)])
        run_epochs(trainer, base, console, f"{command} {folders}")
    if not distributed.first():
        return None
    test = read_test(options.data, options.data_set)
    test = (test.first(500) if options.quick else test).to(device)
    if recipe.quantise >= 1:
        path = base.with_name(f"{name}.pt")
        top1 = measure_float(trainer, path, test, machine)
        kept = f"kept in {name}.json; not quantised: no network file"
        text = f"in floating point on {len(test)} test images, {kept}"
    else:
        path = base.with_name(f"{name}.dham")
        top1 = write_network(trainer, path, test, options, command)
        text = f"as integers on {len(test)} test images"
    say(console, f"{path}: {top1:.2f} % top-1 {text}")
    return path


def measure_float(trainer: Trainer, path: Path, test: Images, machine: str) -> float:
    """Top-1 of the checkpoint `path`, the trainer's network; measured once, kept in NAME.json."""
    return origin.tested(
        path.with_suffix(".json"),
        checkpoint=checkpoint.digest(path),
        images=len(test),
        hardware=machine,
        measure=lambda: accuracy(trainer.network, test),
    )["accuracy"]


def write_network(
    trainer: Trainer, path: Path, test: Images, options: argparse.Namespace, command: str
) -> float:
    """Export the trainer's network, measured, to the network file `path`; returns its top-1."""
    sessions = origin.read(path.with_suffix(".json"))
    facts = {
        "command": command,
        "commit": sessions.get("commit", origin.UNKNOWN),
        "seed": options.seed,
        "epochs": trainer.recipe.epochs,
        "hardware": sessions.get("hardware", origin.UNKNOWN),
        "data_set": options.data_set,
        "recipe": options.recipe,
        "validation_top1": round(trainer.history[-1].validation, 2),
    }
    if trainer.teacher is not None:
        facts["teacher"] = trainer.configuration()["teacher"]
    exported = export(trainer.network, path.stem, DATA_SETS[options.data_set].classes)
    network = finish(exported, trainer.network, test, facts)
    unquantised = path.with_suffix(".float.pt")
    if unquantised.exists():
        trainer.load(unquantised)
        top1 = round(accuracy(trainer.network, test), 4)
        network = replace(network, metadata={**network.metadata, "float_top1": top1})
    save(network, path)
    return network.metadata["top1"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the program; of several processes only the first speaks."""
    try:
        options = parse(arguments)
        need("torch", "matplotlib")
        console = terminal.console(stderr=True, quiet=not distributed.first())
        with ExitStack() as held:
            if console.quiet:
                held.enter_context(heartbeat.quiet())
            train(options, command_line(arguments), console)
    except UserError as error:
        if distributed.first():
            raise
        raise SystemExit(error.status) from None
    return 0


if __name__ == "__main__":
    run_cli(main)()
