"""beartype as the tests use it: an int is welcome where a float is expected, as PEP 484 says.

While PyTorch traces a graph, a length may be a symbol: it stands for an int.
"""

import torch
from beartype import BeartypeConf, FrozenDict, beartype

typecheck = beartype(conf=BeartypeConf(is_pep484_tower=True, hint_overrides=FrozenDict({int: int | torch.SymInt})))
