"""A copy of a PyTorch model whose weights are drawn anew from the top down."""

from copy import deepcopy
from itertools import chain

import torch
from torch import Tensor, nn

from seewhy.adapters._shuffle import orders, topmost
from seewhy.errors import InputError


def randomised(net: nn.Module, share: float, seed: int) -> nn.Module:
    """A copy of the model with the weights of its last layers shuffled; the model itself is not touched.

    Layers are the modules that hold parameters or running statistics of their own, in the order in which they are
    registered. Each of their floating arrays is permuted within itself, and so keeps its values, mean and deviation and
    loses what it has learnt: kernels, biases, and the gains, shifts and running statistics of norms too. A parameter
    that several layers share is shuffled once, with the last of them.
    """
    try:
        with torch.inference_mode(False):
            copy = deepcopy(net)
    except Exception as error:  # whatever a module keeps beside its parameters may be what cannot be copied
        raise InputError(
            f"the model cannot be copied, and its weights are drawn anew in a copy only: {error}; "
            "see that copy.deepcopy(model) works, such as by removing hooks and outputs that modules keep"
        ) from error
    layers = [module for module in copy.modules() if _arrays(module)]
    arrays = list({id(a): a for layer in topmost(layers, share) for a in _arrays(layer)}.values())
    with torch.inference_mode(False), torch.no_grad():
        for array, order in zip(arrays, orders([array.numel() for array in arrays], seed), strict=True):
            array.copy_(array.flatten()[torch.from_numpy(order).to(array.device)].reshape(array.shape))
    return copy


def _arrays(module: nn.Module) -> list[Tensor]:
    own = chain(module.named_parameters(recurse=False), _statistics(module))
    return [array for _, array in own if array.is_floating_point()]


def _statistics(module: nn.Module) -> list[tuple[str, Tensor]]:
    """What a norm has learnt of its inputs. Other buffers, such as tables of positions, are no weights."""
    return [(name, array) for name, array in module.named_buffers(recurse=False) if name.startswith("running_")]
