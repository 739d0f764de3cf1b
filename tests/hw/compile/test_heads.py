"""Three heads of one network: where their words lie, and that the RTL computes each of them."""

from dataclasses import replace

import numpy as np
import pytest

from hw.boards import find_board
from hw.capability import Capability
from hw.compile.heads import LEARNED_BITS, MAX_LEARNED, Head, make_device_plan
from hw.compile.plan import Plan, PlanError, make_plan
from hw.layer_entry import ENTRY_WORDS
from hw.register_map import REGISTER_MAP
from model import zoo
from model.integers import oracle
from model.integers.nearest_mean import learn
from model.network import Classifier, load
from sim.compare import compare
from sim.model import compile_model
from sim.networks import images_for, random_network
from sim.run import Job, simulate
from sim.verify import expect
from tests.sim.helpers import GENERIC

BOARD = find_board("icebreaker").capability
EIGHT = replace(GENERIC, lanes=8)
WIDE = replace(GENERIC, lanes=32)


@pytest.fixture(scope="module")
def default():
    """The network that boards get unless the user names another."""
    return load(zoo.find(None))


@pytest.fixture(scope="module")
def learner():
    """A small network with more features than `GENERIC` has lanes."""
    return random_network(0)


def features_of(network, images):
    """[N, features]: the pooled sums, by the oracle's records."""
    source = network.tensors[network.classifier.source]
    records = oracle.run(network, images).records[network.classifier.source - 1]
    return oracle.expand(records, source.group_size).sum(axis=(1, 2))


def learned_from(plan, features):
    """Three classes of these features, as the device would learn them."""
    sums = np.stack([features[0], features[-1], features.sum(axis=0)])
    return learn(
        sums,
        np.array([1, 1, len(features)]),
        reach=plan.reach,
        group_size=plan.group_size,
        bias_bits=plan.capability.bias_bits,
        accumulator_bits=plan.capability.accumulator_bits,
    )


def any_classifier(plan, seed):
    """A learned classifier with weights and biases of every size."""
    rng = np.random.default_rng(seed)
    return Classifier(
        name=plan.network.classifier.name,
        source=plan.network.classifier.source,
        weights=rng.integers(-128, 128, (MAX_LEARNED, plan.features)) // 64,
        weight_bits=LEARNED_BITS,
        bias=rng.integers(-(2**19), 1000, MAX_LEARNED) // 1024,
    )


# --- where things lie ---------------------------------------------------------------------------


def test_default_network_fits_the_board(default):
    plan = make_device_plan(default, BOARD)
    assert plan.why_not == ""
    assert (plan.features, plan.group_size, plan.reach, plan.classifier_layer) == (96, 2, 240, 7)
    own = make_plan(default, BOARD)
    weights, parameters = own.memory["weights"][0], own.memory["parameters"][0]
    # Tiles of the reversed identity: 96 + 5 x 16 words. LEARNED: two tiles of 96.
    assert len(plan.weights) == 2 * (weights + 176 + 192) <= 2 * BOARD.weight_words
    assert len(plan.parameters) == 2 * (parameters + 96) <= 2 * BOARD.parameter_words
    window = REGISTER_MAP.window("WEIGHTS").base
    assert plan.learned_weights == window + 8 * (weights + 176)
    assert plan.learned_parameters == REGISTER_MAP.window("PARAMETERS").base + 8 * parameters
    assert plan.cycles[Head.CLASSES] == own.cycles
    assert (plan.layers == own.table).all()
    # Its first layer takes 26,892 cycles; the DMA may begin so early that it stays behind.
    assert (plan.window, own.image_cycles) == (2, 1577)
    assert plan.heads.shape == (3, ENTRY_WORDS) and plan.heads.dtype == np.uint16
    assert set(plan.images()) == set(own.images())


def test_plan_that_is_made_already(default, learner, monkeypatch):
    """It is not made anew; one of another network or capability is refused."""
    own, whole = make_plan(default, BOARD), make_device_plan(default, BOARD)
    with pytest.raises(ValueError, match="The plan is of 'dham8-up5k', or of another capability"):
        make_device_plan(learner, BOARD, own)
    with pytest.raises(ValueError, match="or of another capability"):
        make_device_plan(default, replace(BOARD, logit_words=64), own)
    made = []

    def noted(network, *more):
        made.append(network)
        return make_plan(network, *more)

    monkeypatch.setattr("hw.compile.heads.make_plan", noted)
    plan = make_device_plan(default, BOARD, own)
    assert len(made) == 2 and default not in made  # FEATURES and LEARNED
    for name in ("weights", "parameters", "layers", "heads"):
        np.testing.assert_array_equal(getattr(plan, name), getattr(whole, name))


