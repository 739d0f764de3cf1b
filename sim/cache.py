"""The cache of what simulations compile: one folder for each model, whole or not there at all."""

import shutil
import tempfile
from pathlib import Path

__all__ = ["KEPT", "forget", "keep"]

KEPT = 8  # models in the cache


def keep(folder: Path, directory: Path) -> None:
    """Move what was compiled in `folder` into the cache, as `directory`, whole or not at all."""
    for path in folder.rglob("*.o"):
        path.unlink()
    directory.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(
        prefix=f".{directory.name}-", dir=directory.parent, ignore_cleanup_errors=True
    ) as name:
        made = Path(name, "made")
        shutil.copytree(folder, made, symlinks=True)  # it may be on another disk
        (made / "complete").touch()
        if directory.exists() and not (directory / "complete").exists():
            directory.rename(Path(name, "old"))  # left incomplete by an earlier version
        try:
            made.rename(directory)
        except OSError:  # another process made the same one meanwhile
            if not (directory / "complete").exists():
                raise


def forget(folder: Path, latest: Path) -> None:
    """Remove from the cache `folder` all models but the `KEPT` used last, and `latest`."""
    models = [path for path in folder.iterdir() if (path / "complete").exists()]
    models.sort(key=lambda path: path.stat().st_mtime, reverse=True)
    for path in models[KEPT:]:
        if path != latest:
            shutil.rmtree(path, ignore_errors=True)
