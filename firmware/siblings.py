"""Says so where a file of the user's hides one of the packages `hw`, `model`, `sim`, `firmware`.

`python -m` looks into the current folder first. A `model.py` there would be taken for our package
`model`, and what follows would be a riddle. A package that imports others calls `check` before it
does. Of two packages neither can be sure of the other: so they run this file by its path, not by a
name that may be anybody's. Only the standard library is used.
"""

import importlib.util
import sys
from pathlib import Path

__all__ = ["check"]

_ROOT = Path(__file__).resolve().parent.parent  # of a checkout, or where `pip` installed them


def check(*names: str) -> None:
    """End a program, with status 2, if the packages `names` are not those beside this one.

    A folder without `__init__.py` hides nothing: Python prefers a package, wherever it lies. Where
    our packages are imported by a program of somebody else's, nothing is checked.
    """
    # While `python -m` looks for the module, "-m" stands where the program's name will.
    if not sys.argv or Path(sys.argv[0]).stem not in ("-m", "decisivenets"):
        return
    for name in names:
        found = importlib.util.find_spec(name)
        if found is None or found.origin is None:
            continue  # not there at all, which Python says itself
        place = Path(found.origin).resolve()
        if place == _ROOT / name / "__init__.py":
            continue
        if place.name == "__init__.py":
            place = place.parent
        remedy = "rename it, or take its folder off PYTHONPATH"
        if place.parent == Path.cwd():
            remedy = "run `decisivenets`, or `python -P -m ...`, or from another folder"
        print(
            f"error: {place} hides the package {name!r} of decisivenets: {remedy} "
            "(docs/command.md)",
            file=sys.stderr,
        )
        sys.exit(2)
