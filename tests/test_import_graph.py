"""Who may import whom: every import of the four packages, by reading the source.

A program is what `python -m` runs: a module that ends in a guard for `__main__`, or is named so.
"""

import ast
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("hw", "model", "sim", "firmware")

# Of model/, lowest first: a module may import those of its own layer's folder, and of the layers
# before. Folders side by side in one layer may import none of each other.
LAYERS = (
    ("model.common",),
    ("model.network",),
    ("model.dham", "model.integers", "model.data"),
    ("model.zoo",),
    ("model.training",),
    ("model.measure",),
    ("model.searching",),
    ("model.memory", "model.explain"),
    ("model.experiments",),
)
# The other packages that a package may import.
MAY: dict[str, set[str]] = {
    "model": set(),
    "sim": {"model", "hw", "firmware"},
    "hw": {"model"},
    "firmware": {"model", "hw", "sim"},
}
# (importer, imported) with what lies within them, and why they may. Each must still be needed.
KNOWN: dict[tuple[str, str], str] = {
    ("firmware.flashing", "firmware.compile"): "the firmware is compiled before it is flashed",
    ("hw.build", "sim"): "a build verifies itself by simulation",
    ("hw.boards.__main__", "sim"): "so do the builds of all boards",
}


class Import(NamedTuple):
    """An import of one module by another, and whether it takes place as the importer is loaded."""

    by: str
    of: str
    at_once: bool


def module_name(path: Path, root: Path = ROOT) -> str:
    parts = path.relative_to(root).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


@cache
def trees() -> dict[str, ast.Module]:
    """Every module of the packages, parsed, by its name."""
    return {
        module_name(path): ast.parse(path.read_text("utf-8"), str(path))
        for package in PACKAGES
        for path in sorted((ROOT / package).rglob("*.py"))
    }


def is_program(name: str, tree: ast.Module) -> bool:
    return name.endswith(".__main__") or any(
        isinstance(node, ast.If) and ast.unparse(node.test) == "__name__ == '__main__'"
        for node in tree.body
    )


def for_types(node: ast.If) -> bool:
    return ast.unparse(node.test) in ("TYPE_CHECKING", "typing.TYPE_CHECKING")


def imports_of(name: str, tree: ast.Module, modules: frozenset[str]) -> set[Import]:
    """Imports of `modules` by the module `name`."""
    found = set()

    def visit(node: ast.AST, at_once: bool) -> None:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            at_once = False
        if isinstance(node, ast.If) and for_types(node):
            for child in node.body:
                visit(child, False)
            for child in node.orelse:
                visit(child, at_once)
            return
        if isinstance(node, ast.Import):
            targets = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            whole = node.module or ""
            inner = [f"{whole}.{alias.name}" for alias in node.names]
            targets = [one if one in modules else whole for one in inner]
        else:
            targets = []
        found.update(Import(name, of, at_once) for of in targets if of in modules and of != name)
        for child in ast.iter_child_nodes(node):
            visit(child, at_once)

    visit(tree, True)
    return found


@cache
def imports() -> frozenset[Import]:
    modules = frozenset(trees())
    return frozenset().union(*(imports_of(name, tree, modules) for name, tree in trees().items()))


def layer_of(name: str) -> int | None:
    """Number of the layer of a module of model/; None of a program beside the layers."""
    for number, folders in enumerate(LAYERS):
        if any(within(name, folder) for folder in folders):
            return number
    return None


def folder_of(name: str) -> str:
    return ".".join(name.split(".")[:2])


def of_a_program(found: Import) -> bool:
    """A library imports a program. A program may import what it is made of, programs too."""
    return is_program(found.of, trees()[found.of]) and not is_program(found.by, trees()[found.by])


def upwards(found: Import) -> bool:
    """A module of model/ imports one of a layer above, or of another folder beside its own."""
    by, of = layer_of(found.by), layer_of(found.of)
    if by is None or not found.of.startswith("model."):
        return False
    if of is None or of > by:
        return True
    return of == by and folder_of(found.by) != folder_of(found.of)


def across(found: Import) -> bool:
    """A package imports one that it may not."""
    by, of = (name.split(".")[0] for name in (found.by, found.of))
    return by != of and of not in MAY[by]


def within(name: str, package: str) -> bool:
    return name == package or name.startswith(f"{package}.")


def allows(known: tuple[str, str], found: Import) -> bool:
    return within(found.by, known[0]) and within(found.of, known[1])


RULES = {"a library imports a program": of_a_program, "layers": upwards, "packages": across}


SOURCE = """
from typing import TYPE_CHECKING
import os, a.b
from a import b, f
if TYPE_CHECKING:
    from c import d
else:
    import c
def g():
    from e import h
"""


def test_imports_are_read_as_python_does():
    found = imports_of("x", ast.parse(SOURCE), frozenset({"a", "a.b", "c", "c.d", "e", "x"}))
    at_once = {("a.b", True), ("a", True), ("c", True)}
    assert {(one.of, one.at_once) for one in found} == at_once | {("c.d", False), ("e", False)}


@pytest.mark.parametrize("rule", RULES)
def test_no_import_breaks_the_rule(rule):
    wrong = {found for found in imports() if RULES[rule](found)}
    allowed = {found for found in wrong if any(allows(known, found) for known in KNOWN)}
    assert sorted((found.by, found.of) for found in wrong - allowed) == []


@pytest.mark.parametrize("known", KNOWN, ids=" ".join)
def test_the_exception_is_still_needed(known):
    broken = [found for found in imports() if any(rule(found) for rule in RULES.values())]
    assert any(allows(known, found) for found in broken)


def test_model_holds_programs_and_folders_of_libraries_alone():
    for name, tree in trees().items():
        if name.startswith("model.") and name.count(".") == 1:
            assert (ROOT / "model" / name.split(".")[1]).is_dir() or is_program(name, tree), name


def test_every_folder_of_model_has_a_layer():
    inner = {name for name in trees() if within(name, "model") and name.count(".") > 1}
    assert {folder_of(name) for name in inner} == {folder for layer in LAYERS for folder in layer}


def test_imports_are_absolute():
    relative = [
        f"{name}:{node.lineno}"
        for name, tree in trees().items()
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.level
    ]
    assert relative == []


def test_no_cycle_of_imports():
    """Of those that take place as a module is loaded: not in a function, not for types alone."""
    edges: dict[str, set[str]] = {name: set() for name in trees()}
    for found in imports():
        if found.at_once:
            edges[found.by].add(found.of)
    cycle = a_cycle(edges)
    assert cycle == [], " -> ".join(cycle)


def a_cycle(edges: dict[str, set[str]]) -> list[str]:
    """Names along a cycle, the first one also last; empty where there is none."""
    done: set[str] = set()
    path: list[str] = []

    def visit(name: str) -> list[str]:
        if name in path:
            return [*path[path.index(name) :], name]
        if name in done:
            return []
        path.append(name)
        for other in sorted(edges[name]):
            if cycle := visit(other):
                return cycle
        path.pop()
        done.add(name)
        return []

    for name in sorted(edges):
        if cycle := visit(name):
            return cycle
    return []
