"""Packages of the extra `model`: imported when first used, asked for after the options.

A program's `main` reads its options, then calls `need` with the packages that it cannot do
without, before any work. Only the standard library is needed here.
"""

import importlib
import importlib.util
from typing import Any

from model.common.errors import missing

__all__ = ["Lazy", "installed", "need"]


def installed(package: str) -> bool:
    """Whether a package could be imported; it is not."""
    try:
        return importlib.util.find_spec(package) is not None
    except ImportError:
        return False


def need(*packages: str) -> None:
    """End the program in one line, with status 2, if a package is not installed. Imports none."""
    for package in packages:
        if not installed(package):
            missing(package)


class Lazy:
    """A module that is imported when something is first taken from it.

    Where its package is not installed, that ends the program as `need` does.
    """

    def __init__(self, name: str):
        self._name = name

    def __getattr__(self, attribute: str) -> Any:
        package = self._name.partition(".")[0]
        try:
            module = importlib.import_module(self._name)
        except ModuleNotFoundError as error:
            if error.name != package:
                raise
            missing(package)
        return getattr(module, attribute)
