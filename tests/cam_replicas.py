"""Replicas of the methods that work from activations and gradients; see replicas.py.

Those in WITH_MODEL take a fourth argument, a `Model`: what of the network a method may ask for, in float64, made by
plain PyTorch.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from itertools import product

import numpy as np
import torch


@dataclass(frozen=True)
class Model:
    """One image, and functions of a network for one target."""

    image: np.ndarray
    """(c, *s)"""
    score: Callable
    """From an image, a tensor (c, *s), to the score, a tensor."""
    features: Callable
    """From an image, a tensor (c, *s), to the activations of the layer, a tensor (c, *s)."""
    tail: Callable
    """From activations, a tensor (c, *s), to the score, a tensor."""


def _positions(array):
    return list(product(*(range(length) for length in array.shape[1:])))


def _weighed(w, A):
    """ReLU(sum_c w_c A_c), one number for each channel."""
    L = np.zeros(A.shape[1:])
    for p in _positions(A):
        for c in range(A.shape[0]):
            L[p] += w[c] * float(A[(c, *p)])
        L[p] = max(0.0, L[p])
    return L


def _slopes(model, image):
    """dS/dA of a changed image."""
    A = model.features(torch.from_numpy(image)).detach().requires_grad_(True)
    (G,) = torch.autograd.grad(model.tail(A), A)
    return G.numpy()


def cam(A, G, j, model):
    """Zhou et al. 2016, eq. 2: w_c = dS/dF_c by moving the mean F_c of a channel, one channel after the other."""
    w = []
    for c in range(A.shape[0]):
        moved = A.copy()
        moved[c] += 1.0  # the mean of the channel moves by 1
        with torch.no_grad():
            w.append(float(model.tail(torch.from_numpy(moved)) - model.tail(torch.from_numpy(A.copy()))))
    return _weighed(w, A)


def _plus_plus(A, D1, D2, D3, signed=False):
    """Chattopadhay et al. 2018, eq. 10 and 11, from the three derivatives."""
    w = []
    for c in range(A.shape[0]):
        total = sum(float(A[(c, *p)]) for p in _positions(A))
        w_c = 0.0
        for p in _positions(A):
            denominator = 2 * float(D2[(c, *p)]) + total * float(D3[(c, *p)])
            alpha = float(D2[(c, *p)]) / denominator if denominator != 0 else 0.0
            if signed or alpha > 0:
                w_c += alpha * max(0.0, float(D1[(c, *p)]))
        w.append(w_c)
    return _weighed(w, A)


def grad_cam_plus_plus(A, G, j):
    """Chattopadhay et al. 2018: alpha = g^2 / (2 g^2 + sum_ab A_ab g^3) (eq. 19), w = sum alpha relu(g)."""
    return _plus_plus(A, G, G**2, G**3)


def grad_cam_plus_plus_general(A, G, j, model):
    """Chattopadhay et al. 2018, eq. 10, by three derivatives by each activation, one after the other."""
    D2, D3 = np.zeros(A.shape), np.zeros(A.shape)
    for at in np.ndindex(*A.shape):
        t = torch.zeros((), dtype=torch.float64, requires_grad=True)
        unit = torch.zeros(A.shape, dtype=torch.float64)
        unit[at] = 1.0
        value = model.tail(torch.from_numpy(A.copy()) + t * unit)
        for order in range(3):
            (value,) = torch.autograd.grad(value, t, create_graph=True)
            if order > 0:
                (D2, D3)[order - 1][at] = float(value.detach())
    return _plus_plus(A, G, D2, D3, signed=True)


def smooth_grad_cam_plus_plus(A, G, j, model, samples=16, noise=0.15, seed=0):
    """Omeiza et al. 2019: the derivatives g, g^2, g^3 averaged over all samples, then as Grad-CAM++."""
    D1, D2, D3 = np.zeros(A.shape), np.zeros(A.shape), np.zeros(A.shape)
    deviation = noise * (model.image.max() - model.image.min())
    for t in range(samples):
        drawn = np.random.default_rng([seed, t]).standard_normal(model.image.shape, np.float32)
        g = _slopes(model, model.image + deviation * drawn)
        for at in np.ndindex(*A.shape):
            D1[at] += g[at] / samples
            D2[at] += g[at] ** 2 / samples
            D3[at] += g[at] ** 3 / samples
    return _plus_plus(A, D1, D2, D3)


def xgrad_cam(A, G, j):
    """Fu et al. 2020: w_c = sum_ij (A_ij / sum_ab A_ab) dy/dA_ij."""
    w = []
    for c in range(A.shape[0]):
        total = sum(float(A[(c, *p)]) for p in _positions(A))
        w.append(sum(float(A[(c, *p)]) / total * float(G[(c, *p)]) for p in _positions(A)) if total != 0 else 0.0)
    return _weighed(w, A)


def element_wise_grad_cam(A, G, j):
    """sum_c ReLU(dy/dA_c * A_c)."""
    L = np.zeros(A.shape[1:])
    for p in _positions(A):
        for c in range(A.shape[0]):
            L[p] += max(0.0, float(G[(c, *p)]) * float(A[(c, *p)]))
    return L


def _matrix(A):
    """One row for each position, one column for each channel."""
    return np.array([[float(A[(c, *p)]) for c in range(A.shape[0])] for p in _positions(A)])


def _map(values, A):
    L = np.zeros(A.shape[1:])
    for value, p in zip(values, _positions(A), strict=True):
        L[p] = max(0.0, float(value))
    return L


def eigen_cam(A, G, j):
    """Muhammad and Yeasin 2020: O = U S V^T, L = O v_1, by the full decomposition; turned so that its sum is > 0."""
    O = _matrix(A)  # noqa: E741
    L = O @ np.linalg.svd(O)[2][0]
    return _map(L if L.sum() > 0 else -L, A)


def eigen_grad_cam(A, G, j):
    """Eigen-CAM of dy/dA * A; turned so that the entries of v_1 add up to more than zero."""
    M = _matrix(np.asarray(A) * np.asarray(G))
    v = np.linalg.svd(M)[2][0]
    return _map(M @ (v if v.sum() > 0 else -v), A)


def kpca_cam(A, G, j, kernel="sigmoid", gamma=None):
    """Karmani et al. 2024: the first component of the centred kernel, turned towards long activations."""
    X = _matrix(A)
    Z, c = X.shape
    gamma = 1 / c if gamma is None else gamma
    mean = [sum(X[p, i] for p in range(Z)) / Z for i in range(c)]
    K = np.zeros((Z, Z))
    for p in range(Z):
        for q in range(Z):
            if kernel == "sigmoid":
                K[p, q] = math.tanh(gamma * sum((X[p, i] - mean[i]) * (X[q, i] - mean[i]) for i in range(c)) + 1)
            else:
                K[p, q] = math.exp(-gamma * sum((X[p, i] - X[q, i]) ** 2 for i in range(c)))
    ones = np.full((Z, Z), 1 / Z)
    values, vectors = np.linalg.eig(K - ones @ K - K @ ones + ones @ K @ ones)
    best = int(np.argmax(values.real))
    u = vectors[:, best].real
    L = math.sqrt(values[best].real) * u / math.sqrt(sum(x * x for x in u))
    lengths = [math.sqrt(sum(X[p, i] ** 2 for i in range(c))) for p in range(Z)]
    return _map(L if sum(x * y for x, y in zip(L, lengths, strict=True)) > 0 else -L, A)


def fem(A, G, j, sigmas=2.0):
    """Ahmed Asif Fuad et al. 2020: channels made binary by the K-sigma rule, weighed by their mean."""
    L = np.zeros(A.shape[1:])
    for c in range(A.shape[0]):
        values = [float(A[(c, *p)]) for p in _positions(A)]
        mean = sum(values) / len(values)
        deviation = math.sqrt(sum((v - mean) ** 2 for v in values) / len(values))
        for p in _positions(A):
            if float(A[(c, *p)]) > mean + sigmas * deviation:
                L[p] += mean
    for p in _positions(A):
        L[p] = max(0.0, L[p])
    return L


def shapley_cam(A, G, j, model):
    """Cai 2025: w_c = 1/Z sum_ij (dy/dA - 1/2 H A), by the whole matrix H of second derivatives."""
    H = torch.autograd.functional.hessian(model.tail, torch.from_numpy(A.copy())).numpy()
    Z = len(_positions(A))
    w = []
    for c in range(A.shape[0]):
        total = 0.0
        for p in _positions(A):
            total += float(G[(c, *p)])
            for at in np.ndindex(*A.shape):
                total -= 0.5 * float(H[(c, *p, *at)]) * float(A[at])
        w.append(total / Z)
    return _weighed(w, A)


SIMPLE = {
    "eigen-cam": eigen_cam,
    "eigen-grad-cam": eigen_grad_cam,
    "element-wise-grad-cam": element_wise_grad_cam,
    "fem": fem,
    "grad-cam-plus-plus": grad_cam_plus_plus,
    "kpca-cam": kpca_cam,
    "xgrad-cam": xgrad_cam,
}
WITH_MODEL = {"cam": cam, "shapley-cam": shapley_cam, "smooth-grad-cam-plus-plus": smooth_grad_cam_plus_plus}
CAM_REPLICAS = {**SIMPLE, **WITH_MODEL}
