"""What the model's thread does: images of many requests, explained together in one pass."""

import logging
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from seewhy.explain import Explainer
from seewhy.explanation import Explanation
from seewhy.inputs import Inputs
from seewhy.serve._asked import Row
from seewhy.serve._batching import GivenUp
from seewhy.serve._models import PREDICT, Models
from seewhy.serve._photos import Prepared
from seewhy.view import View

log = logging.getLogger("seewhy.serve")


@dataclass(frozen=True)
class Kind:
    """What images have in common that can be explained together."""

    model: str
    method: str
    """Or "predict"."""
    k: int
    shape: tuple[int, ...]
    ready: bool


@dataclass(frozen=True)
class Item:
    """One image and its targets."""

    image: Prepared
    row: Row


def kind_of(model: str, method: str, item: Item) -> Kind:
    return Kind(model, method, item.row.k, item.image.array.shape, item.image.ready)


def explain_together(models: Models, kind: Hashable, items: Sequence[Item]) -> list[Explanation | Exception]:
    """An explanation, or what went wrong, for each item. Where a batch fails each item is tried alone."""
    assert isinstance(kind, Kind)
    served = models[kind.model]
    predict = kind.method == PREDICT.name
    explainer = served.explainer() if predict else served.explainer(kind.method)
    try:
        found = _explain(explainer, PREDICT if predict else explainer.method, items)
        return [found[i] for i in range(len(items))]
    except GivenUp:
        raise
    except Exception as error:
        if len(items) == 1:
            return [error]
        log.warning("a batch failed and is tried one by one", extra={"photos": len(items), "error": repr(error)})
        return [one for item in items for one in explain_together(models, kind, [item])]


def _explain(explainer: Explainer, method: Any, items: Sequence[Item]) -> Explanation:
    arrays = np.stack([item.image.array for item in items])
    rows = [list(item.row.targets) for item in items]
    if items[0].image.ready:
        inputs = explainer.prepare(arrays)
    else:
        views = tuple(View(item.image.geometry, None) for item in items if item.image.geometry is not None)
        inputs = Inputs(explainer.adapter.place_photos(explainer.net, arrays), views, ready=False)
    [[found]] = explainer.ask_prepared(inputs, rows, [method])
    return found
