"""The network file: writing, reading, and the digests within it (``docs/network-file.md``)."""

import hashlib
import json
import struct
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from model.common import files
from model.common.errors import nearest
from model.network.checks import NetworkError, check, natural, positive, validate
from model.network.types import Classifier, Conv, Golden, Identity, Network, Projection

__all__ = ["FORMAT_VERSION", "MAGIC", "RENEW_PROGRAM", "load", "record_digest", "save"]

MAGIC = b"DHAM\r\n\x1a\n"
FORMAT_VERSION = 1

RENEW_PROGRAM = "renew this program with `pip install -U decisivenets`"
"""What to do where anything that has a version is newer than this program."""
_DTYPES = ("|i1", "|u1", "<i2", "<i4", "<i8")


def record_digest(value: np.ndarray, winner: np.ndarray) -> str:
    """SHA-256 of one frame's records of one layer; `value` and `winner` are [H, W, G]."""
    digest = hashlib.sha256(np.asarray(value).astype("<u2").tobytes())
    digest.update(np.asarray(winner).astype("<u2").tobytes())
    return digest.hexdigest()


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
    check(not MAGIC.startswith(data), "truncated")
    check(data.startswith(MAGIC), "not a DHAM network file (magic)")
    check(len(data) >= len(MAGIC) + 8 + 32, "truncated")
    version, length = struct.unpack_from("<II", data, len(MAGIC))
    check(
        version <= FORMAT_VERSION,
        f"format version {version} is newer than this program's {FORMAT_VERSION}: " + RENEW_PROGRAM,
    )
    check(version == FORMAT_VERSION, f"format version {version} is not known")
    start = len(MAGIC) + 8
    check(start + length + 32 <= len(data), "truncated (header)")
    digest = hashlib.sha256(data[:-32])
    check(digest.digest() == data[-32:], "truncated or damaged (checksum)")
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
    check(stated == actual, f"accumulator needs {actual} bits, but the header states {stated}")
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
    check(isinstance(entry, dict), f"{what} must be an object")
    for key in entry:
        check(key in keys, f"{what} has an unknown key {key!r}: {nearest(key, sorted(keys))}")


def _list(what: str, value: Any) -> tuple:
    check(isinstance(value, list), f"{what} must be a list, not {value!r}")
    return tuple(value)


def _decode_header(header, blob):
    used = 0
    _known("header", header, _HEADER_KEYS)
    table = _list("arrays", header["arrays"])

    def get(index):
        nonlocal used
        check(
            natural(index) and index < len(table),
            f"array number must be 0 to {len(table) - 1}, not {index!r}",
        )
        entry = table[index]
        _known(f"array {index}", entry, {"dtype", "shape", "offset"})
        check(entry["dtype"] in _DTYPES, f"array type {entry['dtype']!r} is not known")
        dtype = np.dtype(entry["dtype"])
        shape = _list(f"shape of array {index}", entry["shape"])
        check(
            1 <= len(shape) <= 4 and all(positive(n) for n in shape),
            f"array {index} must have 1 to 4 positive dimensions, not {list(shape)}",
        )
        size = dtype.itemsize
        for n in shape:
            size *= n
        start = entry["offset"]
        check(natural(start) and start + size <= len(blob), f"array {index} leaves the file")
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
        check(int(images.min()) >= 0 and int(images.max()) <= 255, "golden images must be 0 to 255")
        golden = Golden(
            images=images.astype(np.uint8),
            logits=get(entry["logits"]).astype(np.int64),
            digests=tuple(
                _list("a frame's digests", frame)
                for frame in _list("golden digests", entry["digests"])
            ),
        )
    check(used == len(blob), f"{len(blob) - used} bytes behind the last array")
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
    check(isinstance(entry, dict), f"{what} must be an object")
    kind = entry["kind"]
    check(kind in ("conv", "classifier"), f"{what}: kind {kind!r} is not known")
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
