"""The pixel-level methods once more, in scalar loops and float64, on a net that runs forward and back by hand.

A replica takes a net, an image (c, *s), the weights that the target gives each class score, and options of its own; it
returns the map (*s) before the ReLU that all methods share. It shares no code with seewhy, and none with a framework.
"""

from itertools import product

import numpy as np


def _all(shape):
    return product(*(range(length) for length in shape))


# ---- a net -----------------------------------------------------------------------------------------------


def _conv(x, W, b):
    kernel = W.shape[2:]
    y = np.zeros((W.shape[0], *(length - side + 1 for length, side in zip(x.shape[1:], kernel, strict=True))))
    for o, *p in _all(y.shape):
        y[(o, *p)] = b[o]
        for c, *q in _all(W.shape[1:]):
            y[(o, *p)] += W[(o, c, *q)] * x[(c, *(i + k for i, k in zip(p, q, strict=True)))]
    return y


def _conv_back(g, x, W, b):
    back = np.zeros(x.shape)
    for o, *p in _all(g.shape):
        for c, *q in _all(W.shape[1:]):
            back[(c, *(i + k for i, k in zip(p, q, strict=True)))] += W[(o, c, *q)] * g[(o, *p)]
    return back


def _norm(x, gain, shift, mean, deviation):
    y = np.zeros(x.shape)
    for c, *p in _all(x.shape):
        y[(c, *p)] = gain[c] * (x[(c, *p)] - mean[c]) / deviation[c] + shift[c]
    return y


def _norm_back(g, x, gain, shift, mean, deviation):
    back = np.zeros(x.shape)
    for c, *p in _all(x.shape):
        back[(c, *p)] = g[(c, *p)] * gain[c] / deviation[c]
    return back


def _dense(x, W, b):
    y = np.zeros(len(W))
    for o in range(len(W)):
        y[o] = b[o]
        for i, p in enumerate(_all(x.shape)):
            y[o] += W[o, i] * x[p]
    return y


def _dense_back(g, x, W, b):
    back = np.zeros(x.shape)
    for i, p in enumerate(_all(x.shape)):
        for o in range(len(W)):
            back[p] += W[o, i] * g[o]
    return back


def _relu(x):
    y = np.zeros(x.shape)
    for p in _all(x.shape):
        y[p] = max(0.0, x[p])
    return y


def _relu_back(g, x, guided):
    back = np.zeros(g.shape)
    for p in _all(g.shape):
        if x[p] > 0 and (g[p] > 0 or not guided):
            back[p] = g[p]
    return back


FORWARD = {"conv": _conv, "norm": _norm, "dense": _dense, "relu": _relu}
BACK = {"conv": _conv_back, "norm": _norm_back, "dense": _dense_back}


def run(net, x):
    """A net is a list of (kind, *numbers): what goes into each of them, and the class scores at the end."""
    values = [x]
    for kind, *numbers in net:
        values.append(FORWARD[kind](values[-1], *numbers))
    return values


def back(net, x, weights, guided=False):
    """The score's gradient at each of the values that `run` returns."""
    values = run(net, x)
    slopes = [np.asarray(weights, float)]
    for (kind, *numbers), value in zip(reversed(net), reversed(values[:-1]), strict=True):
        g = slopes[0]
        slopes.insert(0, _relu_back(g, value, guided) if kind == "relu" else BACK[kind](g, value, *numbers))
    return slopes


# ---- maps ------------------------------------------------------------------------------------------------


def _largest(G):
    M = np.zeros(G.shape[1:])
    for c, *p in _all(G.shape):
        M[tuple(p)] = max(M[tuple(p)], abs(G[(c, *p)]))
    return M


def _lay(M, size):
    """Bilinear, half-pixel centres, the outermost values held to the border: from the two nearest along each axis."""
    laid = np.zeros(size)
    for p in _all(size):
        near = []
        for i, length, cells in zip(p, size, M.shape, strict=True):
            place = min(max((i + 0.5) / length * cells - 0.5, 0.0), cells - 1.0)
            low = min(int(place), max(cells - 2, 0))
            near.append([(low, 1 - (place - low)), (min(low + 1, cells - 1), place - low)])
        for corner in product(*near):
            share = 1.0
            for _, part in corner:
                share *= part
            laid[p] += share * M[tuple(cell for cell, _ in corner)]
    return laid


def gradient(net, x, weights):
    """Simonyan et al. 2014, section 3.1: M_ij = max_c |w_h(i,j,c)|."""
    return _largest(back(net, x, weights)[0])


