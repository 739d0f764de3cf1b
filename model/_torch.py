"""torch, or one clear line: programs that need the extra `model` import this first."""

import sys

try:
    import torch
except ModuleNotFoundError:
    print(
        "error: this program needs torch: pip install -c constraints.txt -e '.[model]'",
        file=sys.stderr,
    )
    sys.exit(2)

__all__ = ["torch"]
