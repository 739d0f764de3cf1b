"""torch, imported when it is first used.

A program says --help, and what is wrong with its options, without torch: where torch is not
installed, and without the seconds that its import takes where it is. So at a module's top level
nothing is taken from `torch` but in annotations, which are not evaluated there. The modules whose
classes are torch's own (`model.dham.layers`, `model.dham.quantise`, `model.dham.resnet`) import it;
the others import those where they use them.
"""

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, ParamSpec, TypeVar

from model.common.optional import Lazy

__all__ = ["torch", "without_gradients"]

if TYPE_CHECKING:
    import torch
else:
    torch = Lazy("torch")

Given = ParamSpec("Given")
Result = TypeVar("Result")


def without_gradients(function: Callable[Given, Result]) -> Callable[Given, Result]:
    """Decorate a function with `torch.no_grad`, taken when the function is called."""

    @functools.wraps(function)
    def run(*args: Given.args, **kwargs: Given.kwargs) -> Result:
        with torch.no_grad():
            return function(*args, **kwargs)

    return run
