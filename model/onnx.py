"""``python -m model.onnx FILE``: a network file as an ONNX model of standard integer operators.

``--check N`` runs onnxruntime beside the torch reference and compares all records and logits
(``model.measure.onnx_check``). Exporting needs numpy and onnx, not torch.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from model import zoo
from model.common import files
from model.common.errors import Parser, UserError, run_cli
from model.common.optional import need
from model.integers.onnx_export import export, write
from model.zoo.opening import open_network

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> int:
    parser = Parser(
        prog="python -m model.onnx",
        description="Export a network file to ONNX, of standard integer operators only.",
    )
    parser.add_argument("file", help="network file (.dham), or a name of the zoo")
    parser.add_argument("--output", help="file to write (default: build/onnx/NAME.onnx)")
    parser.add_argument(
        "--check",
        type=int,
        metavar="N",
        help="run onnxruntime and the torch reference on N images; status 1 if they differ",
    )
    parser.add_argument(
        "--data",
        help="check on the test images of the CIFAR set in this folder (default: generated)",
    )
    options = parser.parse_args(arguments)
    if options.check is not None and options.check < 1:
        raise UserError(f"--check must be a positive integer, not {options.check}")
    if options.data is not None and options.check is None:
        raise UserError("--data is for --check: give --check N as well")
    need("onnx", *(() if options.check is None else ("onnxruntime", "torch")))
    network = open_network(options.file)
    name = options.output
    if name is None:
        name = files.in_build("onnx", f"{Path(options.file).stem}.onnx")
    path = files.check_output(name, "--output", keep=zoo.find(options.file))
    images = None
    if options.check is not None:
        from model.measure import onnx_check

        images = onnx_check.images_for(network, options.check, options.data)
    data = write(export(network), path)
    print(
        f"{path}: {len(data)} bytes, {len(network.layers)} layers, sha256 of the network file "
        f"{network.sha256}"
    )
    return 0 if images is None else onnx_check.report(network, path, images)


if __name__ == "__main__":
    run_cli(main)()
