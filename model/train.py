"""`python -m model.train`: train and quantise a DHAM network, and write its file.

In the output folder: NAME.pt (checkpoint, each epoch), NAME.float.pt (the one before quantisation
began), NAME.jsonl (metrics, a line an epoch), NAME.png (curves) and, at the end, NAME.dham (the
network file).
"""

import argparse
import json
import os
import platform
import shlex
import sys
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from model._torch import torch
from model.cifar import DATA_SETS, Images, read_test, read_training
from model.errors import UserError, nearest, run_cli
from model.export import export, finish
from model.network import save
from model.resnet import NETWORKS, Shape, shape_of
from model.trainer import RECIPES, Epoch, Recipe, Trainer, accuracy, reuse_memory

__all__ = ["main", "parse", "plot", "recipe_of", "train"]


def numbers(text: str) -> tuple[int, ...]:
    """ "4,2,2" to (4, 2, 2)."""
    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError:
        raise UserError(f"{text!r} is not a list of integers such as 4 or 4,2,2,4") from None


class Parser(argparse.ArgumentParser):
    """Reports wrong options as one line."""

    def error(self, message: str):
        raise UserError(f"{message} (see python -m model.train --help)")


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Options of the program."""
    parser = Parser(prog="python -m model.train", description=__doc__.splitlines()[0])
    add = parser.add_argument
    known = "; ".join(f"{name}: {network.summary}" for name, network in NETWORKS.items())
    add("--network", default="resnet8", help=f"one of: {known}")
    add("--width", type=int, help="channels of the stem; the stages follow")
    add(
        "--group-size",
        type=numbers,
        metavar="L[,L...]",
        help="ℓ: one for all, one for the stem and each stage, or one a layer",
    )
    add("--groups", type=numbers, metavar="C[,C...]", help="number of groups instead of ℓ")
    add(
        "--dense-sums",
        action="store_true",
        help="layers after an addition stay dense (ℓ = 1), whatever --group-size says",
    )
    add("--binary", action="store_true", help="winners become 1 instead of keeping their value")
    add(
        "--order",
        choices=("before", "after"),
        default="before",
        help="winner before or after requantising",
    )
    add(
        "--bits",
        type=numbers,
        default=(4, 4, 4, 8),
        metavar="W,A,S,C",
        help="bits of weights, activations, stem and classifier (4,4,4,8)",
    )
    add("--recipe", default="default", help=f"one of: {', '.join(RECIPES)}")
    add("--epochs", type=int, help="instead of the recipe's")
    add("--t-init", type=float, help="temperature at the first step, instead of the recipe's")
    add("--t-final", type=float, help="temperature at the last soft step")
    add("--learning-rate", type=float, help="the highest, instead of the recipe's")
    add("--weight-decay", type=float, help="instead of the recipe's")
    add("--seed", type=int, default=0)
    add("--data-set", choices=tuple(DATA_SETS), default="cifar10")
    add("--data", type=Path, default=Path("data"), help="folder of its binary version")
    add("--output", type=Path, default=Path("runs"), help="folder to write into (runs)")
    add("--name", help="of the files, instead of one made of network and ℓ")
    add("--device", default="auto", choices=("auto", "cpu", "cuda"))
    add("--resume", action="store_true", help="go on from the checkpoint in the output folder")
    add("--quick", action="store_true", help="one epoch on 2,048 images: does it run?")
    return parser.parse_args(arguments)


def recipe_of(options: argparse.Namespace) -> Recipe:
    """The recipe by name, with what the options replace in it."""
    if options.recipe not in RECIPES:
        raise UserError(
            f"Unknown recipe {options.recipe}: {nearest(options.recipe, tuple(RECIPES))}"
        )
    replaced = {
        "epochs": options.epochs,
        "t_initial": options.t_init,
        "t_final": options.t_final,
        "learning_rate": options.learning_rate,
        "weight_decay": options.weight_decay,
    }
    if options.quick:
        replaced["epochs"] = 1
    given = {key: value for key, value in replaced.items() if value is not None}
    return replace(RECIPES[options.recipe], **given)


def shape_from(options: argparse.Namespace) -> Shape:
    """The network's shape from the options."""
    if len(options.bits) != 4:
        raise UserError(
            f"Give four numbers of bits (weights, activations, stem, classifier), "
            f"not {len(options.bits)}"
        )
    if options.group_size and options.groups:
        raise UserError("Give either --group-size or --groups")
    if not 0 <= options.seed < 2**31:
        raise UserError(f"Seed must be 0 to {2**31 - 1}, not {options.seed}")
    keys = ("weight_bits", "activation_bits", "stem_bits", "classifier_bits")
    for key, bits in zip(keys, options.bits, strict=True):
        if not 1 <= bits <= 8 or (key != "activation_bits" and bits < 2):
            raise UserError(f"{key.replace('_', ' ').capitalize()} must be 2 to 8, not {bits}")
    return shape_of(
        options.network,
        width=options.width,
        group_sizes=options.group_size,
        groups=options.groups,
        dense_sums=options.dense_sums,
        classes=len(DATA_SETS[options.data_set].classes),
        order=options.order,
        binary=options.binary,
        **dict(zip(keys, options.bits, strict=True)),
    )


