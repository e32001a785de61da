"""The methods that perturb once more, straight from their papers' equations, in scalar loops and float64.

A replica takes an image X (c, *S), its activations A (c, *s) and the model as two plain functions of one of these to
the score that is explained: f(X) of the whole model, and tail(A) of what follows the layer. It returns the map after
its ReLU, at the layer's positions or at the image's. It shares no code with seewhy. `PERTURBING` has one for each name.
"""

from itertools import product
from math import ceil, exp, floor

import numpy as np


def _places(size):
    return product(*(range(length) for length in size))


def _rectified(L):
    for p in _places(L.shape):
        L[p] = max(0.0, L[p])
    return L


# ---- Score-CAM and its kin -------------------------------------------------------------------------------


def _upsampled(M, size):
    """Bilinear with half-pixel centres; the outermost value holds up to the border."""
    large = np.zeros(size)
    for p in _places(size):
        sides = []
        for at, length, cells in zip(p, size, M.shape, strict=True):
            place = min(max((at + 0.5) / length * cells - 0.5, 0.0), cells - 1.0)
            low = min(floor(place), max(cells - 2, 0))
            sides.append([(low, 1 - (place - low)), (min(low + 1, cells - 1), place - low)])
        for corner in product(*sides):
            share = 1.0
            for _, part in corner:
                share *= part
            large[p] += share * float(M[tuple(cell for cell, _ in corner)])
    return large


def _mask(M, size):
    """s(Up(A_c)); None for a channel that is the same everywhere."""
    H = _upsampled(M, size)
    low, high = min(H.flat), max(H.flat)
    if max(M.flat) == min(M.flat):
        return None
    for p in _places(size):
        H[p] = (H[p] - low) / (high - low)
    return H


def _masked(X, H):
    return np.stack([np.asarray([x * h for x, h in zip(channel.flat, H.flat, strict=True)]) for channel in X]).reshape(
        X.shape
    )


def _most_varying(A, channels):
    def variance(M):
        mean = sum(float(v) for v in M.flat) / M.size
        return sum((float(v) - mean) ** 2 for v in M.flat) / M.size

    best = sorted(range(len(A)), key=lambda c: -variance(A[c]))
    return sorted(best[:channels])


def _score_weighted(X, A, f, mean_score, channels):
    """L = ReLU(sum_c softmax(C)_c A_c), C_c = (mean score of what the mask of c made of the image) - f(0)."""
    chosen = _most_varying(A, channels if channels is not None else len(A))
    blank = f(np.zeros_like(X))
    C = {}
    for c in chosen:
        H = _mask(A[c], X.shape[1:])
        C[c] = 0.0 if H is None else mean_score(c, H) - blank
    total = sum(exp(C[c]) for c in chosen)
    L = np.zeros(A.shape[1:])
    for c in chosen:
        for p in _places(L.shape):
            L[p] += exp(C[c]) / total * float(A[(c, *p)])
    return _rectified(L)


def score_cam(X, A, f, tail, channels=None):
    """Wang et al. 2020: C_c = f(X * s(Up(A_c))) - f(0), softmax over channels."""
    return _score_weighted(X, A, f, lambda c, H: f(_masked(X, H)), channels)


def ss_cam(X, A, f, tail, samples=35, std=2.0, noise_on="mask", seed=0, channels=None):
    """Wang et al. 2020b: the mean of f over noise on the mask, or on the masked image."""

    def mean_score(c, H):
        total = 0.0
        for i in range(samples):
            generator = np.random.default_rng((seed, c, i))
            if noise_on == "mask":
                noisy = H.copy()
                for p in _places(H.shape):
                    noisy[p] += std * float(generator.standard_normal(dtype=np.float32))
                total += f(_masked(X, noisy))
            else:
                noisy = _masked(X, H)
                for p in _places(X.shape):
                    noisy[p] += std * float(generator.standard_normal(dtype=np.float32))
                total += f(noisy)
        return total / samples

    return _score_weighted(X, A, f, mean_score, channels)


def is_cam(X, A, f, tail, steps=10, running_sum=False, channels=None):
    """Naidu et al. 2020: the mean of f over N steps from the blank image to the masked one."""

    def mean_score(c, H):
        total, factor = 0.0, 0.0
        for i in range(1, steps + 1):
            factor = factor + i / steps if running_sum else i / steps
            total += f(factor * _masked(X, H))
        return total / steps

    return _score_weighted(X, A, f, mean_score, channels)


