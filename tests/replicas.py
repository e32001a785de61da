"""Every method once more, straight from its paper's equation, in scalar loops and float64.

A replica takes activations (c, *s) and gradients (c, *s) of one image and one target as NumPy, and the place j of the
target, and returns the map (*s) after its ReLU. It shares no code with seewhy. `REPLICAS` has one for each method name.
"""

from itertools import product

import numpy as np

from cam_replicas import CAM_REPLICAS
from perturb_replicas import PERTURBING


def _positions(array):
    return product(*(range(length) for length in array.shape[1:]))


def grad_cam(A, G, j):
    """Selvaraju et al. 2017: alpha_c = 1/Z sum_ij dy/dA_c,ij (eq. 1), L = ReLU(sum_c alpha_c A_c) (eq. 2)."""
    L = np.zeros(A.shape[1:])
    for c in range(A.shape[0]):
        total, Z = 0.0, 0
        for p in _positions(A):
            total += float(G[(c, *p)])
            Z += 1
        for p in _positions(A):
            L[p] += total / Z * float(A[(c, *p)])
    for p in _positions(A):
        L[p] = max(0.0, L[p])
    return L


def hires_cam(A, G, j):
    """Draelos and Carin 2020: L = sum_c dy/dA_c * A_c, elementwise; then the ReLU that all share."""
    L = np.zeros(A.shape[1:])
    for p in _positions(A):
        for c in range(A.shape[0]):
            L[p] += float(G[(c, *p)]) * float(A[(c, *p)])
        L[p] = max(0.0, L[p])
    return L


def layer_cam(A, G, j):
    """Jiang et al. 2021: w = ReLU(dy/dA) (eq. 5), A^ = w A (eq. 6), M = ReLU(sum_c A^_c) (eq. 7)."""
    L = np.zeros(A.shape[1:])
    for p in _positions(A):
        for c in range(A.shape[0]):
            w = float(G[(c, *p)])
            if w > 0:
                L[p] += w * float(A[(c, *p)])
        L[p] = max(0.0, L[p])
    return L


def random_cam(A, G, j, seed=0):
    """The control: weights from a seeded generator, row j for target j; one channel after the other."""
    generator = np.random.default_rng(seed)
    for _ in range(j + 1):
        weights = [generator.uniform(-1, 1) for _ in range(A.shape[0])]
    L = np.zeros(A.shape[1:])
    for p in _positions(A):
        for c in range(A.shape[0]):
            L[p] += weights[c] * float(A[(c, *p)])
        L[p] = max(0.0, L[p])
    return L


REPLICAS = {"grad-cam": grad_cam, "hires-cam": hires_cam, "layer-cam": layer_cam, "random-cam": random_cam}
REPLICAS |= PERTURBING  # these take (X, A, f, tail), and are held against in test_perturb.py
REPLICAS |= CAM_REPLICAS
