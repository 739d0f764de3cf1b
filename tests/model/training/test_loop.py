"""The loop over epochs: what is called when, and what an early end is told to the caller."""

import pytest
import torch

from model.common.errors import UserError
from model.dham.shapes import shape_of
from model.training.loop import train_epochs
from model.training.recipe import Recipe
from model.training.trainer import Trainer
from tests.model.generated import coloured


def trainer(epochs=3):
    return Trainer(
        shape=shape_of("dham8", width=16),
        recipe=Recipe(epochs=epochs, batch=32, soft=1.0, quantise=1.0, freeze=1.0),
        seed=0,
        training=coloured(64, 1),
        validation=coloured(32, 2),
        device=torch.device("cpu"),
    )


def recorded():
    """Callables for `train_epochs` that note their calls, and the list that they note them in."""
    calls = []
    given = {
        "begin": lambda number: calls.append(("begin", number)),
        "advance": lambda loss: calls.append(("advance", None)),
        "keep": lambda epoch: calls.append(("keep", epoch.epoch)),
        "say": lambda epoch: calls.append(("say", epoch.epoch)),
    }
    return given, calls


def epoch_calls(number):
    steps = [("advance", None)] * 2
    return [("begin", number), *steps, ("keep", number), ("say", number)]


def test_each_epoch_in_order():
    one = trainer()
    given, calls = recorded()
    last = train_epochs(one, **given)
    assert calls == [call for number in (1, 2, 3) for call in epoch_calls(number)]
    assert last == one.history[-1] and [epoch.epoch for epoch in one.history] == [1, 2, 3]


def test_same_weights_as_epoch_by_epoch():
    one, two = trainer(2), trainer(2)
    train_epochs(one)
    for _ in range(2):
        two.train_epoch()
    states = zip(one.network.state_dict().items(), two.network.state_dict().items(), strict=True)
    assert all(a == b and torch.equal(x, y) for (a, x), (b, y) in states)


def test_only_the_epochs_that_are_left():
    one = trainer()
    one.train_epoch()
    one.train_epoch()
    given, calls = recorded()
    train_epochs(one, **given)
    assert calls == epoch_calls(3)
    assert train_epochs(one, **given) is one.history[-1]  # none is left
    assert calls == epoch_calls(3)


@pytest.mark.parametrize("error", [KeyboardInterrupt(), UserError("x"), OSError(28, "full")])
def test_stopped_epoch_is_not_counted_as_kept(error):
    """It was trained, and its checkpoint was not written."""
    told = []

    def keep(epoch):
        if epoch.epoch == 2:
            raise error

    def stopped(why, kept):
        told.append((why, kept))
        return UserError("stopped", 130)

    one = trainer()
    with pytest.raises(UserError, match="^stopped$") as caught:
        train_epochs(one, keep=keep, stopped=stopped)
    assert told == [(error, 1)] and len(one.history) == 2
    assert caught.value.__suppress_context__


def test_stopped_while_it_says_that_it_is_kept():
    told = []

    def say(epoch):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):  # nothing is raised instead
        train_epochs(trainer(), say=say, stopped=lambda why, kept: told.append(kept))
    assert told == [1]


def test_error_of_the_program_is_not_asked_about():
    def keep(epoch):
        raise AssertionError

    with pytest.raises(AssertionError):
        train_epochs(trainer(), keep=keep, stopped=lambda *_: pytest.fail("asked"))
