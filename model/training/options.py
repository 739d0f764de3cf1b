"""Options of `python -m model.train`, and what they say: recipe, shape, the command to record."""

import argparse
import shlex
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from model.common.errors import Parser, UserError, nearest, without
from model.data.cifar import DATA_SETS
from model.dham.shapes import NETWORKS, Shape, shape_of
from model.training.recipe import PRECISIONS, RECIPES, Recipe

__all__ = ["command_line", "numbers", "parse", "recipe_of", "shape_from"]


def numbers(text: str) -> tuple[int, ...]:
    """ "4,2,2" to (4, 2, 2)."""
    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError:
        raise UserError(f"{text!r} is not a list of integers such as 4 or 4,2,2,4") from None


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Options of the program."""
    parser = Parser(
        prog="python -m model.train",
        description="Train and quantise a DHAM network, and write its file.",
        allow_abbrev=False,
    )
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
    add("--batch", type=int, help="images a step, of all processes together")
    add("--precision", choices=PRECISIONS, help="of activations in training (bf16)")
    add("--statistics", type=int, metavar="BATCHES", help="measured before freezing, or at the end")
    add("--teacher", type=Path, metavar="CHECKPOINT", help="NAME.pt of a network to learn from too")
    add("--distil", type=float, metavar="SHARE", help="the teacher's part in the loss (0.5)")
    add("--distil-temperature", type=float, metavar="T", help="of the softmax of both (4)")
    add("--seed", type=int, default=0)
    add("--data-set", choices=tuple(DATA_SETS), default="cifar10")
    add("--data", type=Path, default=Path("data"), help="folder of its binary version")
    add("--output", type=Path, default=Path("runs"), help="folder to write into (runs)")
    add("--name", help="of the files, instead of one made of network and ℓ")
    add("--device", default="auto", choices=("auto", "cpu", "cuda"))
    add("--resume", action="store_true", help="go on from the checkpoint in the output folder")
    add("--compile", action="store_true", help="activations by torch.compile: on a GPU")
    add("--quick", action="store_true", help="does it run? 2,048 images, 1 epoch unless --epochs")
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
        "batch": options.batch,
        "precision": options.precision,
        "statistics": options.statistics,
        "distil": options.distil,
        "distil_temperature": options.distil_temperature,
    }
    if options.teacher is None and (options.distil, options.distil_temperature) != (None, None):
        raise UserError("--distil and --distil-temperature need a --teacher")
    if options.quick and options.epochs is None:
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


def command_line(arguments: Sequence[str] | None) -> str:
    """The command without what does not change the result: folders, device, --resume, --compile."""
    words = without(
        sys.argv[1:] if arguments is None else arguments,
        valued=("--data", "--output", "--device"),
        flags=("--resume", "--compile"),
    )
    kept: list[str] = []
    for word in words:  # a teacher is named, wherever its file lies
        if kept and kept[-1] == "--teacher":
            kept.append(Path(word).name)
        elif word.startswith("--teacher="):
            kept += ["--teacher", Path(word.removeprefix("--teacher=")).name]
        else:
            kept.append(word)
    return shlex.join(["python", "-m", "model.train", *kept])
