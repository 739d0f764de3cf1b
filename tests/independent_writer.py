"""A writer of network files that knows nothing of this project but its two documents.

It is made from ``docs/network-file.md`` and ``docs/arithmetic.md`` alone, and imports nothing of
the project: what it writes shows that the documents suffice. Its network mixes group sizes (3, 4,
2, 5, 8), strides, asymmetric paddings, weight bits (8, 4, 3, 2, 1), both orders, an identity and a
projection shortcut and a binary layer, and carries golden vectors by an arithmetic of its own:
record by record, as a hardware would, with the winner as part of the weight's address.
"""

import hashlib
import json
import struct
from pathlib import Path

import numpy as np

__all__ = ["write"]

IMAGE = (9, 8, 2)
FRAMES = 4
CLASSES = 7


def write(path: str | Path, seed: int = 0) -> None:
    """Write the network of this `seed` to `path`."""
    Path(path).write_bytes(encode(seed))


def encode(seed: int) -> bytes:
    """The bytes of the network file of this `seed`."""
    rng = np.random.default_rng(seed)
    images = rng.integers(0, 256, (FRAMES, *IMAGE))
    images[1] = np.where(rng.random(IMAGE) < 0.7, 0, images[1])
    images[2] = 255
    images[3] = 0

    network = Builder(rng, images)
    conv = network.conv
    conv(0, 12, (3, 3), group=3, bits=8, padding=(1, 1, 1, 1))
    conv(1, 8, (3, 3), group=4, bits=4, padding=(0, 2, 2, 0), order="before")
    conv(2, 12, (3, 3), group=2, bits=3, padding=(2, 0, 1, 1), identity=1)
    conv(3, 10, (3, 3), group=5, bits=4, padding=(0, 1, 0, 1), stride=2, order="before")
    conv(4, 16, (2, 3), group=8, bits=2, padding=(1, 0, 1, 1), values=3, projection=(3, 2, 2))
    conv(5, 6, (1, 1), group=3, bits=4, padding=(0, 0, 0, 0), order="before", binary=True)
    conv(6, 9, (3, 3), group=3, bits=1, padding=(1, 1, 1, 1), values=2)
    network.classifier(7, bits=8)

    logits, digests = network.golden()
    arrays, blob = network.arrays, network.blob
    golden = {
        "images": network.put(images, "|u1"),
        "logits": network.put(logits, "<i8"),
        "digests": digests,
    }
    header = {
        "name": f"independent-{seed}",
        "input_shape": list(IMAGE),
        "input_bits": 8,
        "classes": [f"kind {index}" for index in range(CLASSES)],
        "layers": network.layers,
        "accumulator_bits": network.accumulator_bits,
        "metadata": {"writer": "tests/independent_writer.py"},
        "golden": golden,
        "arrays": arrays,
    }
    text = json.dumps(header, indent=1).encode("utf-8")
    content = b"DHAM\r\n\x1a\n" + struct.pack("<II", 1, len(text)) + text + bytes(blob)
    return content + hashlib.sha256(content).digest()


