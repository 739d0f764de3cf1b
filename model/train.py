"""`python -m model.train`: train and quantise a DHAM network, and write its file.

In the output folder: NAME.pt (checkpoint, each epoch), NAME.float.pt (the one before quantisation
began), NAME.jsonl (metrics, a line an epoch), NAME.png (curves) and, at the end, NAME.dham (the
network file). NAME.lock is held by the process that trains it.
"""

import argparse
import io
import json
import platform
import shlex
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict, replace
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from model._torch import torch

# isort: split
from model import checkpoint, distributed, files
from model.cifar import DATA_SETS, read_test, read_training
from model.errors import UserError, run_cli
from model.export import export, finish
from model.network import save
from model.train_options import command_line, parse, recipe_of, shape_from
from model.trainer import Epoch, Trainer, accuracy, reuse_memory

__all__ = ["main", "parse", "plot", "recipe_of", "train"]


def hardware(device: torch.device) -> str:
    """What trained it, without names of machines."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    flags = Path("/proc/cpuinfo")
    amx = " with AMX" if flags.exists() and "amx_bf16" in flags.read_text() else ""
    threads = torch.get_num_threads()
    return f"{platform.machine()} CPU{amx}, {threads} thread{'s' * (threads > 1)}"


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
    if not epoch.quantised:  # the network before quantisation: the last of these
        trainer.save(base.with_name(base.name + ".float.pt"))

    def write():
        write_metrics(trainer.history, base.with_name(base.name + ".jsonl"))
        plot(trainer.history, base.with_name(base.name + ".png"))

    distributed.together(write if distributed.rank() == 0 else lambda: None)


def run_epochs(trainer: Trainer, base: Path, console: Console, command: str) -> None:
    """Train the epochs that are left, with a checkpoint after each."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.fields[state]}"),
        TimeRemainingColumn(),
    )
    total, written = trainer.recipe.epochs, len(trainer.history)
    with Progress(*columns, console=console, disable=console.quiet) as progress:
        task = progress.add_task(
            "training", total=trainer.total, state="", completed=written * trainer.steps
        )
        try:
            while written < total:
                progress.update(task, description=f"epoch {written + 1}/{total}")
                epoch = trainer.train_epoch(
                    lambda loss: progress.update(task, advance=1, state=f"loss {loss:.3f}")
                )
                write_epoch(trainer, base, epoch)
                written += 1
                console.print(
                    f"epoch {epoch.epoch}/{total}: loss {epoch.loss:.3f}, "
                    f"training {epoch.training:.2f} %, validation {epoch.validation:.2f} %"
                    f"{', quantised' if epoch.quantised else ''}, {epoch.seconds:.0f} s"
                )
        except KeyboardInterrupt:
            kept = (
                f"the checkpoint after epoch {written} is kept; go on with: {command} --resume"
                if written
                else "no epoch was complete"
            )
            raise UserError(f"Interrupted in epoch {written + 1}: {kept}") from None
        except (UserError, OSError) as error:
            what = str(error)
            if isinstance(error, OSError):
                what = f"{error.strerror or error}: {error.filename or base.parent}"
            kept = f"; last good checkpoint: {base}.pt, after epoch {written}" if written else ""
            raise UserError(f"{what}{kept}") from None


def output_folder(folder: Path, name: str) -> Path:
    """Folder and name of the files to write; tried now, not after an epoch."""
    if Path(name).name != name:
        raise UserError(f"Name {name!r} must be that of a file, without a folder: use --output")
    return files.output_folder(folder, "--output") / name


def prepare(
    options: argparse.Namespace, name: str, held: ExitStack
) -> tuple[Path, torch.device, dict]:
    """Where to write, the device, and what `Trainer` needs of files; each process reads its own.

    `held` keeps the lock of the name, which the first process takes, until it is closed.
    """
    device = distributed.device_of(options.device)
    training, validation = read_training(options.data, options.data_set)
    if options.quick:
        training = training.first(2048)
        validation = validation.first(500)
    teacher = None if options.teacher is None else checkpoint.load_network(options.teacher)
    base = options.output / name
    if distributed.rank() == 0:
        base = output_folder(options.output, name)
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
        folders = shlex.join(["--data", str(options.data), "--output", str(options.output)])
        run_epochs(trainer, base, console, f"{command} {folders}")
        count = distributed.size()
    if not distributed.first():
        return None
    if recipe.quantise >= 1:
        console.print(f"Recipe {options.recipe} does not quantise: no network file is written")
        return base.with_name(f"{name}.pt")
    facts = {
        "command": command,
        "seed": options.seed,
        "epochs": recipe.epochs,
        "hardware": f"{f'{count} × ' if count > 1 else ''}{hardware(device)}",
        "data_set": options.data_set,
        "recipe": options.recipe,
        "validation_top1": round(trainer.history[-1].validation, 2),
    }
    if trainer.teacher is not None:
        facts["teacher"] = trainer.configuration()["teacher"]
    test = read_test(options.data, options.data_set)
    if options.quick:
        test = test.first(500)
    classes = DATA_SETS[options.data_set].classes
    exported = export(trainer.network, name, classes)
    network = finish(exported, trainer.network, test.to(device), facts)
    unquantised = base.with_name(base.name + ".float.pt")
    if unquantised.exists():
        trainer.load(unquantised)
        top1 = round(accuracy(trainer.network, test.to(device)), 4)
        network = replace(network, metadata={**network.metadata, "float_top1": top1})
    path = options.output / f"{name}.dham"
    save(network, path)
    console.print(
        f"{path}: {network.metadata['top1']:.2f} % top-1 as integers on {len(test)} test images"
    )
    return path


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the program; of several processes only the first speaks."""
    try:
        options = parse(arguments)
        console = Console(stderr=True, quiet=not distributed.first())
        train(options, command_line(arguments), console)
    except UserError as error:
        if distributed.first():
            raise
        raise SystemExit(error.status) from None
    return 0


if __name__ == "__main__":
    run_cli(main)()
