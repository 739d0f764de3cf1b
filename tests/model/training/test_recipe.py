"""Every number of a recipe is checked, in words that name it."""

from dataclasses import asdict, replace

import pytest

from model.training.recipe import RECIPES, Recipe

NAN = float("nan")


@pytest.mark.parametrize(
    "change, error, text",
    [
        ({"learning_rate": NAN}, ValueError, "Learning rate must be positive, not nan"),
        ({"learning_rate": float("inf")}, ValueError, "Learning rate must be positive, not inf"),
        ({"other_rate": 0}, ValueError, "Other rate must be positive, not 0"),
        ({"weight_decay": -1.0}, ValueError, "Weight decay must be at least 0, not -1"),
        ({"weight_decay": NAN}, ValueError, "Weight decay must be at least 0, not nan"),
        ({"momentum": 1.0}, ValueError, "Momentum must be at least 0 and below 1, not 1"),
        ({"label_smoothing": NAN}, ValueError, "Label smoothing must be at least 0 and below 1"),
        ({"warmup": NAN}, ValueError, "Warmup must be a share from 0 to 1, not nan"),
        ({"distil": 1.5}, ValueError, "Distil must be a share from 0 to 1, not 1.5"),
        ({"distil_temperature": 0.0}, ValueError, "Distil temperature must be positive, not 0"),
        ({"steps_down": (0.5, NAN)}, ValueError, "Steps down must be shares from 0 to 1"),
        ({"t_initial": NAN}, ValueError, "Initial temperature must be positive, not nan"),
        ({"t_final": float("inf")}, ValueError, "Final temperature must be positive, not inf"),
        ({"soft": 0.5}, ValueError, "The soft share 0.5 must not exceed 0.4"),
        ({"epochs": 2.5}, TypeError, "Epochs must be a positive integer, not 2.5"),
        ({"batch": 0}, ValueError, "Batch must be a positive integer, not 0"),
        ({"statistics": -1}, ValueError, "Batches of statistics must be a positive integer"),
        ({"optimiser": "adam"}, ValueError, "Optimiser must be muon or sgd, not adam"),
        ({"precision": "fp64"}, ValueError, "Precision must be bf16 or fp32, not fp64"),
    ],
)
def test_wrong_numbers(change, error, text):
    with pytest.raises(error, match=text):
        Recipe(**change)


def test_new_fields_leave_the_recipes_of_old_checkpoints_as_they_were():
    """These were the fields of the first published networks."""
    first = {
        "epochs": 60,
        "batch": 128,
        "optimiser": "muon",
        "learning_rate": 0.01,
        "other_rate": 0.1,
        "warmup": 0.05,
        "steps_down": (),
        "momentum": 0.95,
        "other_momentum": 0.9,
        "weight_decay": 5e-4,
        "label_smoothing": 0.0,
        "t_initial": 1.0,
        "t_final": 100.0,
        "soft": 0.4,
        "quantise": 0.4,
        "freeze": 0.95,
    }
    new = {"precision": "bf16", "distil": 0.5, "distil_temperature": 4.0, "statistics": 0}
    assert asdict(RECIPES["default"]) == {**first, **new}


def test_by_sgd_one_rate_is_that_of_everything():
    assert replace(RECIPES["paper"], learning_rate=0.03).rates == (0.03, 0.03)
    assert replace(RECIPES["float"], learning_rate=0.03).rates == (0.03, 0.1)
