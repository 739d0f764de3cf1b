"""What a device runs a network with: one plan with three heads, entries of its last layer.

The convolutions are shared; a host or the firmware chooses what comes out of them by writing one
entry of the layer table:

- CLASSES: the network's own classifier.
- FEATURES: one logit for each channel of the classifier's input, its sum over all pixels. The
  weights are the identity matrix *reversed*, the last channel first: feature i is the logit
  ``features - 1 - i``. From tile to tile the ones then move towards lower words, so that tiles
  overlap: F + P (T - 1) weight words instead of F T, and no new hardware.
- LEARNED: up to `MAX_LEARNED` classes of 8-bit weights, written by the device
  (``model.integers.nearest_mean``).

Weight memory: convolutions, CLASSES, FEATURES, LEARNED. Parameter memory: convolutions, CLASSES,
then FEATURES and LEARNED at the same place. So the `MAX_LEARNED` first of these parameters are
written whenever one of the two is chosen: zeros for FEATURES.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import IntEnum
from types import MappingProxyType

import numpy as np

from hw.capability import SLICE_BITS, Capability
from hw.compile.plan import ClassifierPlace, Plan, PlanError, make_plan
from hw.layer_entry import ENTRY_WORDS, LayerEntry
from hw.pipeline import AHEAD_CYCLES
from hw.regions import Region, window_base
from model.network import Classifier, Network

__all__ = [
    "LEARNED_BITS",
    "MAX_FEATURES",
    "MAX_LEARNED",
    "DevicePlan",
    "Head",
    "features_classifier",
    "make_device_plan",
]

MAX_LEARNED = 16
"""Classes that a device can learn."""

MAX_FEATURES = 128
"""Most features: the logits that the engine has room for."""

LEARNED_BITS = 2 * SLICE_BITS
"""Bits of a learned weight: both slices of it in neighbouring lanes make one byte of the bus."""


class Head(IntEnum):
    """What the last layer computes: an entry of the layer table for each."""

    CLASSES = 0
    FEATURES = 1
    """One logit a feature, the last feature first: the identity matrix, upside down, so that its
    tiles overlap. Its biases are the first words at `learned_parameters`: they must be 0."""
    LEARNED = 2
    """MAX_LEARNED classes, whose weights and biases the firmware writes. Weight of class c and
    feature i, a signed byte, at learned_weights + (c / 8 * features + i) * 8 + c % 8; bias b of
    class c in the words at learned_parameters + 8 * c: b << 16, then b >> 16 & 0xF. A class that
    does not exist has weights 0 and the most negative bias."""


@dataclass(frozen=True, kw_only=True)
class DevicePlan:
    """A network as it runs on a device.

    Parameters
    ----------
    network : Network
    capability : Capability
    plans : mapping of Head to Plan
        Of each head: the network with that classifier, and the weights and parameters of all
        heads; the one of LEARNED has zeros for what is learned. CLASSES alone where the network
        cannot learn.
    classifier_layer : int
        Index of the entry that differs from head to head.
    channels, group_size, reach : int
        Of the classifier's input; the reach is the largest sum of a feature: pixels x largest
        value.
    features : int
        The channels, or 0 where the network cannot learn on the device.
    why_not : str
        In one line, why it cannot; empty where it can.
    """

    network: Network
    capability: Capability
    plans: Mapping[Head, Plan]
    classifier_layer: int
    channels: int
    group_size: int
    reach: int
    features: int
    why_not: str

    @property
    def weights(self) -> np.ndarray:
        """uint32 bus words from the start of WEIGHTS, of all heads."""
        return self.plans[Head.CLASSES].weights

    @property
    def parameters(self) -> np.ndarray:
        """uint32 bus words from the start of PARAMETERS, of all heads."""
        return self.plans[Head.CLASSES].parameters

    @property
    def layers(self) -> np.ndarray:
        """uint32 bus words of the layer table, the classifier's entry that of CLASSES."""
        return self.plans[Head.CLASSES].table

    @property
    def heads(self) -> np.ndarray:
        """uint16 [3, 32]: the classifier's entry for each `Head`.

        Where the network cannot learn, every entry is that of CLASSES.
        """
        first = self.classifier_layer * ENTRY_WORDS
        tables = [self.plans.get(head, self.plans[Head.CLASSES]).table for head in Head]
        return np.stack([table[first : first + ENTRY_WORDS] for table in tables]).astype(np.uint16)

    @property
    def window(self) -> int:
        """Images on the device at once: 2 if the next one may come while a frame runs, else 1."""
        cycles = self.plans[Head.CLASSES].image_cycles
        return 2 if cycles is not None and cycles <= AHEAD_CYCLES else 1

    @property
    def cycles(self) -> dict[Head, int]:
        """Of a frame with each head, at most."""
        return {head: plan.cycles for head, plan in self.plans.items()}

    @property
    def learned_weights(self) -> int:
        """Byte address on the bus of the learned head's weights; 0 without one.

        The weight of class c and feature i is the byte, in two's complement, at
        ``learned_weights + ((c // p) * features + i) * p + c % p`` where p is lanes / 2.
        """
        return self._address(Region.WEIGHTS, "weights", self.capability.bus_words_per_weight_word)

    @property
    def learned_parameters(self) -> int:
        """Byte address of its parameters, two words a class (``docs/registers.md``); 0: none."""
        return self._address(Region.PARAMETERS, "parameters", 2)

    def images(self) -> dict[str, np.ndarray]:
        """What a host loads to run CLASSES: as `Plan.images`."""
        return self.plans[Head.CLASSES].images()

    def learned(self, classifier: Classifier) -> Plan:
        """The plan of LEARNED once the device has written this classifier into its memories.

        Raises `ValueError` for one that is not `MAX_LEARNED` classes of these features, and where
        the network cannot learn.
        """
        if Head.LEARNED not in self.plans:
            raise ValueError(f"This network cannot learn on the device: {self.why_not}")
        shape = (MAX_LEARNED, self.features)
        if classifier.weights.shape != shape or classifier.weight_bits != LEARNED_BITS:
            raise ValueError(
                f"The learned classifier must have weights {shape} of {LEARNED_BITS} bits, not "
                f"{classifier.weights.shape} of {classifier.weight_bits}"
            )
        network = _with_classifier(self.network, classifier)
        plan = make_plan(network, self.capability, self._place_of_learned())
        return replace(
            plan,
            weights=_merged(self.weights, plan, "weights"),
            parameters=_merged(self.parameters, plan, "parameters"),
        )

    def _entry(self, head: Head) -> LayerEntry:
        return self.plans[head].layers[self.classifier_layer].entry

    def _address(self, region: Region, field: str, words: int) -> int:
        if Head.LEARNED not in self.plans:
            return 0
        return window_base(region) + 4 * words * getattr(self._entry(Head.LEARNED), field)

    def _place_of_learned(self) -> ClassifierPlace:
        own, learned = self._entry(Head.CLASSES), self._entry(Head.LEARNED)
        return ClassifierPlace(
            weights=learned.weights - own.weights,
            parameters=learned.parameters - own.parameters,
        )


