"""`python -m model.experiments NAME`: one of the paper's tables or figures, or what goes beyond.

Results stand in OUTPUT/NAME-SCALE: records.jsonl, table.md, report.html and plots; trainings, which
experiments share, in OUTPUT/trainings. Interrupted at any point, the same command goes on.
"""

import argparse
import shlex
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from model.common.distributed import device_of
from model.common.errors import Parser, UserError, nearest, run_cli, without
from model.common.optional import need
from model.data.cifar import DATA_SETS
from model.dham.shapes import NETWORKS
from model.experiments.accuracy import TABLE1, TABLE2
from model.experiments.distillation import DISTILLATION
from model.experiments.memories import MEMORY
from model.experiments.pareto import PARETO
from model.experiments.per_layer import PER_LAYER
from model.experiments.pruning import PRUNING
from model.experiments.records import Records
from model.experiments.report import publish, write_report
from model.experiments.robustness import TABLE5
from model.experiments.runs import Setting, divides
from model.experiments.scales import SCALES, Scale
from model.experiments.session import Experiment, Session, show_progress
from model.experiments.store import Store
from model.experiments.temperatures import TABLE3
from model.experiments.transfer import TABLE4
from model.experiments.wins import FIGURES
from model.training.origin import commit_of
from model.training.trainer import RECIPES

__all__ = ["EXPERIMENTS", "OPTIONS", "main"]

EXPERIMENTS: dict[str, Experiment] = {
    experiment.name: experiment
    for experiment in (
        TABLE1,
        TABLE2,
        TABLE3,
        TABLE4,
        TABLE5,
        FIGURES,
        MEMORY,
        PARETO,
        PRUNING,
        PER_LAYER,
        DISTILLATION,
    )
}

#: All options that change what is run, whichever experiment takes them.
OPTIONS = tuple(dict.fromkeys(o for experiment in EXPERIMENTS.values() for o in experiment.takes))


