"""Private: TorchScript as ordinary modules.

Inside a ScriptModule no Python runs, so a hook on an inner layer never fires. Here every submodule of the script
becomes a torch.nn.Module of the same name, which runs its part of the graph operator by operator and calls its children
as modules do. A frozen script has no submodules left: there each operator becomes one.

All of PyTorch's private interface to TorchScript that seewhy uses is in this file and `_torchscript_operators.py`.
"""

import re
import warnings
from collections import defaultdict
from collections.abc import Callable
from typing import Any, TypeAlias

import torch

from seewhy.errors import ModelError
from seewhy.models._nets import short
from seewhy.models._torchscript_operators import PLAIN, Unsupported, operator_of

Values: TypeAlias = dict[str, Any]
"""What each value of a graph is while the graph runs."""
Step: TypeAlias = Callable[[Values], None]


def read_torchscript(path: str) -> torch.nn.Module:
    """The script in a file as modules; ModelError where it is damaged or does what cannot be run from Python."""
    try:
        unit = torch._C.CompilationUnit()
        script = torch._C.import_ir_module(unit, path, torch.device("cpu"), {}, False)  # type: ignore[call-arg]
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", category=DeprecationWarning)  # TorchScript itself is deprecated
            return _Reader(unit).module(torch.jit._recursive.wrap_cpp_module(script), root=True)
    except Unsupported as error:
        raise ModelError(
            f"{path} is TorchScript, and does {error}, which seewhy cannot run layer by layer: save the model with "
            "torch.export, or its weights alone and name the architecture (file:WEIGHTS@torchvision:NAME)"
        ) from error
    except (RuntimeError, AttributeError, ValueError) as error:
        raise ModelError(f"{path} is TorchScript that torch {torch.__version__} cannot read: {short(error)}") from error


class ScriptedModule(torch.nn.Module):
    """One module of a script: its parameters, its children, and its graphs as lists of steps."""

    def __init__(self) -> None:
        super().__init__()
        self.attributes: Values = {}
        self.methods: dict[str, _Graph] = {}

    def forward(self, *args: Any, _method: str = "forward", **kwargs: Any) -> Any:
        return self.methods[_method](self, *args, **kwargs)

    def attribute(self, name: str) -> Any:
        return self.attributes[name] if name in self.attributes else getattr(self, name)


class Operator(torch.nn.Module):
    """One operator of a script that has no modules left."""

    def __init__(self, function: Callable[..., Any]) -> None:
        super().__init__()
        self.function = function

    def forward(self, *args: Any) -> Any:
        return self.function(*args)


class _Graph:
    """A method or function: steps that fill in values, from the inputs to the outputs."""

    def __init__(self, inputs: list[str], defaults: Values, steps: list[Step], outputs: list[str]) -> None:
        self.inputs, self.defaults, self.steps, self.outputs = inputs, defaults, steps, outputs

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        names = [name.partition(".")[0] for name in self.inputs]
        values = dict(zip(self.inputs, args, strict=False))
        for unique, name in list(zip(self.inputs, names, strict=True))[len(args) :]:
            if name in kwargs:
                values[unique] = kwargs.pop(name)
            elif name in self.defaults:
                values[unique] = self.defaults[name]
            else:
                raise TypeError(f"missing the input {name!r}")
        if kwargs or len(args) > len(self.inputs):
            raise TypeError(f"expected the inputs {names[1:]}, got {len(args) - 1} and {list(kwargs)}")
        for step in self.steps:
            step(values)
        found = [values[name] for name in self.outputs]
        return found[0] if len(found) == 1 else tuple(found)