def device_of(name: str) -> torch.device:
    if name == "cuda" and not torch.cuda.is_available():
        raise UserError("No CUDA device is available: use --device cpu")
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    return torch.device(name)


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
    temporary = path.with_name(path.name + ".tmp")
    try:
        figure.savefig(temporary, format="png", dpi=120)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
        pyplot.close(figure)


def write_metrics(history: list[Epoch], path: Path) -> None:
    """All epochs so far, one JSON object a line; rewritten whole, so that a resumed run agrees."""
    temporary = path.with_name(path.name + ".tmp")
    temporary.write_text("".join(json.dumps(asdict(epoch)) + "\n" for epoch in history))
    os.replace(temporary, path)


def run_epochs(trainer: Trainer, base: Path, console: Console, command: str) -> None:
    """Train the epochs that are left, with a checkpoint after each."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.fields[state]}"),
        TimeRemainingColumn(),
    )
    total, checkpoint = trainer.recipe.epochs, base.with_name(base.name + ".pt")
    with Progress(*columns, console=console) as progress:
        task = progress.add_task(
            "training",
            total=trainer.total,
            state="",
            completed=len(trainer.history) * trainer.steps,
        )
        try:
            while len(trainer.history) < total:
                number = len(trainer.history) + 1
                progress.update(task, description=f"epoch {number}/{total}")
                epoch = trainer.train_epoch(
                    lambda loss: progress.update(task, advance=1, state=f"loss {loss:.3f}")
                )
                trainer.save(checkpoint)
                if not epoch.quantised:  # the network before quantisation: the last of these
                    trainer.save(base.with_name(base.name + ".float.pt"))
                write_metrics(trainer.history, base.with_name(base.name + ".jsonl"))
                plot(trainer.history, base.with_name(base.name + ".png"))
                console.print(
                    f"epoch {epoch.epoch}/{total}: loss {epoch.loss:.3f}, "
                    f"training {epoch.training:.2f} %, validation {epoch.validation:.2f} %"
                    f"{', quantised' if epoch.quantised else ''}, {epoch.seconds:.0f} s"
                )
        except KeyboardInterrupt:
            kept = (
                f"the checkpoint after epoch {len(trainer.history)} is kept; go on with: "
                f"{command} --resume"
                if trainer.history
                else "no epoch was complete"
            )
            raise UserError(f"Interrupted in epoch {len(trainer.history) + 1}: {kept}") from None
        except UserError as error:
            kept = f"; last good checkpoint: {checkpoint}" if trainer.history else ""
            raise UserError(f"{error}{kept}") from None


def command_line(arguments: Sequence[str] | None) -> str:
    """The command without what does not change the result: folders, device, --resume."""
    given, kept, skip = list(sys.argv[1:] if arguments is None else arguments), [], False
    for word in given:
        if skip:
            skip = False
        elif word in ("--data", "--output", "--device"):
            skip = True
        elif word != "--resume" and not word.startswith(("--data=", "--output=", "--device=")):
            kept.append(word)
    return shlex.join(["python", "-m", "model.train", *kept])


def train(options: argparse.Namespace, command: str, console: Console) -> Path:
    """Everything, from the options to the network file; returns its path."""
    try:
        shape, recipe = shape_from(options), recipe_of(options)
    except (ValueError, TypeError) as error:
        raise UserError(str(error)) from None
    device = device_of(options.device)
    training, validation = read_training(options.data, options.data_set)
    if options.quick:
        training = Images(training.pixels[:2048], training.labels[:2048])
        validation = Images(validation.pixels[:500], validation.labels[:500])
    sizes = sorted(set(shape.group_sizes), reverse=True)
    name = options.name or f"{options.network}-l{'-'.join(map(str, sizes))}"
    options.output.mkdir(parents=True, exist_ok=True)
    base = options.output / name
    reuse_memory()
    trainer = Trainer(
        shape=shape,
        recipe=recipe,
        seed=options.seed,
        training=training,
        validation=validation,
        device=device,
    )
    if options.resume:
        trainer.load(options.output / f"{name}.pt")
    folders = shlex.join(["--data", str(options.data), "--output", str(options.output)])
    run_epochs(trainer, base, console, f"{command} {folders}")
    if recipe.quantise >= 1:
        console.print(f"Recipe {options.recipe} does not quantise: no network file is written")
        return options.output / f"{name}.pt"
    facts = {
        "command": command,
        "seed": options.seed,
        "epochs": recipe.epochs,
        "hardware": hardware(device),
        "data_set": options.data_set,
        "recipe": options.recipe,
        "validation_top1": round(trainer.history[-1].validation, 2),
    }
    test = read_test(options.data, options.data_set)
    if options.quick:
        test = Images(test.pixels[:500], test.labels[:500])
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
    """Run the program."""
    options = parse(arguments)
    train(options, command_line(arguments), Console(stderr=True))
    return 0


if __name__ == "__main__":
    run_cli(main)()
