"""Trainings are told apart by content, and have readable names."""

import shlex
from dataclasses import fields, replace
from inspect import signature
from pathlib import Path

import pytest

from model.common.errors import UserError
from model.data.cifar import read_training
from model.experiments.paper import SETTINGS, TABLE1, TABLE2, TABLE3, TABLE4, TABLE5
from model.experiments.runs import Setting, Training, divides, possible
from model.experiments.scales import SCALES
from model.training import options as train_options
from model.training.trainer import Recipe

PAGE = (Path(__file__).parents[3] / "docs" / "experiments.md").read_text().replace("\\\n", "")
CPU = SCALES["cpu"]
SMALL = CPU.settings[0]
BINARY = replace(SMALL, binary=True)


def training(setting=SMALL, seed=0, scale=CPU, recipe=None, shape=None, **more):
    shape = shape or setting.shape(group_size=2)
    return scale.training(setting, shape, recipe or setting.of_recipe(), seed, **more)


@pytest.mark.parametrize(
    "made, name",
    [
        (training(), "resnet8-w32-l2-s0"),
        (training(seed=7), "resnet8-w32-l2-s7"),
        (training(shape=SMALL.shape(group_size=1)), "resnet8-w32-l1-s0"),
        (training(shape=SMALL.shape(groups=8)), "resnet8-w32-c8-s0"),
        (
            training(shape=SMALL.shape(group_sizes=(1, 2, 2, 4, 4, 4, 1))),
            "resnet8-w32-l1_2x2_4x3_1-s0",
        ),
        (training(replace(SMALL, epochs=20)), "resnet8-w32-l2-e20-s0"),
        (training(replace(SMALL, order="before")), "resnet8-w32-l2-before-s0"),
        (training(replace(SMALL, dense_sums=True)), "resnet8-w32-l2-dense-sums-s0"),
        (training(BINARY), "resnet8-w32-l2-binary-s0"),
        (training(shape=BINARY.shape(groups=8)), "resnet8-w32-c8-binary-s0"),
        (training(replace(BINARY, dense_sums=True)), "resnet8-w32-l2-dense-sums-binary-s0"),
        (
            training(shape=BINARY.shape(group_sizes=(1, 2, 2, 4, 4, 4, 1))),
            "resnet8-w32-l1_2x2_4x3_1-binary-s0",
        ),
        (
            training(BINARY, teacher=training(shape=BINARY.shape(group_size=1))),
            "resnet8-w32-l2-binary-from-l1-s0",
        ),
        (training(replace(SMALL, data_set="cifar100")), "resnet8-w32-l2-cifar100-s0"),
        (training(replace(SMALL, data_set="cifar-fs")), "resnet8-w32-l2-cifarfs-s0"),
        (training(replace(SMALL, batch=64)), "resnet8-w32-l2-b64-s0"),
        (
            training(recipe=SMALL.of_recipe(t_initial=0.1, t_final=100.0)),
            "resnet8-w32-l2-t0.1-100-s0",
        ),
        (
            training(recipe=SMALL.of_recipe(learning_rate=0.03)),
            "resnet8-w32-l2-learningrate0.03-s0",
        ),
        (training(scale=SCALES["quick"]), "resnet8-w32-l2-n2048-s0"),
        (training(teacher=training()), "resnet8-w32-l2-from-l2-s0"),
        (
            training(recipe=SMALL.of_recipe("default"), recipe_name="default"),
            "resnet8-w32-l2-b4448-default-e10-s0",
        ),
    ],
)
def test_names(made, name):
    assert made.name == name


def test_a_dense_network_keeps_its_values():
    """ℓ = 1 is the untouched network: the same training, binary winners or not."""
    dense = BINARY.shape(group_size=1)
    assert dense == SMALL.shape(group_size=1) and not dense.binary
    assert BINARY.shape(group_size=2) == replace(SMALL.shape(group_size=2), binary=True)
    assert BINARY.shape(group_sizes=(1, 1, 1, 1, 1, 1, 2)).binary
    assert training(BINARY, shape=dense).name == "resnet8-w32-l1-s0"


def test_full_scale_is_the_papers():
    first, second = SCALES["full"].settings
    assert (first.network, first.width, first.data_set) == ("resnet18", 64, "cifar10")
    assert (second.network, second.width, second.data_set) == ("resnet50", 64, "cifar100")
    for setting in (first, second):
        recipe = setting.of_recipe()
        assert (recipe.epochs, recipe.batch, recipe.optimiser) == (300, 128, "sgd")
        assert divides(setting, group_size=64) is None
    assert training(first).name == "resnet18-w64-l2-paper-s0"
    assert training(second).name == "resnet50-w64-l2-cifar100-paper-s0"


