"""Which source a result was made by."""

import subprocess
from pathlib import Path

__all__ = ["UNKNOWN", "commit_of"]

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