class _Reader:
    """Turns the graphs of one compilation unit into steps."""

    def __init__(self, unit: Any) -> None:
        self.unit = unit
        self.functions: dict[str, _Graph] = {}
        # the module whose methods are read, and what it is called in their graphs; None in a free function
        self.owner: ScriptedModule | None = None
        self.this = ""
        self.flat = False
        self.counts: defaultdict[str, int] = defaultdict(int)

    def module(self, script: Any, root: bool = False) -> ScriptedModule:
        # the class has the name of the original, so that a listing of layers says Conv2d
        made: ScriptedModule = type(script.original_name, (ScriptedModule,), {})()
        for name, parameter in script.named_parameters(recurse=False):
            made.register_parameter(name, torch.nn.Parameter(parameter.detach(), parameter.requires_grad))
        for name, buffer in script.named_buffers(recurse=False):
            made.register_buffer(name, buffer)
        for name, child in script.named_children():
            made.add_module(name, self.module(child))
        self.owner, self.flat = made, root and not made._modules
        for name in script._c._method_names():
            method = script._c._get_method(name)
            self._attributes(made, script, method.graph)
            self.this = next(method.graph.inputs()).debugName()
            made.methods[name] = self.graph(method.graph, method.schema)
        return made

    def _attributes(self, made: ScriptedModule, script: Any, graph: Any) -> None:
        """Plain values that the graph reads from its module: flags, sizes, None in place of a bias."""
        for node in graph.findAllNodes("prim::GetAttr"):
            name = node.s("name")
            owned = name in made._parameters or name in made._buffers or name in made._modules or name == "training"
            if not owned and name not in made.attributes and script._c.hasattr(name):
                made.attributes[name] = getattr(script, name)

    def graph(self, graph: Any, schema: Any = None) -> _Graph:
        defaults = {a.name: a.default_value for a in schema.arguments if a.has_default_value()} if schema else {}
        steps, outputs = self.block(graph)
        return _Graph([value.debugName() for value in graph.inputs()], defaults, steps, outputs)

    def block(self, block: Any) -> tuple[list[Step], list[str]]:
        return [self.step(node) for node in block.nodes()], [value.debugName() for value in block.outputs()]

    def step(self, node: Any) -> Step:
        kind = node.kind()
        inputs = [value.debugName() for value in node.inputs()]
        outputs = [value.debugName() for value in node.outputs()]
        if kind == "prim::Constant":
            return self._constant(node, outputs[0])
        if kind == "prim::If":
            return self._if(node, inputs[0], outputs)
        if kind == "prim::Loop":
            return self._loop(node, inputs, outputs)
        function = _special(node, kind)
        if function is None:
            function = operator_of(node)
            if self.flat and self.owner is not None and _gives_tensor(node):
                name = self._add_layer(self.owner, kind, function)
                function, inputs = _running(name), [self.this, *inputs]
        many = len(outputs) > 1 or kind.endswith("Unpack")
        return _many(function, inputs, outputs) if many else _one(function, inputs, outputs)

    def _add_layer(self, owner: ScriptedModule, kind: str, function: Callable[..., Any]) -> str:
        base = kind.partition("::")[2].strip("_")
        name = f"{base}_{self.counts[base]}"
        self.counts[base] += 1
        owner.add_module(name, type(base, (Operator,), {})(function))
        return name

    def _constant(self, node: Any, output: str) -> Step:
        value: Any = None
        if node.output().type().kind() == "FunctionType":
            value = self._called(str(node.output().type()))
        elif node.hasAttributes():
            value = node.output().toIValue()
        if isinstance(value, torch.Tensor) and self.owner is not None:
            # as a buffer it follows the module to its device
            name, owner = f"constant_{output.replace('.', '_')}", self.this
            self.owner.register_buffer(name, value, persistent=False)

            def tensor(values: Values) -> None:
                values[output] = values[owner].get_buffer(name)

            return tensor

        def step(values: Values) -> None:
            values[output] = value

        return step

    def _called(self, name: str) -> "_Graph":
        if name not in self.functions:
            within = self.owner, self.flat
            self.owner, self.flat = None, False
            self.functions[name] = self.graph(self.unit.find_function(name).graph)
            self.owner, self.flat = within
        return self.functions[name]

    def _if(self, node: Any, condition: str, outputs: list[str]) -> Step:
        yes, no = (self.block(block) for block in node.blocks())

        def step(values: Values) -> None:
            steps, results = yes if values[condition] else no
            for inner in steps:
                inner(values)
            for output, result in zip(outputs, results, strict=True):
                values[output] = values[result]

        return step

    def _loop(self, node: Any, inputs: list[str], outputs: list[str]) -> Step:
        (body,) = node.blocks()
        steps, results = self.block(body)
        index, *carried = (value.debugName() for value in body.inputs())
        most, condition, *starts = inputs

        def step(values: Values) -> None:
            state, go, i = [values[start] for start in starts], values[condition], 0
            while go and i < values[most]:
                values[index] = i
                values.update(zip(carried, state, strict=True))
                for inner in steps:
                    inner(values)
                go, *state = (values[result] for result in results)
                i += 1
            values.update(zip(outputs, state, strict=True))

        return step


def _special(node: Any, kind: str) -> Callable[..., Any] | None:
    """What is done for instructions that are no operators of torch; None: it is one."""
    if kind == "prim::GetAttr":
        return _getting(node.s("name"))
    if kind == "prim::SetAttr":
        return _setting(node.s("name"))
    if kind == "prim::CallMethod":
        return _calling(node.s("name"))
    overload: str = node.schema().partition("(")[0]
    return PLAIN.get(kind) or PLAIN.get(overload)


def _gives_tensor(node: Any) -> bool:
    return any(value.type().kind() == "TensorType" for value in node.outputs())


def _running(name: str) -> Callable[..., Any]:
    return lambda module, *args: module.get_submodule(name)(*args)


def _one(function: Callable[..., Any], inputs: list[str], outputs: list[str]) -> Step:
    def step(values: Values) -> None:
        result = function(*[values[name] for name in inputs])
        if outputs:
            values[outputs[0]] = result

    return step


def _many(function: Callable[..., Any], inputs: list[str], outputs: list[str]) -> Step:
    def step(values: Values) -> None:
        values.update(zip(outputs, function(*[values[name] for name in inputs]), strict=True))

    return step


def _getting(name: str) -> Callable[[Any], Any]:
    return lambda module: module.attribute(name) if isinstance(module, ScriptedModule) else getattr(module, name)


def _setting(name: str) -> Callable[[Any, Any], None]:
    def set_attribute(module: Any, value: Any) -> None:
        if isinstance(module, ScriptedModule) and name in module.attributes:
            module.attributes[name] = value
        else:
            setattr(module, name, value)

    return set_attribute


def _calling(name: str) -> Callable[..., Any]:
    def call(module: ScriptedModule, *args: Any) -> Any:
        return module.methods[name](module, *args)

    def call_with_hooks(module: ScriptedModule, *args: Any) -> Any:
        return module(*args, _method=name)

    # tracing calls the second run of a module forward1, and so on
    return call_with_hooks if re.fullmatch(r"forward\d*", name) else call
