"""The network file (`.dham`): the contract between training, hardware, simulation and host.

A :class:`Network` holds integers only. :func:`save` writes it, :func:`load` reads it; both check
it in full (:func:`validate`), so whoever holds a `Network` from a file holds a sound one. The
format is documented in ``docs/network-file.md``, the arithmetic in ``docs/arithmetic.md``.

Only numpy is needed: hardware, simulation and host read networks without torch.
"""

import hashlib
import json
import re
import struct
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np

from model.common import files
from model.common.errors import UserError, nearest

__all__ = [
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

MAGIC = b"DHAM\r\n\x1a\n"
FORMAT_VERSION = 1

RENEW_PROGRAM = "renew this program with `pip install -U decisivenets`"
"""What to do where anything that has a version is newer than this program."""
ORDERS = ("after", "before")
# The widest accumulator that any reader must support; a network beyond it is refused.
MAX_ACCUMULATOR_BITS = 32
_DTYPES = ("|i1", "|u1", "<i2", "<i4", "<i8")


class NetworkError(UserError):
    """A network, or a network file, that is not sound. The text says which check failed."""


@dataclass(frozen=True, kw_only=True)
class Tensor:
    """Shape and range of one grouped tensor: a grid of records (value, winner).

    ``channels`` feature maps in groups of ``group_size``; values are 0 to ``maximum``.
    """

    height: int
    width: int
    channels: int
    group_size: int
    maximum: int

    @property
    def groups(self) -> int:
        return self.channels // self.group_size

    @property
    def pixels(self) -> int:
        return self.height * self.width


@dataclass(frozen=True, kw_only=True, eq=False)
class Projection:
    """Projection shortcut: ``A[o] += 2**exponent * sum_g weights[o, g*l + k] * v``.

    ``source`` is a tensor index, ``stride`` its step in pixels, ``weights`` [Cout, Cin] integers
    of the layer's ``weight_bits``.
    """

    source: int
    stride: int
    exponent: int
    weights: np.ndarray


@dataclass(frozen=True, kw_only=True, eq=False)
class Identity:
    """Identity residual: ``S[o] += factor[o] * R[o]``; ``factor`` [Cout] integers."""

    source: int
    factor: np.ndarray


@dataclass(frozen=True, kw_only=True, eq=False)
class Conv:
    """A convolution with its requantiser and winner-takes-all (``docs/arithmetic.md``).

    ``weights`` [Cout, Kh, Kw, Cin], signed, ``weight_bits`` wide; ``padding`` is (top, bottom,
    left, right); ``bias``, ``multiplier``, ``shift`` are [Cout]; ``order`` says whether the
    winner is taken ``after`` or ``before`` requantising; ``binary`` puts 1 for any Q > 0.
    """

    name: str
    source: int
    weights: np.ndarray
    weight_bits: int
    stride: int
    padding: tuple[int, int, int, int]
    bias: np.ndarray
    multiplier: np.ndarray
    shift: np.ndarray
    group_size: int
    activation_bits: int
    order: str = "after"
    binary: bool = False
    projection: Projection | None = None
    identity: Identity | None = None

    kind: ClassVar[Literal["conv"]] = "conv"

    @property
    def channels(self) -> int:
        return self.weights.shape[0]

    def output(self, source: Tensor) -> Tensor:
        """The tensor that this layer makes of `source`."""
        top, bottom, left, right = self.padding
        return Tensor(
            height=(source.height + top + bottom - self.weights.shape[1]) // self.stride + 1,
            width=(source.width + left + right - self.weights.shape[2]) // self.stride + 1,
            channels=self.channels,
            group_size=self.group_size,
            maximum=1 if self.binary else 2**self.activation_bits - 1,
        )


@dataclass(frozen=True, kw_only=True, eq=False)
class Classifier:
    """Sum over all pixels, then fully connected: ``weights`` [classes, Cin], ``bias`` [classes].

    The logits are exact sums; the class is the lowest index of their maximum.
    """

    name: str
    source: int
    weights: np.ndarray
    weight_bits: int
    bias: np.ndarray

    kind: ClassVar[Literal["classifier"]] = "classifier"
    projection: ClassVar[None] = None
    identity: ClassVar[None] = None

    @property
    def channels(self) -> int:
        return self.weights.shape[0]


@dataclass(frozen=True, kw_only=True, eq=False)
class Golden:
    """Golden vectors of the integer reference: what every implementation must reproduce.

    ``images`` [N, H, W, C] uint8; ``digests`` N tuples with one :func:`record_digest` for each
    convolution; ``logits`` [N, classes] integers.
    """

    images: np.ndarray
    digests: tuple[tuple[str, ...], ...]
    logits: np.ndarray


@dataclass(frozen=True, kw_only=True, eq=False)
class Network:
    """Convolutions and, last, one classifier. Tensor 0 is the image, i + 1 is layer i's output.

    ``input_shape`` is (H, W, C); ``metadata`` is free, JSON-able: ``top1`` is the integer accuracy
    in percent on the test images, and who trained it how. ``sha256`` is the file's, once saved
    or loaded.
    """

    name: str
    input_shape: tuple[int, int, int]
    layers: tuple[Conv | Classifier, ...]
    classes: tuple[str, ...]
    input_bits: int = 8
    metadata: dict = field(default_factory=dict)
    golden: Golden | None = None
    sha256: str | None = None

    @property
    def convs(self) -> tuple[Conv, ...]:
        return self.layers[:-1]  # type: ignore[return-value]

    @property
    def classifier(self) -> Classifier:
        return self.layers[-1]  # type: ignore[return-value]

    @property
    def tensors(self) -> tuple[Tensor, ...]:
        """Tensor 0 (the image) and every convolution's output."""
        tensors = [_image(self)]
        for layer in self.convs:
            tensors.append(layer.output(tensors[layer.source]))
        return tuple(tensors)

    @property
    def accumulator_bits(self) -> int:
        """Bits of a signed accumulator that holds every partial sum of every layer."""
        tensors = self.tensors
        bits = 1
        for layer in self.layers:
            low, high = accumulator_bound(layer, tensors)
            bits = max(bits, signed_bits(low, high))
        return bits


def _image(network: Network) -> Tensor:
    height, width, channels = network.input_shape
    return Tensor(
        height=height,
        width=width,
        channels=channels,
        group_size=1,
        maximum=2**network.input_bits - 1,
    )


def signed_bits(low: int, high: int) -> int:
    """Bits of the smallest two's complement number that holds `low` and `high`."""
    return 1 + max((~low if low < 0 else low).bit_length(), high.bit_length())


def record_digest(value: np.ndarray, winner: np.ndarray) -> str:
    """SHA-256 of one frame's records of one layer; `value` and `winner` are [H, W, G]."""
    digest = hashlib.sha256(np.asarray(value).astype("<u2").tobytes())
    digest.update(np.asarray(winner).astype("<u2").tobytes())
    return digest.hexdigest()


def accumulator_bound(layer: Conv | Classifier, tensors: Sequence[Tensor]) -> tuple[int, int]:
    """Worst-case (low, high) over all partial sums of `layer`, in exact integers.

    Each group contributes the weight of one winner, so its worst case is the largest (smallest)
    weight of the group times the largest value: summed in any order, bias and residual included,
    no partial sum leaves the bound.
    """
    source = tensors[layer.source]
    parts = [(layer.weights, source, 0)]
    if layer.projection is not None:
        shortcut = layer.projection
        parts.append((shortcut.weights, tensors[shortcut.source], shortcut.exponent))
    low = np.zeros(layer.channels, dtype=object)
    high = np.zeros(layer.channels, dtype=object)
    for weights, tensor, exponent in parts:
        grouped = weights.reshape(layer.channels, -1, tensor.group_size).astype(np.int64)
        scale = tensor.maximum << exponent
        if layer.kind == "classifier":
            scale *= tensor.pixels
        low += np.minimum(grouped.min(axis=2), 0).sum(axis=1).astype(object) * scale
        high += np.maximum(grouped.max(axis=2), 0).sum(axis=1).astype(object) * scale
    terms = [layer.bias.astype(object)]
    if layer.identity is not None:
        terms.append(layer.identity.factor.astype(object) * tensors[layer.identity.source].maximum)
    for term in terms:
        low += np.minimum(term, 0)
        high += np.maximum(term, 0)
    return int(min(low)), int(max(high))


# --- validation ---------------------------------------------------------------------------------


def validate(network: Network) -> None:
    """Check `network` in full; raises :class:`NetworkError` that names the layer and the check."""
    _check(bool(network.name) and isinstance(network.name, str), "Network needs a name")
    shape = network.input_shape
    _check(
        len(shape) == 3 and all(_positive(n) and n < 2**16 for n in shape),
        f"Input shape must be three positive integers (height, width, channels) "
        f"below 65536, not {shape!r}",
    )
    _check(
        _positive(network.input_bits) and network.input_bits <= 8,
        f"Input bits must be 1 to 8, not {network.input_bits!r}",
    )
    _check(
        len(network.layers) >= 2
        and all(layer.kind == "conv" for layer in network.convs)
        and network.classifier.kind == "classifier",
        "Network must be one or more convolutions and, last, one classifier",
    )
    tensors = _validate_layers(network)
    _check(
        len(network.classes) == network.classifier.channels
        and all(isinstance(name, str) for name in network.classes),
        f"Classifier has {network.classifier.channels} outputs, "
        f"but {len(network.classes)} class names are given",
    )
    names = [layer.name for layer in network.layers]
    for index, name in enumerate(names):
        _check(name not in names[:index], f"Layer {index}: the name {name!r} is taken")
    for index, layer in enumerate(network.layers):
        bits = signed_bits(*accumulator_bound(layer, tensors))
        _check(
            bits <= MAX_ACCUMULATOR_BITS,
            f"Layer {index} ({layer.name}): accumulator needs {bits} bits, "
            f"at most {MAX_ACCUMULATOR_BITS} are allowed",
        )
    try:
        json.dumps(network.metadata, allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        raise NetworkError(f"Metadata cannot be written as JSON: {error}") from None
    _check(isinstance(network.metadata, dict), "Metadata must be an object")
    if network.golden is not None:
        _validate_golden(network)


def _check(condition: bool, text: str) -> None:
    if not condition:
        raise NetworkError(text)


def _natural(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _positive(value: Any) -> bool:
    return _natural(value) and value > 0


def _validate_layers(network):
    tensors = [_image(network)]
    for index, layer in enumerate(network.layers):
        _check(
            isinstance(layer.name, str) and bool(layer.name),
            f"Layer {index} needs a name, not {layer.name!r}",
        )
        try:
            _validate_layer(layer, tensors)
        except NetworkError as error:
            raise NetworkError(f"Layer {index} ({layer.name}): {error}") from None
        if layer.kind == "conv":
            tensors.append(layer.output(tensors[layer.source]))
    return tensors


def _validate_layer(layer, tensors):
    conv = layer.kind == "conv"
    _validate_array("weights", layer.weights, 4 if conv else 2)
    _check(
        _positive(layer.weight_bits) and layer.weight_bits <= 8,
        f"weight bits must be 1 to 8, not {layer.weight_bits!r}",
    )
    _validate_weights("weights", layer.weights, layer.weight_bits)
    source = _source("source", layer.source, tensors)
    _check(
        layer.weights.shape[-1] == source.channels,
        f"weights take {layer.weights.shape[-1]} input channels, "
        f"but tensor {layer.source} has {source.channels}",
    )
    _validate_array("bias", layer.bias, 1, length=layer.channels)
    if conv:
        _validate_conv(layer, source, tensors)


def _validate_conv(layer, source, tensors):
    _check(_positive(layer.stride), f"stride must be a positive integer, not {layer.stride!r}")
    _check(
        len(layer.padding) == 4 and all(_natural(n) for n in layer.padding),
        f"padding must be four integers of 0 or more, not {layer.padding!r}",
    )
    top, bottom, left, right = layer.padding
    kernel_height, kernel_width = layer.weights.shape[1:3]
    _check(
        max(top, bottom) < kernel_height and max(left, right) < kernel_width,
        f"padding {layer.padding} must be smaller than the kernel {kernel_height}x{kernel_width}",
    )
    _check(
        source.height + top + bottom >= kernel_height
        and source.width + left + right >= kernel_width,
        f"kernel {kernel_height}x{kernel_width} is larger than the padded input "
        f"{source.height + top + bottom}x{source.width + left + right}",
    )
    _check(
        _positive(layer.group_size),
        f"group size must be a positive integer, not {layer.group_size!r}",
    )
    _check(layer.group_size <= 2**16, f"group size must be at most 65536, not {layer.group_size}")
    _check(
        layer.channels % layer.group_size == 0,
        f"group size {layer.group_size} does not divide the {layer.channels} channels",
    )
    _check(
        _positive(layer.activation_bits) and layer.activation_bits <= 8,
        f"activation bits must be 1 to 8, not {layer.activation_bits!r}",
    )
    _check(layer.order in ORDERS, f"order must be 'after' or 'before', not {layer.order!r}")
    _check(isinstance(layer.binary, bool), f"binary must be true or false, not {layer.binary!r}")
    for name in ("multiplier", "shift"):
        array = getattr(layer, name)
        _validate_array(name, array, 1, length=layer.channels)
        _check(int(array.min()) >= 1, f"{name} must be 1 or more, not {int(array.min())}")
    _check(int(layer.shift.max()) <= 62, f"shift must be at most 62, not {int(layer.shift.max())}")
    if layer.order == "before":
        for name in ("multiplier", "shift"):
            groups = getattr(layer, name).reshape(-1, layer.group_size)
            _check(
                bool((groups == groups[:, :1]).all()),
                f"order 'before' needs one {name} for each group, but they differ within a group",
            )
    output = layer.output(source)
    if layer.projection is not None:
        _validate_projection(layer, output, tensors)
    if layer.identity is not None:
        _validate_array("identity factor", layer.identity.factor, 1, length=layer.channels)
        residual = _source("identity", layer.identity.source, tensors)
        _check(layer.identity.source > 0, "identity cannot take the image")
        expected = (output.height, output.width, output.channels)
        actual = (residual.height, residual.width, residual.channels)
        _check(actual == expected, f"identity tensor is {actual}, the output is {expected}")


def _validate_projection(layer, output, tensors):
    shortcut = layer.projection
    _validate_array("projection weights", shortcut.weights, 2, length=layer.channels)
    _validate_weights("projection weights", shortcut.weights, layer.weight_bits)
    tensor = _source("projection", shortcut.source, tensors)
    _check(
        shortcut.weights.shape[1] == tensor.channels,
        f"projection takes {shortcut.weights.shape[1]} channels, "
        f"but tensor {shortcut.source} has {tensor.channels}",
    )
    _check(
        _positive(shortcut.stride),
        f"projection stride must be a positive integer, not {shortcut.stride!r}",
    )
    _check(
        _natural(shortcut.exponent) and shortcut.exponent <= 16,
        f"projection exponent must be 0 to 16, not {shortcut.exponent!r}",
    )
    for axis in ("height", "width"):
        last = (getattr(output, axis) - 1) * shortcut.stride
        _check(
            last < getattr(tensor, axis),
            f"projection of stride {shortcut.stride} leaves its tensor's {axis} "
            f"({last} >= {getattr(tensor, axis)})",
        )


def _source(what, index, tensors):
    _check(
        _natural(index) and index < len(tensors),
        f"{what} tensor must be 0 to {len(tensors) - 1} (an earlier one), not {index!r}",
    )
    return tensors[index]


def _validate_array(name, array, dimensions, length=None):
    _check(
        isinstance(array, np.ndarray) and np.issubdtype(array.dtype, np.integer),
        f"{name} must be an integer array",
    )
    _check(
        array.ndim == dimensions and array.size > 0,
        f"{name} must have {dimensions} dimensions and not be empty, not shape {array.shape}",
    )
    if length is not None:
        _check(array.shape[0] == length, f"{name} must have {length} entries, not {array.shape[0]}")
    _check(
        -(2**31) <= int(array.min()) and int(array.max()) < 2**31, f"{name} leaves 32 signed bits"
    )


def _validate_weights(name, weights, bits):
    low, high = -(2 ** (bits - 1)), 2 ** (bits - 1) - 1
    if bits == 1:  # binary memories: weights 0 and 1
        low, high = 0, 1
    _check(
        low <= int(weights.min()) and int(weights.max()) <= high,
        f"{name} must be {low} to {high} ({bits} bits), "
        f"not {int(weights.min())} to {int(weights.max())}",
    )


def _validate_golden(network: Network) -> None:
    golden = network.golden
    assert golden is not None
    _validate_array("golden images", golden.images, 4)
    _check(
        golden.images.dtype == np.uint8 and golden.images.shape[1:] == tuple(network.input_shape),
        f"golden images must be uint8 of shape (N, {', '.join(map(str, network.input_shape))}), "
        f"not {golden.images.dtype} {golden.images.shape}",
    )
    count = len(golden.images)
    _check(
        int(golden.images.max()) < 2**network.input_bits,
        f"golden images leave {network.input_bits} bits",
    )
    _validate_array("golden logits", golden.logits, 2)
    _check(
        golden.logits.shape == (count, len(network.classes)),
        f"golden logits must be {(count, len(network.classes))}, not {golden.logits.shape}",
    )
    _check(
        len(golden.digests) == count
        and all(len(frame) == len(network.convs) for frame in golden.digests),
        f"golden digests must be {count} frames of {len(network.convs)} layers",
    )
    _check(
        all(
            isinstance(digest, str) and re.fullmatch("[0-9a-f]{64}", digest)
            for frame in golden.digests
            for digest in frame
        ),
        "golden digests must be SHA-256 in 64 lowercase hexadecimal digits",
    )


# --- file ---------------------------------------------------------------------------------------


def save(network: Network, path: str | Path) -> Network:
    """Check `network` and write it to `path` (through a temporary name, renamed at the end).

    Returns the network with its ``sha256``. Raises :class:`NetworkError`, or ``OSError``.
    """
    validate(network)
    body = _encode(network)
    digest = hashlib.sha256(body)
    files.write(Path(path), body + digest.digest(), durable=True)
    return replace(network, sha256=digest.hexdigest())


def load(path: str | Path) -> Network:
    """Read and check the network file at `path`.

    Raises :class:`NetworkError` that says which check failed: missing, foreign, newer, truncated,
    damaged, or unsound content.
    """
    path = Path(path)
    try:
        data = path.read_bytes()
    except OSError as error:
        text = f"Cannot read network file {path}: {error.strerror}"
        beside = sorted(other.name for other in path.parent.glob("*.dham"))
        if isinstance(error, FileNotFoundError) and beside:
            text += f"; {nearest(path.name, beside)}"
        raise NetworkError(text) from None
    if data.startswith(b"PK\x03\x04") and b"/data.pkl" in data[:100]:  # torch's zip begins so
        raise NetworkError(
            f"{path} is a checkpoint of a training, not a network file: give the NAME.dham that a "
            "quantised training writes; model.evaluate, model.noise and model.few_shot read NAME.pt"
        )
    try:
        return _decode(data)
    except NetworkError as error:
        raise NetworkError(f"Network file {path}: {error}") from None


def _encode(network):
    arrays: list[dict] = []
    blob = bytearray()

    def put(array: np.ndarray) -> int:
        small = next(d for d in _DTYPES if _fits(array, np.dtype(d)))
        data = np.ascontiguousarray(array, dtype=small)
        arrays.append({"dtype": small, "shape": list(array.shape), "offset": len(blob)})
        blob.extend(data.tobytes())
        return len(arrays) - 1

    header = {
        "name": network.name,
        "input_shape": list(network.input_shape),
        "input_bits": network.input_bits,
        "classes": list(network.classes),
        "layers": [_encode_layer(layer, put) for layer in network.layers],
        "accumulator_bits": network.accumulator_bits,
        "metadata": network.metadata,
    }
    if network.golden is not None:
        header["golden"] = {
            "images": put(network.golden.images),
            "logits": put(network.golden.logits),
            "digests": [list(frame) for frame in network.golden.digests],
        }
    header["arrays"] = arrays
    text = json.dumps(header, sort_keys=True, allow_nan=False).encode()
    return MAGIC + struct.pack("<II", FORMAT_VERSION, len(text)) + text + blob


def _fits(array, dtype):
    info = np.iinfo(dtype)
    return info.min <= int(array.min()) and int(array.max()) <= info.max


_CONV_SCALARS = ("weight_bits", "stride", "group_size", "activation_bits", "order", "binary")


def _encode_layer(layer, put):
    entry = {
        "kind": layer.kind,
        "name": layer.name,
        "source": layer.source,
        "weight_bits": layer.weight_bits,
        "weights": put(layer.weights),
        "bias": put(layer.bias),
    }
    if layer.kind == "conv":
        entry |= {name: getattr(layer, name) for name in _CONV_SCALARS}
        entry |= {
            "padding": list(layer.padding),
            "multiplier": put(layer.multiplier),
            "shift": put(layer.shift),
        }
    if layer.projection is not None:
        shortcut = layer.projection
        entry["projection"] = {
            "source": shortcut.source,
            "stride": shortcut.stride,
            "exponent": shortcut.exponent,
            "weights": put(shortcut.weights),
        }
    if layer.identity is not None:
        entry["identity"] = {
            "source": layer.identity.source,
            "factor": put(layer.identity.factor),
        }
    return entry


def _decode(data):
    _check(not MAGIC.startswith(data), "truncated")
    _check(data.startswith(MAGIC), "not a DHAM network file (magic)")
    _check(len(data) >= len(MAGIC) + 8 + 32, "truncated")
    version, length = struct.unpack_from("<II", data, len(MAGIC))
    _check(
        version <= FORMAT_VERSION,
        f"format version {version} is newer than this program's {FORMAT_VERSION}: " + RENEW_PROGRAM,
    )
    _check(version == FORMAT_VERSION, f"format version {version} is not known")
    start = len(MAGIC) + 8
    _check(start + length + 32 <= len(data), "truncated (header)")
    digest = hashlib.sha256(data[:-32])
    _check(digest.digest() == data[-32:], "truncated or damaged (checksum)")
    try:
        header = json.loads(data[start : start + length].decode("utf-8"))
        network = _decode_header(header, data[start + length : -32])
        stated = header["accumulator_bits"]
    except NetworkError:
        raise
    except KeyError as error:
        raise NetworkError(f"header is malformed (no {error})") from None
    except (TypeError, ValueError, AttributeError, RecursionError) as error:
        raise NetworkError(f"header is malformed ({error})") from None
    validate(network)
    actual = network.accumulator_bits
    _check(stated == actual, f"accumulator needs {actual} bits, but the header states {stated}")
    return replace(network, sha256=digest.hexdigest())


_HEADER_KEYS = {
    "name",
    "input_shape",
    "input_bits",
    "classes",
    "layers",
    "accumulator_bits",
    "metadata",
    "golden",
    "arrays",
}
_LAYER_KEYS = {"kind", "name", "source", "weight_bits", "weights", "bias"}
_CONV_KEYS = {
    *_LAYER_KEYS,
    *_CONV_SCALARS,
    "padding",
    "multiplier",
    "shift",
    "projection",
    "identity",
}


def _known(what: str, entry: Any, keys: set[str]) -> None:
    """Refuse what this program would silently ignore: an independent writer's misspelt key."""
    _check(isinstance(entry, dict), f"{what} must be an object")
    for key in entry:
        _check(key in keys, f"{what} has an unknown key {key!r}: {nearest(key, sorted(keys))}")


def _list(what: str, value: Any) -> tuple:
    _check(isinstance(value, list), f"{what} must be a list, not {value!r}")
    return tuple(value)


def _decode_header(header, blob):
    used = 0
    _known("header", header, _HEADER_KEYS)
    table = _list("arrays", header["arrays"])

    def get(index):
        nonlocal used
        _check(
            _natural(index) and index < len(table),
            f"array number must be 0 to {len(table) - 1}, not {index!r}",
        )
        entry = table[index]
        _known(f"array {index}", entry, {"dtype", "shape", "offset"})
        _check(entry["dtype"] in _DTYPES, f"array type {entry['dtype']!r} is not known")
        dtype = np.dtype(entry["dtype"])
        shape = _list(f"shape of array {index}", entry["shape"])
        _check(
            1 <= len(shape) <= 4 and all(_positive(n) for n in shape),
            f"array {index} must have 1 to 4 positive dimensions, not {list(shape)}",
        )
        size = dtype.itemsize
        for n in shape:
            size *= n
        start = entry["offset"]
        _check(_natural(start) and start + size <= len(blob), f"array {index} leaves the file")
        used = max(used, start + size)
        array = np.frombuffer(blob, dtype, offset=start, count=size // dtype.itemsize)
        return array.reshape(shape)

    layers = tuple(
        _decode_layer(index, entry, get)
        for index, entry in enumerate(_list("layers", header["layers"]))
    )
    golden = None
    if header.get("golden") is not None:
        entry = header["golden"]
        _known("golden", entry, {"images", "logits", "digests"})
        images = get(entry["images"])
        _check(
            int(images.min()) >= 0 and int(images.max()) <= 255, "golden images must be 0 to 255"
        )
        golden = Golden(
            images=images.astype(np.uint8),
            logits=get(entry["logits"]).astype(np.int64),
            digests=tuple(
                _list("a frame's digests", frame)
                for frame in _list("golden digests", entry["digests"])
            ),
        )
    _check(used == len(blob), f"{len(blob) - used} bytes behind the last array")
    return Network(
        name=header["name"],
        input_shape=_list("input_shape", header["input_shape"]),
        input_bits=header["input_bits"],
        layers=layers,
        classes=_list("classes", header["classes"]),
        metadata=header["metadata"],
        golden=golden,
    )


def _decode_layer(index, entry, get):
    what = f"layer {index}"
    _check(isinstance(entry, dict), f"{what} must be an object")
    kind = entry["kind"]
    _check(kind in ("conv", "classifier"), f"{what}: kind {kind!r} is not known")
    _known(what, entry, _CONV_KEYS if kind == "conv" else _LAYER_KEYS)
    common = {
        "name": entry["name"],
        "source": entry["source"],
        "weights": get(entry["weights"]).astype(np.int64),
        "weight_bits": entry["weight_bits"],
        "bias": get(entry["bias"]).astype(np.int64),
    }
    if kind == "classifier":
        return Classifier(**common)
    projection = identity = None
    if entry.get("projection") is not None:
        shortcut = entry["projection"]
        _known(f"{what}: projection", shortcut, {"source", "stride", "exponent", "weights"})
        projection = Projection(
            source=shortcut["source"],
            stride=shortcut["stride"],
            exponent=shortcut["exponent"],
            weights=get(shortcut["weights"]).astype(np.int64),
        )
    if entry.get("identity") is not None:
        _known(f"{what}: identity", entry["identity"], {"source", "factor"})
        identity = Identity(
            source=entry["identity"]["source"],
            factor=get(entry["identity"]["factor"]).astype(np.int64),
        )
    return Conv(
        **common,
        **{name: entry[name] for name in _CONV_SCALARS if name != "weight_bits"},
        padding=_list(f"{what}: padding", entry["padding"]),
        multiplier=get(entry["multiplier"]).astype(np.int64),
        shift=get(entry["shift"]).astype(np.int64),
        projection=projection,
        identity=identity,
    )