def test_every_field_of_a_recipe_changes_the_name():
    changes = {
        "epochs": 11, "batch": 64, "optimiser": "sgd", "learning_rate": 0.03, "other_rate": 0.2,
        "warmup": 0.1, "steps_down": (0.5,), "momentum": 0.8, "other_momentum": 0.8,
        "weight_decay": 1e-3, "label_smoothing": 0.1, "t_initial": 2.0, "t_final": 900.0,
        "soft": 0.9, "quantise": 0.999, "freeze": 0.9, "precision": "fp32", "distil": 0.3,
        "distil_temperature": 2.0, "statistics": 5,
    }  # fmt: skip
    changes["soft"] = 0.5
    names = {training().name}
    for field in fields(Recipe):
        assert field.name in changes, f"name nothing of {field.name} yet: add it here"
        usual = {"soft": 0.5} if field.name == "quantise" else {}
        recipe = SMALL.of_recipe(**({field.name: changes[field.name]} | usual))
        names.add(training(recipe=recipe).name)
    assert len(names) == 1 + len(fields(Recipe))


def test_what_a_label_tells_apart():
    other = {
        "network": "resnet20", "width": 16, "data_set": "cifar100", "recipe": "paper", "epochs": 11,
        "batch": 64, "learning_rate": 0.03, "dense_sums": True, "binary": True,
        "order": "before",
    }  # fmt: skip
    assert set(other) == {field.name for field in fields(Setting)}
    labels = {replace(SMALL, **{key: value}).label for key, value in other.items()} | {SMALL.label}
    assert len(labels) == 1 + len(other)


def test_possible_and_divides():
    assert possible(SMALL, "group_size", (1, 2, 32, 64)) == [1, 2, 32]
    assert possible(SMALL, "groups", (1, 32, 64)) == [1, 32]
    assert divides(SMALL, group_size=3) == "Group size 3 does not divide 32 channels"


def test_wrong_recipe_is_a_clear_line():
    with pytest.raises(UserError, match="Learning rate must be positive, not -1"):
        replace(SMALL, learning_rate=-1.0).of_recipe()
    with pytest.raises(UserError, match="Data set 'cifar11'"):
        replace(SMALL, data_set="cifar11").shape(group_size=1)


def test_a_training_has_no_field_that_its_name_forgets():
    known = {"network", "width", "shape", "data_set", "recipe_name", "recipe", "seed", "images",
             "teacher"}  # fmt: skip
    # These two belong to the scale: the validation images never change what is trained, and
    # `split` goes with `images` (a checkpoint of another number of images is refused).
    assert {field.name for field in fields(Training)} == known | {"held_out", "split"}


COMMANDS = [line.strip() for line in PAGE.splitlines() if line.strip().startswith("torchrun ")]


@pytest.mark.parametrize("command", COMMANDS)
def test_training_by_several_processes_is_the_same(command):
    """The commands of the page: what `model.train` makes of them is what `--full` asks for."""
    words = shlex.split(command)
    options = train_options.parse(words[words.index("model.train") + 1 :])
    (setting,) = [s for s in SCALES["full"].settings if s.network == options.network]
    shape, recipe = train_options.shape_from(options), train_options.recipe_of(options)
    asked = training(setting, options.seed, SCALES["full"])
    assert options.name == asked.name and options.output == Path("runs/experiments/trainings")
    assert (shape, recipe) == (asked.shape, asked.recipe)
    assert (options.data_set, options.recipe) == (asked.data_set, asked.recipe_name)
    assert asked.teacher is None is options.teacher and asked.images is None
    assert asked.split == signature(read_training).parameters["validation"].default
    assert not options.quick


def test_the_page_has_such_a_command_for_each_network():
    assert [shlex.split(c)[shlex.split(c).index("--network") + 1] for c in COMMANDS] == [
        setting.network for setting in SCALES["full"].settings
    ]


def test_papers_tables_are_whole():
    sizes = [1, 2, 4, 8, 16, 32, 64]
    for table in (TABLE1, TABLE2, TABLE4):
        assert list(table) == list(SETTINGS) == ["resnet18", "resnet50"]
        assert all(list(column) == sizes for column in table.values())
    assert list(TABLE5) == sizes
    for column in TABLE3.values():
        assert len(column) == 18 and {size for size, _, _ in column} == {2, 4}
    # Where two tables print one network, they agree.
    assert TABLE5[8]["clean"] == TABLE1["resnet18"][8] == 92.95
    assert TABLE3["resnet50"][2, 10, 1000] == TABLE1["resnet50"][2] == 79.23
    assert TABLE3["resnet50"][4, 10, 1000] == TABLE1["resnet50"][4] == 76.58
    assert TABLE3["resnet18"][4, 10, 1000] == TABLE1["resnet18"][4] == 94.65
    assert all(TABLE5[size]["clean"] == TABLE1["resnet18"][size] for size in sizes)
