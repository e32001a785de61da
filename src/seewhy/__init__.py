"""seewhy shows where a vision model looked.

    import seewhy
    explanation = seewhy.explain(model, "elephant.jpg", preprocess="imagenet")
    print(explanation.describe())
    explanation.save("elephant_cam.jpg")

No deep-learning framework is imported before a model of it is explained or loaded.
"""

from seewhy import catalog as _catalog
from seewhy import evaluate as _evaluate_package  # noqa: F401  imported first: the functions below take these names
from seewhy import export as _export_package  # noqa: F401
from seewhy import methods as _methods_package  # noqa: F401
from seewhy import metrics as _metrics_package  # noqa: F401
from seewhy import targets as _targets_package  # noqa: F401
from seewhy.compare import compare
from seewhy.errors import SeewhyError, SeewhyWarning
from seewhy.evaluate.check import Check, check
from seewhy.evaluate.run import evaluate
from seewhy.evaluate.table import Table, open_table
from seewhy.explain import Explainer, explain, layers
from seewhy.explanation import Explanation
from seewhy.explanations import Explanations
from seewhy.export.run import export
from seewhy.look import Look
from seewhy.models import load
from seewhy.opening import open
from seewhy.preprocess import Preprocess
from seewhy.targets.class_difference import class_difference
from seewhy.targets.finer import finer
from seewhy.targets.negative import negative
from seewhy.targets.region import region
from seewhy.targets.top import top
from seewhy.types import LayerInfo, Prediction
from seewhy.vision_model import VisionModel

__version__ = "0.1.0"
__all__ = [
    "Check",
    "Explainer",
    "Explanation",
    "Explanations",
    "LayerInfo",
    "Look",
    "Prediction",
    "Preprocess",
    "SeewhyError",
    "SeewhyWarning",
    "Table",
    "VisionModel",
    "__version__",
    "check",
    "class_difference",
    "compare",
    "evaluate",
    "explain",
    "export",
    "finer",
    "layers",
    "load",
    "methods",
    "metrics",
    "negative",
    "open",
    "open_table",
    "region",
    "targets",
    "top",
]


def methods() -> dict[str, str]:
    """The methods that can be asked for by name, with one line each.

    >>> methods()["random-cam"]
    'Each channel weighed by chance, the same for every photo: a control that knows nothing of the target.'
    """
    return {name: _catalog.summary("methods", name) for name in _catalog.names("methods")}


def targets() -> dict[str, str]:
    """The targets that can be asked for, with one line each.

    >>> list(targets())
    ['class-difference', 'class-score', 'finer', 'negative', 'region', 'top']
    """
    return {name: _catalog.summary("targets", name) for name in _catalog.names("targets")}


def metrics() -> dict[str, str]:
    """The metrics that can be measured, with one line each.

    >>> metrics()["average-drop"]
    "How much of the class's probability is lost where only the highlighted part of the photo is seen."
    """
    return {name: _catalog.summary("metrics", name) for name in _catalog.names("metrics")}
