"""The network file (`.dham`): the contract between training, hardware, simulation and host.

A :class:`Network` holds integers only. :func:`save` writes it, :func:`load` reads it; both check
it in full (:func:`validate`), so whoever holds a `Network` from a file holds a sound one. The
format is documented in ``docs/network-file.md``, the arithmetic in ``docs/arithmetic.md``.

Only numpy is needed: hardware, simulation and host read networks without torch.
"""

from model.network.checks import NetworkError, validate
from model.network.file import FORMAT_VERSION, MAGIC, RENEW_PROGRAM, load, record_digest, save
from model.network.limits import accumulator_bound, signed_bits
from model.network.types import (
    Classifier,
    Conv,
    Golden,
    Identity,
    Network,
    Projection,
    Tensor,
)

__all__ = [
    "FORMAT_VERSION",
    "MAGIC",
    "RENEW_PROGRAM",
    "Classifier",
    "Conv",
    "Golden",
    "Identity",
    "Network",
    "NetworkError",
    "Projection",
    "Tensor",
    "accumulator_bound",
    "load",
    "record_digest",
    "save",
    "signed_bits",
    "validate",
]