def features_classifier(network: Network) -> Classifier:
    """The head FEATURES: logit j is the sum of channel C - 1 - j over the classifier's input."""
    own = network.classifier
    channels = own.weights.shape[1]
    return Classifier(
        name=own.name,
        source=own.source,
        weights=np.eye(channels, dtype=np.int64)[::-1].copy(),
        weight_bits=2,
        bias=np.zeros(channels, np.int64),
    )


def make_device_plan(
    network: Network, capability: Capability, own: Plan | None = None
) -> DevicePlan:
    """Compile a network and its heads for a capability.

    `own` is what `make_plan` makes of the two, where it is made already. A network whose other
    heads do not fit is planned without them: `DevicePlan.why_not` says why.
    Raises :class:`PlanError` where the network itself does not fit, ``ValueError`` for the plan of
    another network or capability.
    """
    if own is None:
        own = make_plan(network, capability)
    elif own.capability != capability or not _same(own.network, network):
        raise ValueError(f"The plan is of {own.network.name!r}, or of another capability")
    source = network.tensors[network.classifier.source]
    why_not, plans = "", {Head.CLASSES: own}
    try:
        plans |= _more_heads(network, capability, own, source.channels)
    except PlanError as error:
        why_not = str(error)
    convolutions = own.table[: len(network.convs) * ENTRY_WORDS]
    for plan in plans.values():
        # What makes it right to exchange one entry: nothing else depends on the classifier.
        assert (plan.table[: len(convolutions)] == convolutions).all()
    words = {
        kind: _all_heads([getattr(plan, kind) for plan in plans.values()])
        for kind in ("weights", "parameters")
    }
    for kind in words:
        for plan in plans.values():
            words[kind] = _merged(words[kind], plan, kind)
    return DevicePlan(
        network=network,
        capability=capability,
        plans=MappingProxyType(
            {
                head: replace(plan, weights=words["weights"], parameters=words["parameters"])
                for head, plan in plans.items()
            }
        ),
        classifier_layer=len(network.convs),
        channels=source.channels,
        group_size=source.group_size,
        reach=source.pixels * source.maximum,
        features=0 if why_not else source.channels,
        why_not=why_not,
    )


