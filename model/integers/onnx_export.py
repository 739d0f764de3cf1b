"""A network file as an ONNX model of standard integer operators.

The second opinion on ``docs/arithmetic.md``: any ONNX runtime computes the records of every layer
and the logits, with code that this project did not write.

Requantiser and winner-takes-all are local functions (``FUNCTIONS``) made of standard operators,
so that a viewer shows a layer as ConvInteger, Requantise, WinnerTakesAll. Outputs, types and what
a runtime must support stand in ``docs/onnx.md``. Exporting needs numpy and onnx, not torch.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from model.common import files
from model.common.optional import Lazy
from model.network import Conv, Network

if TYPE_CHECKING:
    import onnx
else:
    onnx = Lazy("onnx")

__all__ = ["DOMAIN", "FUNCTIONS", "export", "write"]

DOMAIN = "decisivenets"
OPSET, IR_VERSION = 17, 8  # the oldest that hold all that is used: the most runtimes read them

# Added to a weight, and given to ConvInteger as its zero point. Signed bytes would need none, but
# onnxruntime multiplies unsigned by signed bytes with VPMADDUBSW on processors with AVX2 and no
# VNNI, and that saturates at 16 bits. Unsigned by unsigned is exact everywhere.
ZERO_POINT = 128

#: The local functions, in ONNX's text format. Tensors are [N, H, W, C]. None of them takes a
#: minimum or maximum of 64-bit integers: onnxruntime's Min, Max and Clip are wrong for some of
#: those on x86-64 (microsoft/onnxruntime, pull requests 25280 and 32475; seen with 1.31.1).
FUNCTIONS = {
    "Requantise": (
        "Q = clamp((S * multiplier + 2^(shift - 1)) >> shift, 0, maximum), per channel (last "
        "axis); half = 2^(shift - 1), divisor = 2^shift. A negative S ends as 0, and so does S = "
        "0: it is replaced by 0 first, and from there on Div, which rounds towards zero, is the "
        "arithmetic shift.",
        """
        <domain: "decisivenets", opset_import: ["" : 17]>
        Requantise <maximum> (S, multiplier, half, divisor) => (Q)
        {
            zero = Constant <value = int32 {0}> ()
            positive = Max (S, zero)
            wide = Cast <to = 7> (positive)
            product = Mul (wide, multiplier)
            rounded = Add (product, half)
            shifted = Div (rounded, divisor)
            most = Constant <value_int: int = @maximum> ()
            beyond = Greater (shifted, most)
            clamped = Where (beyond, most, shifted)
            Q = Cast <to = 6> (clamped)
        }
        """,
    ),
    "WinnerTakesAll": (
        "Records of the first maximum of key in each group of group_size channels: value "
        "(of quantised) and winner (index in the group, 0 where the value is 0), [N, H, W, G]; "
        "and the dense tensor that they stand for, zero but at the winners.",
        """
        <domain: "decisivenets", opset_import: ["" : 17]>
        WinnerTakesAll <group_size> (key, quantised) => (value, winner, dense)
        {
            first = Constant <value_ints = [0]> ()
            last = Constant <value_ints = [-1]> ()
            pixels_and_groups = Constant <value_ints = [0, 0, 0, -1]> ()
            size = Constant <value_int: int = @group_size> ()
            sizes = Unsqueeze (size, first)
            grouped = Concat <axis = 0> (pixels_and_groups, sizes)
            keys = Reshape (key, grouped)
            values = Reshape (quantised, grouped)
            best = ArgMax <axis = 4, keepdims = 1, select_last_index = 0> (keys)
            most = GatherElements <axis = 4> (values, best)
            nothing = Constant <value = int32 {0}> ()
            alive = Greater (most, nothing)
            start = Constant <value = int64 {0}> ()
            place = Where (alive, best, start)
            step = Constant <value = int64 {1}> ()
            index = Range (start, size, step)
            wins = Equal (index, place)
            maps = Where (wins, most, nothing)
            flat = Reshape (maps, pixels_and_groups)
            dense = Cast <to = 2> (flat)
            one_value = Squeeze (most, last)
            value = Cast <to = 2> (one_value)
            one_place = Squeeze (place, last)
            winner = Cast <to = 4> (one_place)
        }
        """,
    ),
}


def export(network: Network) -> onnx.ModelProto:
    """`network`, a sound one, as an ONNX model that has passed ``onnx.checker`` in full.

    Input ``image`` uint8 [N, H, W, C]. Outputs: for each convolution ``NAME.value`` uint8 and
    ``NAME.winner`` uint16 [N, H', W', G]; ``logits`` int64 [N, classes]; ``class`` int64 [N].
    Same network, same bytes.
    """
    graph = _Graph(network)
    for index, layer in enumerate(network.convs):
        graph.convolution(index, layer)
    graph.classifier()
    model = onnx.helper.make_model(
        onnx.helper.make_graph(
            graph.nodes,
            network.name,
            [_value("image", onnx.TensorProto.UINT8, ["N", *network.input_shape])],
            graph.outputs,
            initializer=graph.initializers,
            value_info=graph.infos,
        ),
        functions=[_function(*text) for text in FUNCTIONS.values()],
        opset_imports=[onnx.helper.make_opsetid("", OPSET), onnx.helper.make_opsetid(DOMAIN, 1)],
        ir_version=IR_VERSION,
        producer_name=DOMAIN,
        doc_string="DHAM network: grouped tensors of records (value, winner), exact integers",
    )
    facts = {"name": network.name, "classes": json.dumps(list(network.classes))}
    facts["input_bits"] = str(network.input_bits)
    if network.sha256 is not None:
        facts["sha256"] = network.sha256
    onnx.helper.set_model_props(model, facts)
    onnx.checker.check_model(model, full_check=True)
    return model


def write(model: onnx.ModelProto, path: str | Path) -> bytes:
    """Write `model` to `path` through a temporary name; returns the bytes of the file."""
    data = model.SerializeToString(deterministic=True)
    files.write(Path(path), data)
    return data


def _function(summary: str, text: str) -> onnx.FunctionProto:
    function = onnx.parser.parse_function(text)
    function.doc_string = summary
    return function


def _value(name, kind, shape):
    return onnx.helper.make_tensor_value_info(name, kind, shape)


class _Graph:
    """The graph in the making: nodes, constants, outputs and intermediate shapes, in order."""

    def __init__(self, network: Network):
        self.network, self.tensors = network, network.tensors
        self.nodes: list = []
        self.initializers: list = []
        self.outputs: list = []
        self.infos: list = []
        # By tensor index: its dense form uint8 [N, H, W, C], and the same as [N, C, H, W].
        self.dense = {0: "image"}
        self.planes: dict[int, str] = {}
        # Inner names are LAYER/part, without a slash in the part, or plain words; outputs end in
        # .value or .winner, or are plain words: none of them can meet, whatever a layer is called.
        self.byte_zero = self.constant("zero", np.uint8(0))
        self.zero_point = self.constant("zero_point", np.uint8(ZERO_POINT))

    def constant(self, name: str, array: np.ndarray | np.generic) -> str:
        self.initializers.append(onnx.numpy_helper.from_array(np.asarray(array), name))
        return name

    def node(self, kind: str, inputs: Sequence[str], output: str, **attributes) -> str:
        self.nodes.append(onnx.helper.make_node(kind, inputs, [output], name=output, **attributes))
        return output

    def plane(self, index: int) -> str:
        """The dense tensor `index` as [N, C, H, W] uint8, which ConvInteger takes."""
        if index not in self.planes:
            name = "planes" if index == 0 else f"{self.network.convs[index - 1].name}/planes"
            self.planes[index] = self.node(
                "Transpose", [self.dense[index]], name, perm=[0, 3, 1, 2]
            )
        return self.planes[index]

    def sums(self, prefix: str, source: int, weights: np.ndarray, **attributes) -> str:
        """int32 [N, Cout, H', W'] of `weights` [Cout, Kh, Kw, Cin] over a tensor's planes."""
        stored = (weights.astype(np.int64) + ZERO_POINT).astype(np.uint8).transpose(0, 3, 1, 2)
        constant = self.constant(f"{prefix}weights", np.ascontiguousarray(stored))
        inputs = [self.plane(source), constant, self.byte_zero, self.zero_point]
        return self.node("ConvInteger", inputs, f"{prefix}sums", **attributes)

    def convolution(self, index: int, layer: Conv) -> None:
        """Taps, projection, bias, identity; requantiser; winner-takes-all; the two outputs."""
        name, output = layer.name, self.tensors[index + 1]
        top, bottom, left, right = layer.padding
        total = self.sums(
            f"{name}/",
            layer.source,
            layer.weights,
            pads=[top, left, bottom, right],
            strides=[layer.stride, layer.stride],
        )
        if layer.projection is not None:
            total = self.node("Add", [total, self.projection(name, layer, output)], f"{name}/both")
        total = self.node("Transpose", [total], f"{name}/pixels", perm=[0, 2, 3, 1])
        bias = self.constant(f"{name}/bias", layer.bias.astype(np.int32))
        total = self.node("Add", [total, bias], f"{name}/biased")
        if layer.identity is not None:
            residual = self.dense[layer.identity.source]
            residual = self.node("Cast", [residual], f"{name}/residual", to=onnx.TensorProto.INT32)
            factor = self.constant(f"{name}/factor", layer.identity.factor.astype(np.int32))
            residual = self.node("Mul", [residual, factor], f"{name}/scaled")
            total = self.node("Add", [total, residual], f"{name}/added")
        shift = layer.shift.astype(np.int64)
        quantised = self.node(
            "Requantise",
            [
                total,
                self.constant(f"{name}/multiplier", layer.multiplier.astype(np.int64)),
                self.constant(f"{name}/half", np.int64(1) << (shift - 1)),
                self.constant(f"{name}/divisor", np.int64(1) << shift),
            ],
            f"{name}/quantised",
            domain=DOMAIN,
            maximum=2**layer.activation_bits - 1,
        )
        key = total if layer.order == "before" else quantised
        if layer.binary:
            one = self.constant(f"{name}/one", np.int32(1))
            quantised = self.node("Min", [quantised, one], f"{name}/binary")
        dense, value, winner = f"{name}/dense", f"{name}.value", f"{name}.winner"
        self.nodes.append(
            onnx.helper.make_node(
                "WinnerTakesAll",
                [key, quantised],
                [value, winner, dense],
                name=f"{name}.records",
                domain=DOMAIN,
                group_size=layer.group_size,
            )
        )
        grid = ["N", output.height, output.width]
        self.outputs.append(_value(value, onnx.TensorProto.UINT8, [*grid, output.groups]))
        self.outputs.append(_value(winner, onnx.TensorProto.UINT16, [*grid, output.groups]))
        self.infos.append(_value(dense, onnx.TensorProto.UINT8, [*grid, output.channels]))
        self.infos.append(_value(total, onnx.TensorProto.INT32, [*grid, output.channels]))
        self.dense[index + 1] = dense

    def projection(self, name: str, layer: Conv, output) -> str:
        """2^exponent times the projection's sums, int32 [N, Cout, H', W']."""
        shortcut = layer.projection
        assert shortcut is not None
        total = self.sums(
            f"{name}/projection_",
            shortcut.source,
            shortcut.weights[:, None, None, :],
            strides=[shortcut.stride, shortcut.stride],
        )
        source = self.tensors[shortcut.source]
        reached = -(-source.height // shortcut.stride), -(-source.width // shortcut.stride)
        if reached != (output.height, output.width):  # the output ends before its source does
            start = self.constant(f"{name}/projection_start", np.array([0, 0], np.int64))
            size = np.array([output.height, output.width], np.int64)
            end = self.constant(f"{name}/projection_end", size)
            axes = self.constant(f"{name}/projection_axes", np.array([2, 3], np.int64))
            total = self.node("Slice", [total, start, end, axes], f"{name}/projection_cut")
        factor = self.constant(f"{name}/projection_factor", np.int32(2**shortcut.exponent))
        return self.node("Mul", [total, factor], f"{name}/projection_scaled")

    def classifier(self) -> None:
        """Sums over all pixels in 64 bits, then the fully connected layer; logits and class."""
        layer = self.network.classifier
        axes = self.constant(f"{layer.name}/pooled_axes", np.array([1, 2], np.int64))
        wide = self.node(
            "Cast",
            [self.dense[layer.source]],
            f"{layer.name}/pooled_wide",
            to=onnx.TensorProto.INT64,
        )
        pooled = self.node("ReduceSum", [wide, axes], f"{layer.name}/pooled", keepdims=0)
        weights = self.constant(f"{layer.name}/weights", layer.weights.astype(np.int64).T.copy())
        product = self.node("MatMul", [pooled, weights], f"{layer.name}/product")
        bias = self.constant(f"{layer.name}/bias", layer.bias.astype(np.int64))
        logits = self.node("Add", [product, bias], "logits")
        narrow = self.node(
            "Cast", [logits], f"{layer.name}/narrow", to=onnx.TensorProto.INT32
        )  # fits
        decision = {"axis": 1, "keepdims": 0, "select_last_index": 0}
        self.node("ArgMax", [narrow], "class", **decision)
        self.outputs.append(_value("logits", onnx.TensorProto.INT64, ["N", len(layer.weights)]))
        self.outputs.append(_value("class", onnx.TensorProto.INT64, ["N"]))
