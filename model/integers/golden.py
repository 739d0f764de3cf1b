"""Golden vectors: generated frames on which a network's records and logits are known.

They travel in the network file, so that RTL, netlist and device are checked where there is no
torch and no data set. Frames are generated, never taken from a data set, and chosen so that every
group and every output channel of every convolution wins somewhere (a record of value > 0), as far
as a large pool of candidates reaches that at all; the coverage is written into the metadata.
"""

from dataclasses import replace

import numpy as np

from model.integers.reference import Reference, run
from model.network import Golden, Network, record_digest

__all__ = ["attach_golden", "candidates", "differences"]

FEWEST, MOST = 4, 8  # frames
ROUNDS = 8  # of candidates, at most
PATIENCE = 3  # rounds without a new winner before the search stops
ROUND = 192  # candidates a round
PIXELS = ROUND * 32 * 32  # and fewer of them where images are larger than 32 x 32


def attach_golden(network: Network, frames: int = MOST, seed: int = 0) -> Network:
    """`network` with golden vectors and their coverage in ``metadata["golden"]``, unsaved.

    Parameters
    ----------
    network : Network
        A sound network; golden vectors that it has already are replaced.
    frames : int
        Frames at most, 4 or more. Fewer are kept where they cover as much.
    seed : int
        Of the generated frames: same seed, same network, same golden vectors.
    """
    if frames < FEWEST:
        raise ValueError(f"Frames must be {FEWEST} or more, not {frames}")
    images, covered, seen = _search(network, frames, seed)
    result = run(network, images)
    digests = tuple(
        tuple(record_digest(layer.value[frame], layer.winner[frame]) for layer in result.records)
        for frame in range(len(images))
    )
    metadata = dict(network.metadata)
    metadata["golden"] = {
        "frames": len(images),
        "seed": seed,
        "candidates": seen,
        "coverage": _coverage(network, covered),
    }
    golden = Golden(images=images, digests=digests, logits=result.logits)
    return replace(network, golden=golden, metadata=metadata, sha256=None)


def differences(network: Network) -> list[str]:
    """What the reference finds different from the network's golden vectors; empty if nothing."""
    golden = network.golden
    if golden is None:
        return ["the network has no golden vectors"]
    result = run(network, golden.images)
    found = []
    for frame, digests in enumerate(golden.digests):
        for layer, records, digest in zip(network.convs, result.records, digests, strict=True):
            if record_digest(records.value[frame], records.winner[frame]) != digest:
                found.append(f"frame {frame}: records of layer {layer.name} differ")
        if (result.logits[frame] != golden.logits[frame]).any():
            found.append(f"frame {frame}: logits differ")
    return found


def candidates(
    rng: np.random.Generator, shape: tuple[int, int, int], bits: int, count: int
) -> np.ndarray:
    """`count` generated frames [N, H, W, C] uint8 of `bits` bits, of all kinds in turn."""
    frames = [_KINDS[index % len(_KINDS)](rng, shape) for index in range(count)]
    for index in range(1, count, 3):  # mixtures: a window of one frame within another
        frames[index] = _spliced(rng, frames[index], frames[int(rng.integers(count))])
    return _quantised(np.stack(frames), bits)


# --- choosing -----------------------------------------------------------------------------------


