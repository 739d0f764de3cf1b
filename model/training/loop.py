"""The loop over the epochs of a training: every program and every search trains by it.

An epoch's steps are `model.training.trainer.Trainer.train_epoch`. What happens around an epoch is
the caller's: a bar, a checkpoint, a line, what an interruption leaves.
"""

from __future__ import annotations

from collections.abc import Callable

from model.common.errors import UserError
from model.training.trainer import Epoch, Trainer

__all__ = ["Stop", "train_epochs"]

Stop = KeyboardInterrupt | UserError | OSError
"""What ends a training before its last epoch."""


def _nothing(_: object) -> None: ...


def train_epochs(
    trainer: Trainer,
    *,
    begin: Callable[[int], object] = _nothing,
    advance: Callable[[float], object] = _nothing,
    keep: Callable[[Epoch], object] = _nothing,
    say: Callable[[Epoch], object] = _nothing,
    stopped: Callable[[Stop, int], Exception | None] = lambda error, kept: None,
) -> Epoch:
    """Train the epochs that are left of the trainer's recipe; returns the last one's measurements.

    Parameters
    ----------
    begin
        Called with an epoch's number, from 1, as it begins.
    advance
        Called with the loss after each step.
    keep
        Called with the measurements of an epoch that is complete, to write a checkpoint.
    say
        Called with them after that.
    stopped
        Called with what ended the training early, and the number of epochs that `keep` has
        returned from, those of a loaded checkpoint included. Returns what is raised instead; None:
        what ended it is raised.

    Raises `UserError` where the loss or a weight is not a number, `KeyboardInterrupt` where the
    training is interrupted, and whatever `keep` raises, all of them by way of `stopped`.
    """
    kept = len(trainer.history)
    try:
        while kept < trainer.recipe.epochs:
            begin(kept + 1)
            epoch = trainer.train_epoch(advance)
            keep(epoch)
            kept += 1
            say(epoch)
    except (KeyboardInterrupt, UserError, OSError) as error:
        instead = stopped(error, kept)
        if instead is None:
            raise
        raise instead from None
    return trainer.history[-1]