def test_window(default, monkeypatch):
    plan = make_device_plan(default, BOARD)
    monkeypatch.setattr("hw.compile.heads.AHEAD_CYCLES", 1577)
    assert plan.window == 2
    monkeypatch.setattr("hw.compile.heads.AHEAD_CYCLES", 1576)
    assert plan.window == 1
    monkeypatch.setattr(Plan, "image_cycles", None)
    assert plan.window == 1


@pytest.mark.parametrize("capability", [GENERIC, EIGHT, WIDE], ids=["16", "8", "32"])
@pytest.mark.parametrize("seed", range(6))
def test_one_entry_makes_the_head(capability, seed):
    """Each head's plan is that of CLASSES but for one entry, on the same memories."""
    network = random_network(seed)
    plan = make_device_plan(network, capability)
    own = make_plan(network, capability)
    assert not plan.why_not and set(plan.plans) == set(Head)
    assert (plan.weights[: len(own.weights)] == own.weights).all()
    assert (plan.parameters[: len(own.parameters)] == own.parameters).all()
    first = plan.classifier_layer * ENTRY_WORDS
    for head, one in plan.plans.items():
        table = plan.layers.copy()
        table[first:] = plan.heads[head]
        assert (one.table == table).all()
        assert (one.weights == plan.weights).all() and (one.parameters == plan.parameters).all()
        assert one.cycles == plan.cycles[head]
    assert (plan.heads[0] != plan.heads[1]).any() and (plan.heads[1] != plan.heads[2]).any()
    blocks = [plan.plans[head].layers[-1] for head in Head]
    starts = [block.entry.weights for block in blocks]
    ends = [start + block.weight_words for start, block in zip(starts, blocks, strict=True)]
    assert starts[1:] == ends[:-1]
    assert ends[-1] * capability.bus_words_per_weight_word == len(plan.weights)


@pytest.mark.parametrize("capability", [GENERIC, EIGHT, WIDE], ids=["16", "8", "32"])
@pytest.mark.parametrize("seed", range(6))
def test_overlapping_tiles_are_the_reversed_identity(capability, seed):
    """Walked as the engine does: tile, channel; each word gives every lane's weight."""
    plan = make_device_plan(random_network(seed), capability)
    entry = plan.plans[Head.FEATURES].layers[-1].entry
    words = plan.weights.reshape(-1, capability.bus_words_per_weight_word)
    found = np.zeros((plan.features, plan.features), int)
    for tile in range(entry.tiles):
        last = tile == entry.tiles - 1
        for channel in range(plan.features):
            word = words[entry.weights + tile * entry.tile_step + channel]
            lanes = [int(half) >> 4 * lane & 15 for half in word for lane in range(8)]
            for lane in range(entry.tile_lanes if last else capability.lanes):
                found[tile * capability.lanes + lane, channel] = lanes[lane]
    assert (found == np.eye(plan.features)[::-1]).all()
    first = 2 * entry.parameters
    assert (plan.parameters[first : first + 2 * plan.features] == 0).all()


