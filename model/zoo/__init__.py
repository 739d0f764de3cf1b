"""The networks that come with the project: `.dham` files beside this module, found by name."""

from pathlib import Path

from model.common.errors import UserError, nearest

__all__ = ["DEFAULT", "find", "names"]

#: Name of the network that is used where the user names none.
DEFAULT = "dham8-up5k"

_FOLDER = Path(__file__).parent


def names() -> list[str]:
    """Names of all networks of the zoo, in alphabetical order."""
    return sorted(path.stem for path in _FOLDER.glob("*.dham"))


def find(name: str | None = None) -> Path:
    """The file of a network: a file's path as it is, or a name of the zoo, or the default.

    Raises `UserError` with the known names and the nearest one if it is neither.
    """
    if name is None:
        name = DEFAULT
    elif name.endswith(".dham") or "/" in name or Path(name).is_file():
        path = Path(name)
        if not path.is_file():
            raise UserError(f"No network file {name}; networks of the zoo: {', '.join(names())}")
        return path
    path = _FOLDER / f"{name}.dham"
    if not path.is_file():
        raise UserError(f"Unknown network {name!r}: {nearest(name, names())}")
    return path
