"""A model whose reasons are known: the class is given away by the colour of a mark in a corner, and by nothing else.

Squares of other colours, as large and as bright, lie between; a map that tells the truth lies on the mark.
"""

from functools import cache

import numpy as np
import torch
from torch import nn

SIDE, CELL, MARK = 32, 8, 6
COLOURS = np.asarray([[1, 0, 0], [0, 1, 0], [0, 0, 1]], np.float32)
"""Of the mark: one for each class."""
OTHERS = np.asarray([[1, 1, 0], [0, 1, 1], [1, 0, 1], [1, 1, 1]], np.float32)
CLASSES = ["red", "green", "blue"]


def images(n: int, seed: int) -> tuple[np.ndarray, np.ndarray, list[tuple[int, int, int, int]]]:
    """(n, 3, 32, 32) in [0, 1], the class of each, and the box of its mark: left, top, right, bottom."""
    draw = np.random.default_rng(seed)
    pictures = draw.uniform(0, 0.2, (n, 3, SIDE, SIDE)).astype(np.float32)
    classes, boxes = draw.integers(0, len(CLASSES), n), []
    last = SIDE // CELL - 1
    for picture, label in zip(pictures, classes, strict=True):
        corner = (draw.integers(0, 2) * last, draw.integers(0, 2) * last)
        left, top, right, bottom = _place(picture, corner, COLOURS[label])
        boxes.append((left, top, right, bottom))
        cells = [(row, column) for row in range(last + 1) for column in range(last + 1) if {row, column} & {1, 2}]
        for cell in draw.permutation(len(cells))[:4]:
            _place(picture, cells[cell], OTHERS[draw.integers(0, len(OTHERS))])
    return pictures, classes, boxes


def _place(picture: np.ndarray, cell: tuple[int, int], colour: np.ndarray) -> tuple[int, int, int, int]:
    top, left = (place * CELL + (CELL - MARK) // 2 for place in cell)
    picture[:, top : top + MARK, left : left + MARK] = colour[:, None, None]
    return left, top, left + MARK, top + MARK


@cache
def net() -> nn.Module:
    """The model, trained in seconds: the same each time."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # sums of another order would be another model, and so small a net is no faster on more
    try:
        return _trained()
    finally:
        torch.set_num_threads(threads)


def _trained() -> nn.Module:
    generator = torch.Generator().manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(8, 16, 3, padding=1), nn.ReLU(),
        nn.MaxPool2d(2), nn.Conv2d(16, 16, 3, padding=1), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
        nn.Linear(16, len(CLASSES)),
    )  # fmt: skip
    with torch.no_grad():
        for parameter in model.parameters():
            fan = parameter[0].numel() if parameter.ndim > 1 else 1
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * (2 / fan) ** 0.5 * (parameter.ndim > 1))
    pictures, classes, _ = images(1024, 1)
    inputs, labels = torch.from_numpy(pictures), torch.from_numpy(classes)
    optimiser = torch.optim.Adam(model.parameters(), 5e-3, weight_decay=1e-3)
    for _ in range(12):
        for rows in torch.randperm(len(inputs), generator=generator).split(64):
            optimiser.zero_grad()
            nn.functional.cross_entropy(model(inputs[rows]), labels[rows]).backward()
            optimiser.step()
    return model.eval()