def _same(one: Network, other: Network) -> bool:
    """Whether two networks are one, or of the same file."""
    return one is other or (one.sha256 is not None and one.sha256 == other.sha256)


def _more_heads(
    network: Network, capability: Capability, own: Plan, features: int
) -> dict[Head, Plan]:
    """Plans of FEATURES and LEARNED, behind the network's own classifier."""
    room = min(capability.logit_words, MAX_FEATURES)
    if features > room:
        raise PlanError(
            f"Its classifier reads {features} features, the device can learn from at most {room}"
        )
    if capability.logit_words < MAX_LEARNED:
        raise PlanError(
            f"{MAX_LEARNED} learned classes need as many logit words, not {capability.logit_words}"
        )
    if capability.bias_bits > capability.accumulator_bits:
        raise PlanError(
            f"Learned biases of {capability.bias_bits} bits need as wide accumulators, not "
            f"{capability.accumulator_bits} bits"
        )
    behind = own.layers[-1].weight_words
    classes = network.classifier.channels
    overlap = capability.lanes if features > capability.lanes else None
    plan = _plan_head(
        Head.FEATURES,
        _with_classifier(network, features_classifier(network)),
        capability,
        ClassifierPlace(weights=behind, parameters=classes, tile_step=overlap),
    )
    behind += plan.layers[-1].weight_words
    learned = replace(
        network.classifier,
        weights=np.zeros((MAX_LEARNED, features), np.int64),
        weight_bits=LEARNED_BITS,
        bias=np.zeros(MAX_LEARNED, np.int64),
    )
    return {
        Head.FEATURES: plan,
        Head.LEARNED: _plan_head(
            Head.LEARNED,
            _with_classifier(network, learned),
            capability,
            ClassifierPlace(weights=behind, parameters=classes),
        ),
    }


def _plan_head(
    head: Head, network: Network, capability: Capability, place: ClassifierPlace
) -> Plan:
    try:
        return make_plan(network, capability, place)
    except PlanError as error:
        raise PlanError(f"{head.name}: {error}") from None


def _with_classifier(network: Network, classifier: Classifier) -> Network:
    return replace(
        network,
        layers=(*network.convs, classifier),
        classes=tuple(str(number) for number in range(classifier.channels)),
        golden=None,
        sha256=None,
    )


def _all_heads(images: Sequence[np.ndarray]) -> np.ndarray:
    """The convolutions' words, and zeros for as many more as the longest image has."""
    longest = max(images, key=len)
    merged = np.zeros_like(longest)
    merged[: len(images[0])] = images[0]
    return merged


def _merged(words: np.ndarray, plan: Plan, kind: str) -> np.ndarray:
    """`words` with those of the plan's classifier, in their place."""
    each = {"weights": plan.capability.bus_words_per_weight_word, "parameters": 2}[kind]
    first = getattr(plan.layers[-1].entry, kind) * each
    own = getattr(plan, kind)[first:]
    merged = words.copy()
    merged[first : first + len(own)] = own
    return merged