def input_x_gradient(net, x, weights):
    """Shrikumar et al. 2016: x times its gradient, added up over the channels."""
    G = back(net, x, weights)[0]
    M = np.zeros(x.shape[1:])
    for c, *p in _all(x.shape):
        M[tuple(p)] += x[(c, *p)] * G[(c, *p)]
    return M


def guided_backprop(net, x, weights):
    """Springenberg et al. 2015, fig. 1c, on the way back through every ReLU."""
    return _largest(back(net, x, weights, guided=True)[0])


def guided_grad_cam(net, x, weights, layer):
    """Selvaraju et al. 2017: Grad-CAM of what comes out of the layer, upsampled, times guided backpropagation."""
    A, G = run(net, x)[layer + 1], back(net, x, weights)[layer + 1]
    L = np.zeros(A.shape[1:])
    for c in range(len(A)):
        total, Z = 0.0, 0
        for p in _all(A.shape[1:]):
            total += G[(c, *p)]
            Z += 1
        for p in _all(A.shape[1:]):
            L[p] += total / Z * A[(c, *p)]
    M, fine = _lay(_relu(L), x.shape[1:]), guided_backprop(net, x, weights)
    for p in _all(M.shape):
        M[p] *= fine[p]
    return M


def smooth_grad(net, x, weights, samples, noise, seed):
    """Smilkov et al. 2017: the mean gradient of x + N(0, sigma^2), with sigma a share of the image's range."""
    sigma = noise * (max(x[p] for p in _all(x.shape)) - min(x[p] for p in _all(x.shape)))
    mean = np.zeros(x.shape)
    for t in range(samples):
        drawn = np.random.default_rng((seed, t)).standard_normal(x.shape, np.float32)
        noisy = np.zeros(x.shape)
        for p in _all(x.shape):
            noisy[p] = x[p] + sigma * float(drawn[p])
        G = back(net, noisy, weights)[0]
        for p in _all(x.shape):
            mean[p] += G[p] / samples
    return _largest(mean)


def integrated_gradients(net, x, weights, steps, baseline=0.0):
    """Sundararajan et al. 2017, eq. 1; the points are the roots of Legendre's polynomial, found by Newton's steps."""
    total = np.zeros(x.shape)
    for t in range(steps):
        u = np.cos(np.pi * (t + 0.75) / (steps + 0.5))
        for _ in range(50):
            before, value = 1.0, u
            for i in range(2, steps + 1):
                before, value = value, ((2 * i - 1) * u * value - (i - 1) * before) / i
            slope = steps * (u * value - before) / (u * u - 1)
            u -= value / slope
        weight = 2 / ((1 - u * u) * slope * slope)
        between = np.zeros(x.shape)
        for p in _all(x.shape):
            between[p] = baseline + (u + 1) / 2 * (x[p] - baseline)
        G = back(net, between, weights)[0]
        for p in _all(x.shape):
            total[p] += weight / 2 * G[p]
    M = np.zeros(x.shape[1:])
    for c, *p in _all(x.shape):
        M[tuple(p)] += (x[(c, *p)] - baseline) * total[(c, *p)]
    return M


def full_grad(net, x, weights):
    """Srinivas and Fleuret 2019: the input and each layer's bias times their gradients, each laid on the input."""
    slopes = back(net, x, weights)
    terms = [x * slopes[0]]
    for (kind, *numbers), G in zip(net, slopes[1:], strict=True):
        if kind not in ("conv", "norm"):
            continue
        term = np.zeros(G.shape)
        for c, *p in _all(G.shape):
            if kind == "conv":
                b = numbers[1][c]
            else:
                gain, shift, mean, deviation = numbers
                b = shift[c] - mean[c] * gain[c] / deviation[c]
            term[(c, *p)] = b * G[(c, *p)]
        terms.append(term)
    M = np.zeros(x.shape[1:])
    for term in terms:
        size = [abs(term[p]) for p in _all(term.shape)]
        low, high = min(size), max(size)
        for c in range(len(term)):
            scaled = np.zeros(term.shape[1:])
            for p in _all(scaled.shape):
                scaled[p] = (abs(term[(c, *p)]) - low) / (high - low) if high > low else 0.0
            M += _lay(scaled, x.shape[1:])
    return M


PIXELS = {
    "full-grad": full_grad,
    "gradient": gradient,
    "guided-backprop": guided_backprop,
    "guided-grad-cam": guided_grad_cam,
    "input-x-gradient": input_x_gradient,
    "integrated-gradients": integrated_gradients,
    "smooth-grad": smooth_grad,
}
