"""Where a training comes from: the commit of the source, and NAME.json beside its checkpoint.

NAME.json, the *sidecar* of NAME.pt, is an object with `hardware`, `commit` and `command`, each of
every session that took part ("a; then b"), and `test`, the accuracy on the test images, once it was
measured. `model.train` and `model.experiments` write it; it may be written by hand or be missing.

Only the standard library is needed.
"""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

from model.common import files
from model.common.errors import UserError

__all__ = ["UNKNOWN", "commit_of", "describe", "note", "read", "tested"]

UNKNOWN = "unknown"
ROOT = Path(__file__).parents[2]


def commit_of(root: Path = ROOT) -> str:
    """The commit of the source tree, and whether `model/` differs from it; or "unknown"."""

    def git(*words: str) -> str:
        found = subprocess.run(
            ["git", "-C", str(root), *words], capture_output=True, text=True, check=False
        )
        return found.stdout.strip() if found.returncode == 0 else ""

    try:
        top = git("rev-parse", "--show-toplevel")
        if not top or Path(top).resolve() != root.resolve():
            return UNKNOWN  # installed without its history
        changed = git("status", "--porcelain", "--", "model")
        return (git("rev-parse", "--short", "HEAD") or UNKNOWN) + " + changes" * bool(changed)
    except OSError:  # no git
        return UNKNOWN


def read(path: Path) -> dict:
    """A sidecar; empty where there is none. Raises ``UserError`` where it is no JSON object."""
    if not path.exists():
        return {}
    try:
        found = json.loads(path.read_text("utf-8"))
        if not isinstance(found, dict):
            raise ValueError
    except ValueError:
        raise UserError(
            f"{path} is damaged: mend it (an object with hardware, commit and command), or "
            "remove it (they are then unknown)"
        ) from None
    return found


def note(path: Path, **facts) -> dict:
    """Add to a sidecar, and return it whole."""
    whole = read(path) | facts
    files.write(path, json.dumps(whole, indent=1, ensure_ascii=False) + "\n")
    return whole


def describe(path: Path, *, begun: bool, hardware: str, commit: str, command: str) -> None:
    """Note the session that trains now, behind those that have `begun` the training."""
    mine = {"hardware": hardware, "commit": commit, "command": command}
    if begun:
        before = read(path)
        for key, value in mine.items():
            parts = [p for p in before.get(key, UNKNOWN).split("; then ") if p != value]
            mine[key] = "; then ".join([*parts, value])
    note(path, **mine)


def tested(
    path: Path, *, checkpoint: str, images: int, hardware: str, measure: Callable[[], float]
) -> dict:
    """Accuracy on the test images: {"right", "images", "accuracy"}, measured once.

    `measure` gives it in percent. It is kept in the sidecar with the checkpoint (the SHA-256 of its
    file) that it belongs to.
    """
    known = read(path).get("test")
    if (
        isinstance(known, dict)
        and known.get("checkpoint") == checkpoint
        and known.get("images") == images
    ):
        return {key: known[key] for key in ("right", "images", "accuracy")}
    right = round(measure() * images / 100)
    result = {"right": right, "images": images, "accuracy": 100 * right / images}
    note(path, test={**result, "checkpoint": checkpoint, "hardware": hardware})
    return result
