"""What a host loads into the accelerator for a network: words for its memories."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

__all__ = ["Program", "make_program"]


@dataclass(frozen=True, kw_only=True)
class Program:
    """A network, compiled for one capability.

    Parameters
    ----------
    name : str
        The network's.
    input_shape : tuple of int
        Height, width, channels of the image; one byte each, channels innermost.
    classes : tuple of str
        Names, one a logit.
    regions : dict of str to sequence of int
        Name of a memory window to its 32-bit words, from the window's start.
    cycles : int
        Predicted for one frame; 0: not known.
    """

    name: str
    input_shape: tuple[int, int, int]
    classes: tuple[str, ...]
    regions: Mapping[str, Sequence[int]]
    cycles: int = 0

    @property
    def fingerprint(self) -> int:
        """32 bits of a hash over all that is loaded; never 0. The NETWORK register holds it."""
        digest = hashlib.sha256()
        for name, words in sorted(self.regions.items()):
            digest.update(f"{name}:{len(words)}:".encode())
            digest.update(b"".join(int(word).to_bytes(4, "little") for word in words))
        return int.from_bytes(digest.digest()[:4], "big") or 1


def make_program(network, capability) -> Program:
    """Compile a `model.network.Network` for a device's `Capability`.

    Raises `UserError` with the resource, need and budget where it does not fit the device.
    """
    from hw.plan import make_plan

    plan = make_plan(network, capability)
    regions = {
        getattr(region, "name", str(region)).upper(): [int(word) for word in words]
        for region, words in plan.images().items()
    }
    return Program(
        name=network.name,
        input_shape=tuple(network.input_shape),
        classes=tuple(network.classes),
        regions=regions,
        cycles=int(plan.cycles),
    )