@pytest.mark.parametrize("capability", [GENERIC, EIGHT, WIDE], ids=["16", "8", "32"])
@pytest.mark.parametrize("seed", range(4))
def test_learned_words_lie_where_the_firmware_writes_them(capability, seed):
    """By bytes and words at the addresses of `firmware.layout.Head`, from the flash's memories."""
    plan = make_device_plan(random_network(seed), capability)
    layer = any_classifier(plan, seed)
    weights, parameters = bytearray(plan.weights.tobytes()), plan.parameters.copy()
    first = plan.learned_weights - REGISTER_MAP.window("WEIGHTS").base
    assert not any(weights[first:])
    per_tile = capability.lanes // 2
    for c in range(MAX_LEARNED):
        for i in range(plan.features):
            place = (c // per_tile * plan.features + i) * per_tile + c % per_tile
            weights[first + place] = int(layer.weights[c, i]) & 0xFF
        word = (plan.learned_parameters - REGISTER_MAP.window("PARAMETERS").base) // 4 + 2 * c
        bias = int(layer.bias[c])
        parameters[word] = bias << 16 & 0xFFFFFFFF
        parameters[word + 1] = bias >> 16 & 0xF
    made = plan.learned(layer)
    assert made.weights.tobytes() == bytes(weights)
    assert (made.parameters == parameters).all()
    assert (made.table == plan.plans[Head.LEARNED].table).all()
    assert made.cycles == plan.cycles[Head.LEARNED]


def test_learned_refuses_what_is_not_its_own(learner):
    plan = make_device_plan(learner, GENERIC)
    layer = any_classifier(plan, 0)
    for wrong, text in (
        (replace(layer, weights=layer.weights[:3]), f"not (3, {plan.features}) of 8"),
        (replace(layer, weight_bits=4), f"not (16, {plan.features}) of 4"),
    ):
        with pytest.raises(ValueError) as caught:
            plan.learned(wrong)
        assert str(caught.value) == (
            f"The learned classifier must have weights (16, {plan.features}) of 8 bits, {text}"
        )


# --- where there is no room ---------------------------------------------------------------------


def own_memory(network, resource):
    return make_plan(network, GENERIC).memory[resource][0]


@pytest.mark.parametrize(
    "changes, text",
    [
        (
            {"logit_words": 32},
            "Its classifier reads 35 features, the device can learn from at most 32",
        ),
        (
            {"bias_bits": 23, "factor_bits": 9},
            "Learned biases of 23 bits need as wide accumulators, not 22 bits",
        ),
        (
            {"weight_words": "weights"},
            "FEATURES: Weight memory: the network needs {weights} words of P slices, the budget "
            "is {less}. What would fit: fewer channels, a smaller kernel or narrower weights",
        ),
        (
            {"parameter_words": "parameters"},
            "FEATURES: Parameter memory: the network needs {parameters} channels, the budget is "
            "{less}. What would fit: fewer channels or layers",
        ),
    ],
    ids=["features", "bias", "weights", "parameters"],
)
def test_works_without_learning(learner, changes, text):
    """Features 0, the reason in a line, everything else as planned for the network alone."""
    name, resource = next(iter(changes.items()))
    if isinstance(resource, str):
        changes = {name: own_memory(learner, resource)}
        more = {"weights": 35 + 2 * 16, "parameters": 35}[resource]
        text = text.format(**{resource: changes[name] + more, "less": changes[name]})
    capability = replace(GENERIC, **changes)
    plan = make_device_plan(learner, capability)
    assert plan.why_not == text
    assert (plan.features, plan.learned_weights, plan.learned_parameters) == (0, 0, 0)
    assert plan.channels == 35
    own = make_plan(learner, capability)
    for found, right in ((plan.weights, own.weights), (plan.parameters, own.parameters)):
        assert (found == right).all() and len(found) == len(right)
    assert (plan.heads == plan.heads[0]).all() and set(plan.cycles) == {Head.CLASSES}
    with pytest.raises(ValueError) as caught:
        plan.learned(any_classifier(make_device_plan(learner, GENERIC), 0))
    assert str(caught.value) == f"This network cannot learn on the device: {text}"


def test_learned_alone_has_no_room(learner):
    """FEATURES fits to the word, LEARNED does not."""
    need = own_memory(learner, "weights") + 35 + 2 * 16
    plan = make_device_plan(learner, replace(GENERIC, weight_words=need))
    assert plan.why_not.startswith(
        f"LEARNED: Weight memory: the network needs {need + 70} words of P slices, the budget is "
    )
    enough = make_device_plan(learner, replace(GENERIC, weight_words=need + 70))
    assert enough.features == 35


def test_few_logits():
    network = next(
        one
        for one in map(random_network, range(100))
        if one.classifier.weights.shape[1] <= 8 and one.classifier.channels <= 8
    )
    plan = make_device_plan(network, replace(GENERIC, logit_words=8))
    assert plan.why_not == "16 learned classes need as many logit words, not 8"


def test_network_that_does_not_fit_is_refused(learner):
    with pytest.raises(PlanError) as caught:
        make_device_plan(learner, replace(GENERIC, layer_entries=1))
    assert str(caught.value).startswith("Layer table: the network needs ")


# --- the RTL ------------------------------------------------------------------------------------


def run_heads(capability: Capability, networks, folder, frames):
    """Every head of every network on the RTL: oracle, features, learned classes, cycles."""
    jobs, expected = [], []
    for network in networks:
        plan = make_device_plan(network, capability)
        images = images_for(network, 3, frames)
        features = features_of(network, images)
        means = learned_from(plan, features)
        made = plan.learned(means.classifier(network.classifier, MAX_LEARNED))
        for one in (plan.plans[Head.CLASSES], plan.plans[Head.FEATURES], made):
            jobs.append(Job(plan=one, images=images))
            expected.append(expect(one.network, images))
        assert (expected[-2].logits[:, ::-1] == features).all()
        assert (expected[-1].logits[:, :3] == means.logits(features)).all()
        assert (expected[-1].logits.argmax(axis=1) == means.decide(features)).all()
    logs = simulate(compile_model(capability), jobs, folder)
    for job, right, log in zip(jobs, expected, logs, strict=True):
        found = compare(job.plan, right, log)
        assert found.mismatch is None
        assert found.frames == frames and found.records > 0
        assert max(found.cycles) <= job.plan.cycles


def test_rtl_of_random_networks(tmp_path):
    run_heads(GENERIC, [random_network(seed) for seed in range(5)], tmp_path, frames=3)


def test_rtl_of_the_default_network_on_the_board(default, tmp_path):
    run_heads(BOARD, [default], tmp_path, frames=1)
