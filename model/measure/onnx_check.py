"""onnxruntime beside the torch reference: every record and logit of many images, compared.

For ``python -m model.onnx FILE --check N``. Equal means equal: these are integers.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from model.common.errors import UserError
from model.common.optional import Lazy
from model.common.terminal import progress_bar
from model.data import cifar
from model.integers.golden import candidates
from model.integers.reference import BATCH, Reference
from model.network import Network

if TYPE_CHECKING:
    import onnxruntime
else:
    onnxruntime = Lazy("onnxruntime")

__all__ = ["Comparison", "compare", "images_for", "open_session", "report"]


@dataclass(frozen=True)
class Comparison:
    """What was compared: images, records and logits, counted; the first difference, or None."""

    images: int
    records: int
    logits: int
    difference: str | None


def images_for(network: Network, count: int, data: str | Path | None = None) -> np.ndarray:
    """The first `count` test images of the network's CIFAR set, or generated ones without `data`.

    Generated images are those of the golden vectors' search, of seed 0. Returns uint8
    [N, H, W, C]. Raises ``UserError`` where the folder does not serve.
    """
    if data is None:
        rng = np.random.default_rng(0)
        return candidates(rng, network.input_shape, network.input_bits, count)
    if tuple(network.input_shape) != (32, 32, 3) or network.input_bits != 8:
        raise UserError(
            f"{network.name} takes images of {'x'.join(map(str, network.input_shape))}, "
            f"{network.input_bits} bits; CIFAR's are 32x32x3, 8 bits: leave --data out to check "
            "on generated images"
        )
    data_set = cifar.data_set_of(network.classes)
    images = cifar.read_test(data, data_set).pixels.numpy()
    if count > len(images):
        title = cifar.DATA_SETS[data_set].title
        raise UserError(f"--check {count}: {title} has {len(images)} test images")
    return images[:count]


def open_session(
    model: bytes | str | Path, threads: int = 0, optimise: bool = True
) -> onnxruntime.InferenceSession:
    """onnxruntime on the CPU for a model's bytes or file; 0 threads means as many as it likes.

    Raises ``UserError`` where onnxruntime cannot read or run it.
    """
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    if not optimise:
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    source = model if isinstance(model, bytes) else str(model)
    try:
        return onnxruntime.InferenceSession(source, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's own classes have no common parent but this
        what = "the model" if isinstance(model, bytes) else f"{model}"
        raise UserError(f"onnxruntime cannot run {what}: {error}") from None


def compare(
    network: Network,
    session: onnxruntime.InferenceSession,
    images: np.ndarray,
    batch: int = BATCH,
    progress: Callable[[int], None] | None = None,
) -> Comparison:
    """Run `images` uint8 [N, H, W, C] through both, up to the first batch that differs.

    Every convolution's values and winners, the logits and the class are compared. `progress` is
    called with the number of frames after each batch.
    """
    reference = Reference(network)
    outputs = [output.name for output in session.get_outputs()]
    expected_names = [
        *(f"{layer.name}.{part}" for layer in network.convs for part in ("value", "winner")),
        "logits",
        "class",
    ]
    if outputs != expected_names:
        raise UserError(f"The ONNX model is not one of {network.name}: its outputs are {outputs}")
    frames = records = logits = 0
    for first in range(0, len(images), batch):
        part = images[first : first + batch]
        expected = reference(part)
        wanted = [
            *(array for layer in expected.records for array in (layer.value, layer.winner)),
            expected.logits,
            expected.decisions,
        ]
        actual = session.run(outputs, {"image": part})
        for name, ours, theirs in zip(outputs, wanted, actual, strict=True):
            difference = _difference(name, ours, theirs, first)
            if difference is not None:
                return Comparison(frames, records, logits, difference)
        frames += len(part)
        records += sum(layer.value.size for layer in expected.records)
        logits += expected.logits.size
        if progress is not None:
            progress(len(part))
    return Comparison(frames, records, logits, None)


def _difference(name, expected, actual, first):
    """A text on the first element that differs, or None; `first` is the batch's first image."""
    if expected.shape != actual.shape:
        return f"{name}: shape {list(expected.shape)} expected, ONNX has {list(actual.shape)}"
    where = np.argwhere(expected != actual)
    if len(where) == 0:
        return None
    frame, *place = (int(n) for n in where[0])
    at = f" at {place}" if place else ""
    position = (frame, *place)
    return (
        f"image {first + frame}, {name}{at}: {int(expected[position])} expected, "
        f"ONNX has {int(actual[position])} ({len(where)} of {expected.size} of this batch differ)"
    )


def report(network: Network, path: str | Path, images: np.ndarray) -> int:
    """Compare the ONNX file at `path` with `network`, print what was found; the exit status."""
    start = time.monotonic()
    session = open_session(path)
    with progress_bar() as bar:
        task = bar.add_task(network.name, total=len(images))
        found = compare(network, session, images, progress=lambda n: bar.advance(task, n))
    seconds = time.monotonic() - start
    what = (
        f"{found.images} images, {found.records} records of {len(network.convs)} layers, "
        f"{found.logits} logits"
    )
    if found.difference is None:
        print(
            f"onnxruntime {onnxruntime.__version__} equals the reference: {what} ({seconds:.1f} s)"
        )
        return 0
    print(
        f"onnxruntime {onnxruntime.__version__} DIFFERS: {found.difference}; equal before: {what}"
    )
    return 1