def integers(what: str, least: int, most: int | None = None):
    """A parser of "1,2,4" into different integers of at least `least` and at most `most`."""

    def parse(text: str) -> tuple[int, ...]:
        try:
            found = tuple(int(part) for part in text.split(","))
        except ValueError:
            raise UserError(f"{what}: {text!r} is not a list of integers such as 1,2") from None
        if min(found) < least:
            raise UserError(f"{what}: must be {least} or more, not {min(found)}")
        if most is not None and max(found) > most:
            raise UserError(f"{what}: must be {most} or less, not {max(found)}")
        return tuple(dict.fromkeys(found))

    return parse


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Options of the program."""
    width = max(map(len, EXPERIMENTS))
    known = "\n".join(f"  {name:<{width}}  {e.summary}" for name, e in EXPERIMENTS.items())
    parser = Parser(
        prog="python -m model.experiments",
        description=__doc__,
        epilog=f"experiments:\n{known}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    add = parser.add_argument
    add("name", metavar="NAME", help="an experiment of the list below")
    size = parser.add_mutually_exclusive_group()
    size.add_argument("--quick", action="store_true", help="minutes on a CPU: does it all run?")
    size.add_argument("--full", action="store_true", help="the paper's networks and recipe")
    add("--data", type=Path, default=Path("data"), help="folder of the data sets (data)")
    add("--output", type=Path, default=Path("runs/experiments"), help="(runs/experiments)")
    add("--seeds", type=integers("--seeds", 0, 2**31 - 1), metavar="S[,S...]")
    add("--group-sizes", type=integers("--group-sizes", 1), metavar="L[,L...]", help="ℓ to run")
    add("--groups", type=integers("--groups", 1), metavar="C[,C...]", help="c to run, of table2")
    add("--network", help=f"instead of the scale's: {', '.join(NETWORKS)}")
    add("--width", type=int, help="channels of its stem")
    add("--data-set", choices=tuple(DATA_SETS))
    add("--recipe", help=f"one of: {', '.join(RECIPES)}")
    add("--epochs", type=int)
    add("--batch", type=int)
    add("--learning-rate", type=float, help="the highest, instead of the recipe's")
    add("--dense-sums", action="store_true", help="layers after an addition stay dense")
    add("--binary", action="store_true", help="winners become 1 instead of keeping their value")
    add("--no-training", action="store_true", help="only measure trainings that are complete")
    add("--widths", type=integers("--widths", 1), metavar="W[,W...]", help="of pareto")
    add("--device", default="auto", choices=("auto", "cpu", "cuda"))
    add("--compile", action="store_true", help="trainings with torch.compile, on a GPU")
    add("--commit", help="to note with trainings, where the source is no git checkout")
    add("--report", action="store_true", help="only tables and plots, from the records there are")
    add("--publish", type=Path, metavar="DIR", help="copy table, plots, records and logs there too")
    return parser.parse_args(arguments)


def check_options(experiment: Experiment, options: argparse.Namespace) -> None:
    """Refuse options that would change nothing of what this experiment runs."""
    for option in OPTIONS:
        given = getattr(options, option.removeprefix("--").replace("-", "_"))
        if given is not None and given is not False and option not in experiment.takes:
            raise UserError(
                f"{experiment.name} does not take {option}; it takes {', '.join(experiment.takes)}"
            )
    if experiment.dense is not None and 1 in (options.group_sizes or ()):
        raise UserError(f"--group-sizes: {experiment.name} has no ℓ = 1: {experiment.dense}")


def scale_of(options: argparse.Namespace) -> tuple[Scale, str]:
    """The scale with what the options replace in its settings, and its label.

    A label is the scale's name and all that was replaced: results of different settings never
    meet in one folder.
    """
    scale = SCALES["quick" if options.quick else "full" if options.full else "cpu"]
    settings, label = list(scale.settings), [scale.name]
    if options.network is not None:
        if options.network not in NETWORKS:
            known = nearest(options.network, tuple(NETWORKS))
            raise UserError(f"Unknown network {options.network}: {known}")
        same = [s for s in settings if s.network == options.network]
        if not same:
            width = NETWORKS[options.network].width if scale.name != "quick" else settings[0].width
            same = [replace(settings[0], network=options.network, width=width)]
            label.append(options.network)
        elif len(same) < len(settings):
            label.append(options.network)
        settings = same
    if options.recipe is not None and options.recipe not in RECIPES:
        raise UserError(
            f"Unknown recipe {options.recipe}: {nearest(options.recipe, tuple(RECIPES))}"
        )
    for key, text in (
        ("width", "w{}"),
        ("data_set", "{}"),
        ("recipe", "{}"),
        ("epochs", "e{}"),
        ("batch", "b{}"),
        ("learning_rate", "lr{:g}"),
    ):
        value = getattr(options, key)
        if value is not None and any(getattr(s, key) != value for s in settings):
            settings = [replace(s, **{key: value}) for s in settings]
            label.append(text.format(value))
            if key == "recipe" and options.epochs is None and scale.name != "quick":
                settings = [replace(s, epochs=RECIPES[value].epochs) for s in settings]
    if options.dense_sums:
        settings = [replace(s, dense_sums=True) for s in settings]
        label.append("dense-sums")
    if options.binary:
        settings = [replace(s, binary=True) for s in settings]
        label.append("binary")
    scale = replace(
        scale,
        settings=tuple(dict.fromkeys(settings)),
        widths=options.widths or scale.widths,
    )
    check(scale, options)
    return scale, "-".join(label)


def check(scale: Scale, options: argparse.Namespace) -> None:
    """Refuse settings that cannot be trained, before anything is read or written."""
    for setting in scale.settings:
        try:
            setting.shape(group_size=1)
        except ValueError as error:
            raise UserError(str(error)) from None
        setting.of_recipe()
    settings: Sequence[Setting] = scale.settings
    if options.name == PARETO.name:
        settings = [replace(s, width=width) for s in settings for width in scale.widths]
    for word, name in (("group_size", "group_sizes"), ("groups", "groups")):
        for number in getattr(options, name) or ():
            reasons = [divides(setting, **{word: number}) for setting in settings]
            if all(reasons):
                raise UserError(f"--{name.replace('_', '-')}: {reasons[0]}")
    if options.name == PARETO.name:
        sizes = options.group_sizes or scale.pareto_group_sizes
        for setting in settings:
            reasons = [divides(setting, group_size=size) for size in sizes]
            if all(reasons):
                raise UserError(f"--widths: {reasons[0]}")


def open_session(options: argparse.Namespace, progress, command: str) -> Session:
    """Everything that an experiment runs with; reads the records that there are."""
    scale, label = scale_of(options)
    folder = options.output / f"{options.name}-{label}"
    store = Store(
        options.output / "trainings",
        options.data,
        device=device_of(options.device),
        commit=options.commit or commit_of(),
        compiled=options.compile,
        command=f"python -m model.experiments {command}",
    )
    return Session(
        scale=scale,
        label=label,
        folder=folder,
        store=store,
        records=Records(folder / "records.jsonl"),
        progress=progress,
        seeds=options.seeds or scale.seeds,
        group_sizes=options.group_sizes or scale.group_sizes,
        groups=options.groups or scale.groups,
        asked=options.group_sizes,
        train=not options.no_training,
        command=command,
    )


def command_line(arguments: Sequence[str] | None) -> str:
    """The options without what does not change a result: folders, device, what is made of it."""
    return shlex.join(
        without(
            sys.argv[1:] if arguments is None else arguments,
            valued=("--data", "--output", "--device", "--publish", "--commit"),
            flags=("--report", "--no-training"),
        )
    )


def nothing(experiment: Experiment, session: Session) -> UserError:
    """What to raise where a run was complete at once, and nothing was recorded before either."""
    if not session.train:
        return UserError(
            f"Nothing to measure: no complete training in {session.store.folder} that "
            f"{experiment.name} asks for: leave out --no-training, or give another --output"
        )
    return UserError(
        f"Nothing to run: {experiment.name} has no network of these options: give other "
        "--group-sizes"
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the program."""
    options = parse(arguments)
    need("torch", "matplotlib", "markdown_it")
    if options.name not in EXPERIMENTS:
        raise UserError(
            f"Unknown experiment {options.name}: {nearest(options.name, tuple(EXPERIMENTS))}"
        )
    experiment = EXPERIMENTS[options.name]
    check_options(experiment, options)
    session = open_session(options, show_progress(), command_line(arguments))
    if not options.report:
        try:
            experiment.run(session)
        except UserError:  # interrupted, for example: what there is can be read
            if len(session.records):
                write_report(experiment, session)
            raise
        if not len(session.records):
            raise nothing(experiment, session)
    elif not len(session.records):
        raise UserError(f"No records in {session.records.path}: run it without --report first")
    path = write_report(experiment, session)
    lines = [f"{len(session.records)} records; {path}"]
    if options.publish is not None:
        lines.append(f"published in {publish(experiment, session, options.publish)}")
    if session.scale.name == "quick":
        lines.append(experiment.note(session.scale))
    print("\n".join(lines))
    return 0


if __name__ == "__main__":
    run_cli(main)()
