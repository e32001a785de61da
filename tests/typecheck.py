"""beartype as the tests use it: an int is welcome where a float is expected, as PEP 484 says."""

from beartype import BeartypeConf, beartype

typecheck = beartype(conf=BeartypeConf(is_pep484_tower=True))
