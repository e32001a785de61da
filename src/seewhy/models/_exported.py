"""Private: programs of torch.export (.pt2) as networks whose inner layers can be watched."""

import ast
import json
import logging
import re
import warnings
import zipfile
from collections.abc import Iterator
from typing import Any

from seewhy.errors import ModelError
from seewhy.models._nets import require, short
from seewhy.models._weights import TRUST, only_tensors


def read_exported(path: str, *, trust: bool) -> Any:
    """The exported program as nested modules under the names that they had.

    Raises ModelError where the file is damaged, of another version, exported in train mode, or holds what would run
    code when it is read.
    """
    torch: Any = require("torch", f"file:{path}", "torch")
    if not trust:
        _refuse_code(path)
    logger = logging.getLogger("torch.export")
    level = logger.level
    logger.setLevel(logging.CRITICAL)  # it logs a traceback, and raises as well
    try:
        # opened here: by name, only files called .pt2 are read without a complaint
        with only_tensors(trust), warnings.catch_warnings(), open(path, "rb") as file:
            warnings.filterwarnings("ignore", message="The given buffer is not writable")
            warnings.filterwarnings("ignore", category=FutureWarning)  # torch's own deprecations, in its own code
            program = torch.export.load(file)
            net = torch.export.unflatten(program)
    except Exception as error:  # whatever the deserialiser meets
        raise ModelError(
            f"{path} cannot be read by torch {torch.__version__} ({short(error) or type(error).__name__}): it is "
            "damaged, or was exported by another version; export it anew with torch.export.save"
        ) from error
    finally:
        logger.setLevel(level)
    if any(map(_trains, program.graph.nodes)):
        raise ModelError(f"{path} was exported in train mode, so that it changes itself with each photo: call "
                         "net.eval() and export it again")  # fmt: skip
    return net


def _trains(node: Any) -> bool:
    """Is this a batch norm or dropout in train mode?"""
    arguments = getattr(getattr(node.target, "_schema", None), "arguments", ())
    given = {a.name: value for a, value in zip(arguments, node.args, strict=False)} | node.kwargs
    return given.get("training") is True or given.get("train") is True


# torch.export's reader unpickles custom objects, takes any function of torch as a node's target, and hands expressions
# of sizes to sympy, which evaluates them as Python
_GRAPH = re.compile(r"(^|/)(models/[^/]+|serialized_exported_program)\.json$")
_OBJECT = re.compile(r"constants/(custom|opaque)_obj")
_TARGET = re.compile(r"torch\.ops\.|torch\._?sym_")
_NAMES = re.compile(r"[su]\d+|zuf?\d+")
_CALLS = re.compile(
    "Symbol|Integer|Float|Rational|Add|Mul|Pow|Mod|PythonMod|FloorDiv|CleanDiv|CeilDiv|ModularIndexing|Max|Min|Abs|Where|"
    "IntTrueDiv|FloatTrueDiv|FloatPow|PowByNatural|CeilToInt|FloorToInt|TruncToInt|RoundToInt|RoundDecimal|ToFloat|"
    "Identity|ceiling|floor|Equality|Unequality|GreaterThan|LessThan|StrictGreaterThan|StrictLessThan|Eq|Ne|Ge|Gt|Le|Lt|"
    "And|Or|Not|LShift|RShift"
)


def _refuse_code(path: str) -> None:
    """ModelError where reading the file would run what it holds."""
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
            graphs = [json.loads(archive.read(n)) for n in names if _GRAPH.search(n)]
    except (zipfile.BadZipFile, ValueError, OSError, RuntimeError, RecursionError) as error:
        raise ModelError(f"{path} is truncated or damaged: {short(error)}") from error
    objects = any(_OBJECT.search(name) for name in names)
    if objects or not all(_is_harmless(key, text) for graph in graphs for key, text in _texts(graph)):
        raise ModelError(f"{path} holds code or Python objects beside its graph, which reading it would run. {TRUST}")


def _texts(value: Any) -> Iterator[tuple[str, str]]:
    """All strings below `value`, each with the key that it stands under."""
    if isinstance(value, dict):
        for key, inner in value.items():
            if isinstance(inner, str):
                yield key, inner
            else:
                yield from _texts(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _texts(inner)


def _is_harmless(key: str, text: str) -> bool:
    if key == "target":
        return not text.startswith("torch") or _TARGET.match(text) is not None
    return key != "expr_str" or _is_arithmetic(text)


def _is_arithmetic(text: str) -> bool:
    """Is this arithmetic of sizes, as torch.export writes it, and nothing else?"""
    try:
        tree = ast.parse(text, mode="eval")
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            if not isinstance(node.func, ast.Name) or not _CALLS.fullmatch(node.func.id):
                return False
        elif isinstance(node, ast.Name):
            if (
                not _CALLS.fullmatch(node.id)
                and not _NAMES.fullmatch(node.id)
                and node.id not in ("true", "false", "oo")
            ):
                return False
        elif isinstance(node, ast.Constant):
            if isinstance(node.value, str) and not _NAMES.fullmatch(node.value):
                return False
        elif not isinstance(
            node, ast.Expression | ast.keyword | ast.Load | ast.BinOp | ast.UnaryOp | ast.operator | ast.unaryop
            | ast.Compare | ast.cmpop
        ):  # fmt: skip
            return False
    return True
