"""``python -m model.evaluate FILE --data DIR``: accuracy on the test images.

Of a network file, by the integer reference: status 1 where the accuracy is not the one that the
file states, or where the reference does not reproduce the file's golden vectors. Of a checkpoint
of a training, NAME.pt, by torch, with the winner-takes-all.
"""

import json
import time
from collections.abc import Callable, Sequence

import numpy as np

from model.common.errors import Parser, UserError, run_cli
from model.common.optional import need
from model.common.terminal import progress_bar
from model.data import cifar
from model.integers.golden import differences
from model.integers.reference import logits
from model.network import Network
from model.training.checkpoint import BATCH, classify, is_checkpoint, open_trained
from model.zoo.opening import open_network

__all__ = ["accuracy", "main"]


def accuracy(
    network: Network,
    images: np.ndarray,
    labels: np.ndarray,
    progress: Callable[[int], None] | None = None,
) -> tuple[int, np.ndarray]:
    """(number of right decisions, the decisions [N]) of the integer reference.

    `images` are [N, H, W, C] uint8, `labels` [N]; `progress` is called with the number of frames
    after each batch.
    """
    decisions = logits(network, images, progress=progress).argmax(axis=1)
    return int((decisions == labels).sum()), decisions


def of_checkpoint(file: str, data: str, limit: int | None) -> dict:
    """What is measured of a checkpoint, on the first `limit` test images."""
    trained = open_trained(file)
    test = cifar.read_test(data, cifar.data_set_of(trained.classes)).first(limit)
    decide, right = classify(trained.network, trained.device), 0
    start = time.monotonic()
    with progress_bar() as bar:
        task = bar.add_task(trained.name, total=len(test))
        for pixels, labels in zip(test.pixels.split(BATCH), test.labels.split(BATCH), strict=True):
            right += int((decide(pixels).cpu() == labels).sum())
            bar.advance(task, len(labels))
    return {
        "file": file,
        "sha256": trained.sha256,
        "integers": trained.integers,
        "images": len(test),
        "right": right,
        "top1": round(100 * right / len(test), 4),
        "seconds": round(time.monotonic() - start, 2),
    }


def main(arguments: Sequence[str] | None = None) -> int:
    parser = Parser(
        prog="python -m model.evaluate",
        description="Accuracy of a network on the 10,000 test images of CIFAR.",
    )
    parser.add_argument(
        "file", help="network file (.dham), a name of the zoo, or a checkpoint (.pt)"
    )
    parser.add_argument("--data", required=True, help="folder of the data set's binary version")
    parser.add_argument("--limit", type=int, help="take the first N images only")
    parser.add_argument("--json", action="store_true", help="machine-readable, on stdout")
    options = parser.parse_args(arguments)
    need("torch")
    if options.limit is not None and options.limit < 1:
        raise UserError(f"--limit must be a positive integer, not {options.limit}")
    if is_checkpoint(options.file):
        facts = of_checkpoint(options.file, options.data, options.limit)
        print(json.dumps(facts, indent=2) if options.json else right_text(facts))
        return 0
    network = open_network(options.file)
    cifar.check_input(network, options.file)
    test = cifar.read_test(options.data, cifar.data_set_of(network.classes))
    # A file says on how many images (the first ones) its accuracy was measured: by default, all.
    measured = network.metadata.get("test_images", len(test))
    test = test.first(options.limit)
    images, labels = test.pixels.numpy(), test.labels.numpy()

    wrong = differences(network) if network.golden is not None else []
    start = time.monotonic()
    with progress_bar() as bar:
        task = bar.add_task(network.name, total=len(images))
        right, _ = accuracy(network, images, labels, lambda count: bar.advance(task, count))
    top1 = round(100 * right / len(images), 4)
    stated = network.metadata.get("top1")
    equal = None
    if len(images) == measured and isinstance(stated, int | float):
        equal = abs(stated - top1) < 100 * 0.5 / measured  # less than one image apart
    facts = {
        "file": str(options.file),
        "sha256": network.sha256,
        "integers": True,
        "images": len(images),
        "right": right,
        "top1": top1,
        "stated_top1": stated,
        "stated_images": measured,
        "equal": equal,
        "golden_differences": wrong if network.golden is not None else None,
        "seconds": round(time.monotonic() - start, 2),
    }
    if options.json:
        print(json.dumps(facts, indent=2))
    else:
        _print(facts)
    return 1 if equal is False or wrong else 0


def right_text(facts: dict) -> str:
    how = "as integers" if facts["integers"] else "in floating point"
    return f"{facts['top1']:.2f} % top-1 {how} ({facts['right']} of {facts['images']} images)"


def _print(facts):
    print(right_text(facts))
    if facts["equal"] is True:
        print(f"equal to the {facts['stated_top1']} % that the file states")
    elif facts["equal"] is False:
        print(f"NOT equal to the {facts['stated_top1']} % that the file states")
    elif facts["stated_top1"] is None:
        print("the file states no accuracy to compare with")
    else:
        print(
            f"not compared with the file's {facts['stated_top1']} %: "
            f"that is of {facts['stated_images']} images"
        )
    if facts["golden_differences"] is None:
        print("the file has no golden vectors")
    elif facts["golden_differences"]:
        print(f"golden vectors NOT reproduced: {'; '.join(facts['golden_differences'][:3])}")
    else:
        print("golden vectors reproduced")


if __name__ == "__main__":
    run_cli(main)()
