"""What a capability can do, against what a network needs: the checks before anything is placed."""

from hw.capability import OPERAND_BITS, Capability
from hw.compile.places import PlanError, sources
from hw.compile.words import multipliers, tiles_of
from hw.layer_entry import entry_shapes
from model.network import Classifier, Conv, Identity, Network, Projection, Tensor

__all__ = ["check_budget", "check_network"]


def check_budget(resource: str, need: int, budget: int, unit: str, remedy: str) -> None:
    """Raise `PlanError` if more of a resource is needed than there is."""
    if need > budget:
        raise PlanError(
            f"{resource}: the network needs {need} {unit}, the budget is {budget}. "
            f"What would fit: {remedy}"
        )


def check_network(network: Network, capability: Capability) -> None:
    """Check all of a network that needs no memory map.

    Raises `PlanError` that names the layer, what it needs and what the hardware does at most.
    """
    height, width, channels = network.input_shape
    fields = entry_shapes(capability)
    _limit("Input", "height", height, fields["input_height"].most)
    _limit("Input", "width", width, fields["input_width"].most)
    check_budget(
        "Image memory",
        height * width * channels,
        capability.image_bytes,
        "bytes",
        "a smaller image",
    )
    check_budget(
        "Layer table", len(network.layers), capability.layer_entries, "layers", "fewer layers"
    )
    check_budget(
        "Accumulators",
        network.accumulator_bits,
        capability.accumulator_bits,
        "bits",
        "narrower weights or activations, or fewer inputs a layer",
    )
    tensors = network.tensors
    for index, layer in enumerate(network.layers):
        where = f"Layer {index} ({layer.name})"
        _check_source(where, layer, tensors[layer.source], capability)
        if layer.kind == "conv":
            _check_conv(where, layer, tensors[index + 1], tensors, capability)
        else:
            _check_classifier(where, layer, tensors[layer.source], capability)
        _check_biases(where, layer, capability)


def _limit(where: str, what: str, need: int, budget: int) -> None:
    if need > budget:
        raise PlanError(f"{where}: {what} is {need}, this hardware does at most {budget}")


def _check_source(
    where: str, layer: Conv | Classifier, source: Tensor, capability: Capability
) -> None:
    fields = entry_shapes(capability)
    _limit(where, "number of input groups", source.groups, fields["groups"].most)
    _limit(where, "number of input channels", source.channels, fields["weight_step"].most)
    tiles, _ = tiles_of(layer, capability)
    _limit(where, "tiles of output channels", tiles, fields["tiles"].most)


def _check_classifier(
    where: str, layer: Classifier, source: Tensor, capability: Capability
) -> None:
    fields = entry_shapes(capability)
    most = min(fields["output_group"].most, capability.logit_words)
    _limit(where, "number of classes", layer.channels, most)
    _limit(where, "height of its input", source.height, fields["kernel_height"].most)
    _limit(where, "width of its input", source.width, fields["kernel_width"].most)


def _check_biases(where: str, layer: Conv | Classifier, capability: Capability) -> None:
    low, high = int(layer.bias.min()), int(layer.bias.max())
    reach = 2 ** (capability.bias_bits - 1)
    if low < -reach or high >= reach:
        raise PlanError(
            f"{where}: biases are {low} to {high}, this hardware does {-reach} to {reach - 1}"
        )


def _check_conv(
    where: str, layer: Conv, output: Tensor, tensors: tuple[Tensor, ...], capability: Capability
) -> None:
    fields = entry_shapes(capability)
    # The output is a later layer's source.
    _limit(where, "output height", output.height, fields["input_height"].most)
    _limit(where, "output width", output.width, fields["input_width"].most)
    _limit(where, "stride", layer.stride, fields["stride"].most)
    _limit(where, "kernel height", layer.weights.shape[1], fields["kernel_height"].most)
    _limit(where, "kernel width", layer.weights.shape[2], fields["kernel_width"].most)
    _limit(where, "group size", layer.group_size, capability.largest_group)
    _limit(where, "activation width in bits", layer.activation_bits, capability.activation_bits)
    if layer.projection is not None:
        _check_projection(where, layer.projection, tensors, capability)
    if layer.identity is not None:
        _check_identity(where, layer, layer.identity, tensors[0], capability)
    _check_multipliers(where, layer, capability)


def _check_projection(
    where: str, projection: Projection, tensors: tuple[Tensor, ...], capability: Capability
) -> None:
    fields = entry_shapes(capability)
    shortcut = tensors[projection.source]
    most = fields["projection_groups"].most
    _limit(where, "projection's number of input groups", shortcut.groups, most)
    most = fields["tile_step"].most
    _limit(where, "projection's number of input channels", shortcut.channels, most)
    _limit(
        where,
        "projection's value width plus exponent",
        (shortcut.maximum << projection.exponent).bit_length(),
        OPERAND_BITS,
    )


def _check_identity(
    where: str, layer: Conv, identity: Identity, image: Tensor, capability: Capability
) -> None:
    factor = identity.factor
    reach = 2 ** (capability.factor_bits - 1)
    if int(factor.min()) < -reach or int(factor.max()) >= reach:
        raise PlanError(
            f"{where}: residual factors are {int(factor.min())} to {int(factor.max())}, "
            f"this hardware does {-reach} to {reach - 1}"
        )
    read = sources(layer, identity=False)
    if identity.source in read:
        raise PlanError(
            f"{where}: the identity residual is also the input of the convolution or of the "
            "projection; this hardware reads them from different banks"
        )
    if 0 in read:
        # Image addresses must not look like those of the other bank.
        _limit(
            where,
            "size in bytes of an image read beside an identity residual",
            image.pixels * image.channels,
            capability.bank_words * capability.records_per_word,
        )


def _check_multipliers(where: str, layer: Conv, capability: Capability) -> None:
    scaled = multipliers(layer, capability)
    low = 2**layer.activation_bits - 1
    high = 2**capability.multiplier_bits - 1
    if scaled is None or min(scaled) < low or max(scaled) > high:
        raise PlanError(
            f"{where}: requantiser's multiplier x 2^({capability.requantise_bits} - shift) must "
            f"be an integer from {low} to {high}; use another pair of multiplier and shift"
        )
