"""Memory map: where each tensor of a network lives in the activation memory."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from hw.capability import Capability
from model.common.errors import UserError
from model.network import Classifier, Conv, Network

__all__ = ["Place", "PlanError", "allocate", "sources"]

#: Positions tried before the search gives up (networks of ten layers need a few dozen).
_SEARCH_LIMIT = 200_000


class PlanError(UserError):
    """A network that does not fit. The text names the resource, the need, the budget, a remedy."""


@dataclass(frozen=True)
class Place:
    """A tensor's words: `words` of them from `offset` in `bank`."""

    bank: int
    offset: int
    words: int

    @property
    def end(self) -> int:
        """Offset of the first word behind it."""
        return self.offset + self.words

    def overlaps(self, other: "Place") -> bool:
        """Whether the two share a word."""
        return self.bank == other.bank and self.offset < other.end and other.offset < self.end


def allocate(
    network: Network, words: Mapping[int, int], capability: Capability
) -> dict[int, Place]:
    """Places for the tensors of `network`: a dict from tensor index (1 and up) to `Place`.

    `words` gives the words that each tensor takes. Every tensor lies within one bank. A layer's
    output overlaps nothing that is still needed, but for one case: it may take the very place of
    its identity residual where both have the same groups and nobody needs the residual again. The
    drain then reads each word of a pixel before it writes it. The identity residual lies in the
    other bank than everything else that its layer reads (the image counts as bank 0): both are
    read in the same cycle. The classifier's logits have the last words of bank 1.

    Raises :class:`PlanError` if no such map is found.
    """
    tensors = network.tensors
    last_use: dict[int, int] = {}
    for index, layer in enumerate(network.layers):
        for source in sources(layer):
            last_use[source] = index
    logits = Place(1, capability.bank_words - capability.logit_words, capability.logit_words)
    budget = _SEARCH_LIMIT
    blocked = 0  # the furthest layer that found no place

    def candidates(index: int, layer: Conv, places: dict[int, Place]) -> Iterator[Place]:
        """Places for the output of `layer`, best first."""
        live = [place for tensor, place in places.items() if last_use.get(tensor, -1) >= index]
        output = index + 1
        if layer.identity is not None:
            residual = layer.identity.source
            alike = tensors[residual].group_size == tensors[output].group_size
            others = [s for s in sources(layer, identity=False) if s == residual]
            if alike and last_use[residual] == index and not others:
                yield places[residual]
        for bank in (0, 1):
            edges = {0, capability.bank_words - words[output]}
            edges |= {place.end for place in live if place.bank == bank}
            edges |= {place.offset - words[output] for place in live if place.bank == bank}
            if bank == 1:
                edges.add(logits.offset - words[output])
            for offset in sorted(edges):
                place = Place(bank, offset, words[output])
                if offset < 0 or place.end > capability.bank_words:
                    continue
                if not any(place.overlaps(other) for other in live):
                    yield place

    def sound(layer: Conv | Classifier, places: dict[int, Place]) -> bool:
        """Whether `layer` can read its tensors where they are."""
        if layer.identity is not None:
            # A layer that reads the image reads nothing else there: the image counts as bank 0.
            bank = places[layer.identity.source].bank
            read = sources(layer, identity=False)
            return all(bank != (places[source].bank if source else 0) for source in read)
        if layer.kind == "classifier":
            return not places[layer.source].overlaps(logits) if layer.source else True
        return True

    def search(index: int, places: dict[int, Place]) -> dict[int, Place] | None:
        nonlocal budget, blocked
        layer = network.layers[index]
        blocked = max(blocked, index)
        if not sound(layer, places):
            return None
        if layer.kind == "classifier":
            return places
        for place in candidates(index, layer, places):
            budget -= 1
            if budget < 0:
                return None
            found = search(index + 1, places | {index + 1: place})
            if found is not None:
                return found
        return None

    places = search(0, {})
    if places is None:
        raise _no_places(network, words, capability, blocked, last_use)
    return places


def sources(layer: Conv | Classifier, identity: bool = True) -> list[int]:
    """Indices of the tensors that `layer` reads; without `identity`, but for its residual's."""
    found = [layer.source]
    if layer.projection is not None:
        found.append(layer.projection.source)
    if identity and layer.identity is not None:
        found.append(layer.identity.source)
    return found


def _no_places(
    network: Network,
    words: Mapping[int, int],
    capability: Capability,
    index: int,
    last_use: Mapping[int, int],
) -> PlanError:
    layer = network.layers[index]
    live = [t for t in words if t <= index and last_use.get(t, -1) >= index]
    parts = [f"tensor {t} ({words[t]})" for t in live]
    need = sum(words[t] for t in live)
    if index + 1 in words:
        parts.append(f"its output ({words[index + 1]})")
        need += words[index + 1]
    return PlanError(
        f"Activation memory: layer {index} ({layer.name}) needs {' + '.join(parts)} = {need} words "
        f"of {capability.records_per_word} records at once, each tensor within one bank, "
        "an identity residual in another bank than the layer's input, the classifier's input not "
        f"in the last {capability.logit_words} words; the budget is 2 banks of "
        f"{capability.bank_words} words, and no such places were found. Larger groups, fewer "
        "channels or a smaller image there would fit"
    )
