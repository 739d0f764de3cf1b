"""`constraints.txt` holds a version of every package that an installation takes, and it fits."""

import importlib.metadata
import tomllib

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.programs import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
PINNED = {
    canonicalize_name(name): version
    for name, _, version in (
        line.partition("==")
        for line in (ROOT / "constraints.txt").read_text("utf-8").splitlines()
        if line and not line.startswith("#")
    )
}


def named():
    """What pyproject.toml names, as requirements."""
    groups = [PROJECT["dependencies"], *PROJECT["optional-dependencies"].values()]
    return [Requirement(line) for group in groups for line in group]


def needed(requirement):
    """What an installed package needs here, with the extras asked for."""
    try:
        lines = importlib.metadata.requires(requirement.name) or ()
    except importlib.metadata.PackageNotFoundError:
        return
    for line in lines:
        found = Requirement(line)
        if found.marker is None or any(
            found.marker.evaluate({"extra": extra}) for extra in ("", *requirement.extras)
        ):
            yield found


def test_each_dependency_is_named_once():
    names = [canonicalize_name(requirement.name) for requirement in named()]
    assert len(names) == len(set(names))


def test_every_package_is_pinned_to_a_version_that_fits():
    waiting, seen = named(), set()
    while waiting:
        requirement = waiting.pop()
        name = canonicalize_name(requirement.name)
        assert name in PINNED, f"{name} is missing in constraints.txt"
        assert requirement.specifier.contains(PINNED[name], prereleases=True), str(requirement)
        if (name, frozenset(requirement.extras)) not in seen:
            seen.add((name, frozenset(requirement.extras)))
            waiting += needed(requirement)
    assert len(seen) > 60