class Builder:
    """Lays out layers and arrays, and runs the frames through each layer as it is added."""

    def __init__(self, rng, images):
        self.rng = rng
        self.arrays, self.blob, self.layers = [], bytearray(), []
        self.accumulator_bits = 1
        frames = [Grid(image, np.zeros_like(image), 1, 255) for image in images]
        self.tensors = [frames]  # per tensor, one grid of records for each frame

    def put(self, array, dtype):
        self.arrays.append(
            {"dtype": dtype, "shape": list(np.shape(array)), "offset": len(self.blob)}
        )
        self.blob += np.asarray(array).astype(dtype).tobytes()
        return len(self.arrays) - 1

    def weights(self, shape, bits):
        low, high = (0, 2) if bits == 1 else (-(2 ** (bits - 1)), 2 ** (bits - 1))
        return self.rng.integers(low, high, shape)

    def conv(
        self,
        source,
        channels,
        kernel,
        *,
        group,
        bits,
        padding,
        stride=1,
        order="after",
        values=4,
        binary=False,
        projection=None,
        identity=None,
    ):
        grids = self.tensors[source]
        weights = self.weights((channels, *kernel, grids[0].channels), bits)
        bound = Bound(channels)
        bound.add(weights, grids[0], 1)
        parts = [self.sums(grid, weights, stride, padding) for grid in grids]
        entry = {
            "kind": "conv",
            "name": f"layer {len(self.layers)}",
            "source": source,
            "weights": self.put(weights, "|i1"),
            "weight_bits": bits,
            "stride": stride,
            "padding": list(padding),
            "group_size": group,
            "activation_bits": values,
            "order": order,
            "binary": binary,
            "projection": None,
        }
        if projection is not None:
            taken, step, exponent = projection
            grids = self.tensors[taken]
            narrow = self.weights((channels, grids[0].channels), bits)
            bound.add(narrow, grids[0], 2**exponent)
            for part, grid in zip(parts, grids, strict=True):
                for y, x in np.ndindex(part.shape[:2]):
                    part[y, x] += 2**exponent * grid.product(narrow, y * step, x * step)
            entry["projection"] = {
                "source": taken,
                "stride": step,
                "exponent": exponent,
                "weights": self.put(narrow, "<i2"),
            }
        bias = -np.median(np.stack(parts), axis=(0, 1, 2)).astype(np.int64)
        bias += self.rng.integers(-20, 21, channels)
        bound.term(bias)
        entry["bias"] = self.put(bias, "<i4")
        parts = [part + bias for part in parts]
        if identity is not None:
            factor = self.rng.integers(1, 30, channels)
            grids = self.tensors[identity]
            bound.term(factor * grids[0].maximum)
            for part, grid in zip(parts, grids, strict=True):
                for y, x, g in np.ndindex(grid.value.shape):
                    channel = g * grid.size + grid.winner[y, x, g]
                    part[y, x, channel] += factor[channel] * grid.value[y, x, g]
            entry["identity"] = {"source": identity, "factor": self.put(factor, "<i2")}
        # Multipliers M / 2**16, one for each group: the largest S becomes about the largest Q.
        reach = np.stack(parts).max(axis=(0, 1, 2)).reshape(-1, group).max(axis=1)
        top = 2**values - 1
        fraction = np.clip(top * 2**16 // np.maximum(reach, 1), 16, 65535)
        multiplier, shift = np.repeat(fraction, group), np.full(channels, 16)
        entry["multiplier"] = self.put(multiplier, "<i8")
        entry["shift"] = self.put(shift, "|u1")
        self.tensors.append(
            [self.decide(part, multiplier, shift, group, top, order, binary) for part in parts]
        )
        self.layers.append(entry)
        self.accumulator_bits = max(self.accumulator_bits, bound.bits())

    def classifier(self, source, *, bits):
        grids = self.tensors[source]
        weights = self.weights((CLASSES, grids[0].channels), bits)
        bias = self.rng.integers(-300, 300, CLASSES)
        height, width, _ = grids[0].value.shape
        bound = Bound(CLASSES)
        bound.add(weights, grids[0], height * width)
        bound.term(bias)
        self.accumulator_bits = max(self.accumulator_bits, bound.bits())
        self.logits = [
            bias + sum(grid.product(weights, y, x) for y, x in np.ndindex(height, width))
            for grid in grids
        ]
        self.layers.append(
            {
                "kind": "classifier",
                "name": "the end",
                "source": source,
                "weights": self.put(weights, "<i2"),
                "weight_bits": bits,
                "bias": self.put(bias, "<i2"),
            }
        )

    @staticmethod
    def sums(grid, weights, stride, padding):
        """A of every output pixel, record by record; taps outside the image are not there."""
        channels, kernel_height, kernel_width, _ = weights.shape
        top, bottom, left, right = padding
        height, width, _ = grid.value.shape
        rows = (height + top + bottom - kernel_height) // stride + 1
        columns = (width + left + right - kernel_width) // stride + 1
        total = np.zeros((rows, columns, channels), np.int64)
        for y, x, ky, kx in np.ndindex(rows, columns, kernel_height, kernel_width):
            row, column = y * stride + ky - top, x * stride + kx - left
            if 0 <= row < height and 0 <= column < width:
                total[y, x] += grid.product(weights[:, ky, kx], row, column)
        return total

    @staticmethod
    def decide(total, multiplier, shift, group, top, order, binary):
        rows, columns, channels = total.shape
        value = np.zeros((rows, columns, channels // group), np.int64)
        winner = np.zeros_like(value)
        for y, x, g in np.ndindex(value.shape):
            sums = [int(n) for n in total[y, x, g * group : (g + 1) * group]]
            scaled = []
            for index, number in enumerate(sums):
                m, s = int(multiplier[g * group + index]), int(shift[g * group + index])
                scaled.append(min(max((number * m + 2 ** (s - 1)) >> s, 0), top))
            key = sums if order == "before" else scaled
            first = key.index(max(key))
            best = scaled[first]
            if best > 0:
                value[y, x, g], winner[y, x, g] = (1 if binary else best), first
        return Grid(value, winner, group, 1 if binary else top)

    def golden(self):
        digests = []
        for frame in range(FRAMES):
            layers = []
            for tensor in self.tensors[1:]:
                grid = tensor[frame]
                data = grid.value.astype("<u2").tobytes() + grid.winner.astype("<u2").tobytes()
                layers.append(hashlib.sha256(data).hexdigest())
            digests.append(layers)
        return np.stack(self.logits), digests


class Grid:
    """Records of one frame: value and winner, [H, W, G]."""

    def __init__(self, value, winner, size, maximum):
        self.value, self.winner, self.size, self.maximum = value, winner, size, maximum

    @property
    def channels(self):
        return self.value.shape[2] * self.size

    def product(self, weights, row, column):
        """Sum over the groups of one pixel: weights [Cout, Cin] at each winner, times its value."""
        address = np.arange(self.value.shape[2]) * self.size + self.winner[row, column]
        return weights[:, address] @ self.value[row, column]


class Bound:
    """Worst case of an accumulator, per output channel, in Python's integers."""

    def __init__(self, channels):
        self.low, self.high = [0] * channels, [0] * channels

    def add(self, weights, grid, scale):
        for o, row in enumerate(weights.reshape(len(weights), -1, grid.size).tolist()):
            self.low[o] += sum(min(0, *group) for group in row) * grid.maximum * scale
            self.high[o] += sum(max(0, *group) for group in row) * grid.maximum * scale

    def term(self, values):
        for o, value in enumerate(np.asarray(values).tolist()):
            self.low[o] += min(0, value)
            self.high[o] += max(0, value)

    def bits(self):
        bits = 1
        while not (-(2 ** (bits - 1)) <= min(self.low) and max(self.high) < 2 ** (bits - 1)):
            bits += 1
        return bits
