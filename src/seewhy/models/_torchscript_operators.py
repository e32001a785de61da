"""Private: the instructions of TorchScript as functions of Python."""

import operator
from collections.abc import Callable, Sequence
from typing import Any

import torch


class Unsupported(Exception):
    """An instruction that is not known here."""


def operator_of(node: Any) -> Callable[..., Any]:
    """The operator of torch that a node calls, taking its inputs in the order of the schema."""
    namespace, _, rest = node.schema().partition("(")[0].partition("::")
    name, _, overload = rest.partition(".")
    try:
        found: Any = getattr(getattr(getattr(torch.ops, namespace), name), overload or "default")
    except (AttributeError, RuntimeError) as error:
        raise Unsupported(node.kind()) from error
    by_name = [argument.name if argument.kwarg_only else None for argument in found._schema.arguments]
    first = next((i for i, keyword in enumerate(by_name) if keyword), len(by_name))
    if first == len(by_name):
        return found  # type: ignore[no-any-return]
    keywords: Sequence[Any] = by_name[first:]
    return lambda *args: found(*args[:first], **dict(zip(keywords, args[first:], strict=False)))


def _raise(message: Any, *_: Any) -> None:
    raise RuntimeError(f"the scripted model raised: {message}")


def _set_item(items: Any, key: Any, value: Any) -> Any:
    items[key] = value
    return items


def _then(change: Callable[..., Any]) -> Callable[..., Any]:
    """A list's own method, as an operator that returns the list: operators of torch would change a copy."""

    def changed(items: Any, *args: Any) -> Any:
        change(items, *args)
        return items

    return changed


def _unchanged(value: Any, *_: Any) -> Any:
    return value


def _number(value: Any) -> Any:
    return value.detach() if isinstance(value, torch.Tensor) else value


def _nothing(*_: Any) -> None:
    return None


PLAIN: dict[str, Callable[..., Any]] = {
    # what works on Python's own values, by kind or by kind and overload
    "prim::ListConstruct": lambda *items: list(items),
    "prim::TupleConstruct": lambda *items: items,
    "prim::DictConstruct": lambda *pairs: dict(zip(pairs[::2], pairs[1::2], strict=True)),
    "prim::ListUnpack": _unchanged,
    "prim::TupleUnpack": _unchanged,
    "prim::TupleIndex": operator.getitem,
    "prim::CallFunction": lambda function, *args: function(*args),
    "prim::RaiseException": _raise,
    "prim::Uninitialized": _nothing,
    "prim::unchecked_cast": _unchanged,
    "prim::unchecked_unwrap_optional": _unchanged,
    "prim::NumToTensor": torch.tensor,
    "prim::Print": _nothing,
    "prim::device": lambda tensor: tensor.device,
    "prim::dtype": lambda tensor: tensor.dtype,
    "prim::layout": lambda tensor: tensor.layout,
    "prim::data": lambda tensor: tensor.detach(),
    "prim::is_cuda": lambda tensor: tensor.is_cuda,
    "prim::requires_grad": lambda tensor: tensor.requires_grad,
    "prim::min": min,
    "prim::max": max,
    "aten::__is__": operator.is_,
    "aten::__isnot__": operator.is_not,
    "aten::__not__": operator.not_,
    "aten::__contains__": operator.contains,
    "aten::__getitem__": operator.getitem,
    "aten::_set_item": _set_item,
    "aten::append": _then(list.append),
    "aten::extend": _then(list.extend),
    "aten::insert": _then(list.insert),
    "aten::clear": lambda items: items.clear(),
    "aten::pop": lambda items, *args: items.pop(*args),
    "aten::reverse": lambda items: items.reverse(),
    "aten::keys": lambda items: list(items.keys()),
    "aten::values": lambda items: list(items.values()),
    "aten::items": lambda items: list(items.items()),
    "aten::list": list,
    "aten::copy.t": list,
    "aten::add.t": operator.add,
    "aten::add_.t": _then(list.extend),
    "aten::mul.left_t": operator.mul,
    "aten::slice.t": lambda items, start, end, step: items[start:end:step],
    "aten::len": len,
    "aten::warn": _nothing,
    "aten::format": lambda template, *values: template.format(*values),
    "aten::Bool": lambda value: bool(_number(value)),
    "aten::Int": lambda value: int(_number(value)),
    "aten::Float": lambda value: float(_number(value)),
    "aten::str": str,
    "aten::dim": lambda tensor: tensor.dim(),
    "aten::is_grad_enabled": torch.is_grad_enabled,
}
