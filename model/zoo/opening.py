"""Opening a network that the user names: a file, or a network of the zoo."""

import os
from pathlib import Path

from model import zoo
from model.common.errors import UserError, nearest
from model.network import Network, load

__all__ = ["open_network"]


def open_network(name: str) -> Network:
    """The network of a file, or of the zoo by its name.

    Raises ``UserError``: the file's failed check, or the known names and the nearest.
    """
    if not name.strip():
        raise UserError(
            f"A network needs the name of a file or of the zoo; {nearest(name, zoo.names())}"
        )
    path = Path(name)
    is_path = path.exists() or path.suffix == ".dham" or os.sep in name
    return load(path if is_path else zoo.find(name))