def _search(network, most, seed):
    """(frames, covered [channels of all layers], number of candidates seen)."""
    rng = np.random.default_rng(seed)
    shape, bits = network.input_shape, network.input_bits
    count = max(24, min(ROUND, PIXELS // (shape[0] * shape[1])))
    reference = Reference(network)
    pool = candidates(rng, shape, bits, count)
    wins = _wins(reference, pool)  # [candidates, channels of all layers]
    seen, idle = len(pool), 0
    for _ in range(ROUNDS - 1):
        chosen = _greedy(wins, most)
        if wins[chosen].any(axis=0).all() or idle == PATIENCE:
            break
        # The next round: half new frames, half mixtures that start from the best so far.
        fresh = candidates(rng, shape, bits, count // 2)
        base = pool[rng.choice(chosen, count - len(fresh))]
        every = np.concatenate([pool, fresh])
        other = every[rng.integers(len(every), size=len(base))]
        mixed = [_spliced(rng, *pair) for pair in zip(base, other, strict=True)]
        fresh = np.concatenate([fresh, np.stack(mixed)])
        found = _wins(reference, fresh)
        seen += len(fresh)
        best = wins[chosen].any(axis=0).sum()
        pool, wins = np.concatenate([pool, fresh]), np.concatenate([wins, found])
        useful = _greedy(wins, 8 * most)  # keep what covers most; forget the rest
        pool, wins = pool[useful], wins[useful]
        idle = 0 if wins[_greedy(wins, most)].any(axis=0).sum() > best else idle + 1
    chosen = _greedy(wins, most)
    images = pool[chosen]
    if len(images) < FEWEST:
        extremes = _quantised(np.stack([np.zeros(shape), np.ones(shape), rng.random(shape)]), bits)
        images = np.concatenate([images, extremes])[:FEWEST]
    return images, _wins(reference, images).any(axis=0), seen


def _wins(reference, images):
    """[N, channels of all convolutions] bool: the channel wins a record of value > 0."""
    parts = []
    for first in range(0, len(images), 32):
        result = reference(images[first : first + 32])
        layers = []
        for layer, records in zip(reference.network.convs, result.records, strict=True):
            count, _, _, groups = records.value.shape
            won = np.zeros((count, layer.channels), bool)
            channel = records.winner + np.arange(groups) * layer.group_size
            frame = np.broadcast_to(np.arange(count)[:, None, None, None], channel.shape)
            alive = records.value > 0
            won[frame[alive], channel[alive]] = True
            layers.append(won)
        parts.append(np.concatenate(layers, axis=1))
    return np.concatenate(parts)


def _greedy(wins, most):
    """Indices of at most `most` rows that together cover the most columns; at least one."""
    chosen: list[int] = []
    covered = np.zeros(wins.shape[1], bool)
    while len(chosen) < most:
        gain = (wins & ~covered).sum(axis=1)
        best = int(gain.argmax())
        if gain[best] == 0 and chosen:
            break
        chosen.append(best)
        covered |= wins[best]
    return np.array(chosen)


def _coverage(network, covered):
    """Per convolution and in total: [won, of] for groups and for channels."""
    coverage, first = {}, 0
    for layer in network.convs:
        channels = covered[first : first + layer.channels]
        groups = channels.reshape(-1, layer.group_size).any(axis=1)
        coverage[layer.name] = {
            "groups": [int(groups.sum()), len(groups)],
            "channels": [int(channels.sum()), len(channels)],
        }
        first += layer.channels
    total = {
        key: [sum(layer[key][part] for layer in coverage.values()) for part in (0, 1)]
        for key in ("groups", "channels")
    }
    return {**total, "layers": coverage}


# --- frames: each function makes one [H, W, C] of 0 to 1 ----------------------------------------


def _quantised(frames, bits):
    return np.clip(np.rint(frames * (2**bits - 1)), 0, 2**bits - 1).astype(np.uint8)


def _grid(shape):
    rows, columns = np.mgrid[0 : shape[0], 0 : shape[1]]
    return rows / shape[0], columns / shape[1]


def _smooth(rng, shape):
    """Noise with the spectrum of natural scenes, 1/f: luminance shared by the colours."""
    frequency = np.hypot(np.fft.fftfreq(shape[0])[:, None], np.fft.fftfreq(shape[1])[None, :])
    envelope = 1 / np.maximum(frequency, 1 / max(shape[:2])) ** rng.uniform(0.6, 2.0)
    colour = rng.uniform(0, 1.5)
    planes = []
    shared = rng.normal(size=shape[:2])
    for _ in range(shape[2]):
        noise = shared + colour * rng.normal(size=shape[:2])
        plane = np.fft.ifft2(np.fft.fft2(noise) * envelope).real
        planes.append((plane - plane.mean()) / (plane.std() + 1e-9))
    contrast, level = rng.uniform(0.1, 0.45), rng.uniform(0.2, 0.8)
    return np.clip(np.stack(planes, axis=2) * contrast + level, 0, 1)


def _noise(rng, shape):
    return rng.random(shape) ** rng.uniform(0.3, 3)


def _gradient(rng, shape):
    rows, columns = _grid(shape)
    angle = rng.uniform(0, 2 * np.pi, shape[2])
    ramp = rows[..., None] * np.cos(angle) + columns[..., None] * np.sin(angle)
    ramp -= ramp.min(axis=(0, 1))
    return ramp / (ramp.max(axis=(0, 1)) + 1e-9) * rng.random(shape[2])


def _grating(rng, shape):
    rows, columns = _grid(shape)
    waves = rng.uniform(-12, 12, 2)
    wave = np.sin(2 * np.pi * (rows * waves[0] + columns * waves[1]) + rng.uniform(0, 6))
    if rng.random() < 0.5:
        wave = np.sign(wave)
    low, high = rng.random(shape[2]), rng.random(shape[2])
    return low + (high - low) * (wave[..., None] + 1) / 2


def _shapes(rng, shape):
    """Coloured discs and boxes on a plain or smooth background."""
    rows, columns = _grid(shape)
    frame = (
        _smooth(rng, shape)
        if rng.random() < 0.5
        else np.tile(rng.random(shape[2]), (*shape[:2], 1))
    )
    for _ in range(int(rng.integers(1, 9))):
        centre, size = rng.random(2), rng.uniform(0.05, 0.5, 2)
        down, along = (rows - centre[0]) / size[0], (columns - centre[1]) / size[1]
        inside = np.hypot(down, along) if rng.random() < 0.5 else np.maximum(abs(down), abs(along))
        frame[inside < 1] = (
            rng.integers(0, 2, shape[2]) if rng.random() < 0.4 else rng.random(shape[2])
        )
    return frame


def _extreme(rng, shape):
    """Black, saturated, or blocks of both."""
    kind = rng.integers(4)
    if kind < 2:
        return np.full(shape, float(kind))
    tile = int(rng.integers(1, 9))
    blocks = rng.integers(0, 2, (-(-shape[0] // tile), -(-shape[1] // tile), shape[2]))
    return blocks.repeat(tile, axis=0).repeat(tile, axis=1)[: shape[0], : shape[1]].astype(float)


_KINDS = (_smooth, _shapes, _noise, _smooth, _gradient, _shapes, _grating, _smooth, _extreme)


def _spliced(rng, frame, other):
    """`frame` with a random window of `other`."""
    height, width = frame.shape[:2]
    top, left = int(rng.integers(height)), int(rng.integers(width))
    bottom, right = int(rng.integers(top, height)) + 1, int(rng.integers(left, width)) + 1
    frame = frame.copy()
    frame[top:bottom, left:right] = other[top:bottom, left:right]
    return frame