# ---- at the layer ----------------------------------------------------------------------------------------


def ablation_cam(X, A, f, tail, fill=0.0):
    """Ramaswamy and Desai 2020: w_c = (y - y_c) / y, with |y| below; L = ReLU(sum_c w_c A_c)."""
    y = tail(A)
    lost = []
    for c in range(len(A)):
        without = A.copy()
        for p in _places(A.shape[1:]):
            without[(c, *p)] = fill
        lost.append(y - tail(without))
    divisor = max(abs(y), max(abs(one) for one in lost) / 1000)
    L = np.zeros(A.shape[1:])
    for p in _places(L.shape):
        for c in range(len(A)):
            L[p] += lost[c] / divisor * float(A[(c, *p)]) if divisor > 0 else 0.0
    return _rectified(L)


def recipro_cam(X, A, f, tail, gaussian=False):
    """Byun and Lee 2022: y_p = f(A * M_p), less the least of them; M_p is one position, or 1/4 1/2 1/4 around it."""
    L = np.zeros(A.shape[1:])
    for p in _places(L.shape):
        seen = np.zeros_like(A)
        for q in _places(L.shape):
            M = 1.0
            for at, centre in zip(q, p, strict=True):
                M *= {0: 0.5, 1: 0.25}.get(abs(at - centre), 0.0) if gaussian else float(at == centre)
            for c in range(len(A)):
                seen[(c, *q)] = M * float(A[(c, *q)])
        L[p] = tail(seen)
    least = min(L.flat)
    for p in _places(L.shape):
        L[p] -= least
    return L


# ---- at the input ----------------------------------------------------------------------------------------


def occlusion(X, A, f, tail, window=None, stride=None, fill=0.0):
    """Zeiler and Fergus 2014: what the score loses under a window, the mean over the windows that cover a pixel."""
    size = X.shape[1:]
    sides = [window or ceil(length / 8) for length in size]
    moves = [stride or max(side // 2, 1) for side in sides]
    counts = [ceil((length - side) / move) + 1 for length, side, move in zip(size, sides, moves, strict=True)]
    total, times = np.zeros(size), np.zeros(size)
    means = [sum(float(v) for v in channel.flat) / channel.size for channel in X]
    for number in _places(counts):
        covered = X.copy()
        inside = []
        for p in _places(size):
            starts = [i * move for i, move in zip(number, moves, strict=True)]
            if all(start <= at < start + side for at, start, side in zip(p, starts, sides, strict=True)):
                inside.append(p)
                for c in range(len(X)):
                    covered[(c, *p)] = means[c] if fill == "mean" else fill
        lost = f(X) - f(covered)
        for p in inside:
            total[p] += lost
            times[p] += 1
    for p in _places(size):
        total[p] /= times[p]
    return _rectified(total)


def rise(X, A, f, tail, masks=4000, cells=7, p=0.5, seed=0, centred=True):
    """Petsiuk et al. 2018, eq. 6: S = 1/(N E[M]) sum_i f(X * M_i) M_i, with the mean score taken off the scores."""
    size = X.shape[1:]
    counts = [min(cells, length) for length in size]
    cell = [ceil(length / count) for length, count in zip(size, counts, strict=True)]
    generator = np.random.default_rng(seed)
    grids = []
    for _ in range(masks):
        grid = np.zeros(counts)
        for place in _places(counts):
            grid[place] = float(generator.random() < p)
        grids.append(grid)
    shifts = generator.integers(0, cell, (masks, len(size)), endpoint=True)
    drawn, scores = [], []
    for grid, shift in zip(grids, shifts, strict=True):
        large = _upsampled(grid, [(count + 1) * length for count, length in zip(counts, cell, strict=True)])
        M = np.zeros(size)
        for place in _places(size):
            M[place] = large[tuple(at + by for at, by in zip(place, shift, strict=True))]
        drawn.append(M)
        scores.append(f(_masked(X, M)))
    mean = sum(scores) / masks if centred else 0.0
    L = np.zeros(size)
    for M, score in zip(drawn, scores, strict=True):
        for place in _places(size):
            L[place] += (score - mean) * M[place] / (masks * p)
    return _rectified(L)


PERTURBING = {
    "ablation-cam": ablation_cam,
    "is-cam": is_cam,
    "occlusion": occlusion,
    "recipro-cam": recipro_cam,
    "rise": rise,
    "score-cam": score_cam,
    "ss-cam": ss_cam,
}
