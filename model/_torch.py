"""torch, or one clear line: programs that need the extra `model` import this first."""

from model.errors import missing

try:
    import torch
except ModuleNotFoundError:
    missing("torch")

__all__ = ["torch"]
