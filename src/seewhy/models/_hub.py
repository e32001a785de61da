"""Private: the Hugging Face hub, without long waits where it cannot be reached."""

import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from seewhy.errors import ModelError
from seewhy.models._nets import require, short


@contextmanager
def hub(repo: str, spec: str, local: str) -> Iterator[None]:
    """Load from a repository of the hub; where it cannot be reached, from what is cached.

    The libraries ask again and again for a minute where there is no network; here one quick question comes first.
    Raises ModelError with the reason, and `local`, the way to load without the hub.
    """
    if not re.fullmatch(r"[\w.-]+(/[\w.-]+)?", repo):
        raise ModelError(f"{spec}: {repo!r} is neither a folder nor a repository of the Hugging Face hub (OWNER/NAME)")
    problem = _problem(repo, spec)
    try:
        with _only_cached(problem is not None):
            yield
    except OSError as error:
        reason = problem or short(error)
        raise ModelError(f"the weights of {spec} could not be downloaded from huggingface.co ({reason}): {local}"
                         ) from error  # fmt: skip


def _problem(repo: str, spec: str) -> str | None:
    """Why the hub cannot be reached, in a few words; None: it answers."""
    hub_library: Any = require("huggingface_hub", spec, "zoo")
    errors = hub_library.errors
    if hub_library.constants.HF_HUB_OFFLINE:
        return "HF_HUB_OFFLINE is set"
    try:
        hub_library.get_hf_file_metadata(hub_library.hf_hub_url(repo, "config.json"), timeout=10)
    except errors.GatedRepoError as error:
        raise ModelError(f"{spec}: its authors give access on request only: log in with hf auth login") from error
    except errors.RepositoryNotFoundError as error:
        raise ModelError(f"{spec}: the hub knows no repository {repo!r}, or it is private") from error
    except errors.EntryNotFoundError:
        return None  # the repository is there
    except Exception as error:  # the HTTP library's own classes, another one in each major version of the hub's client
        return short(error)
    return None


@contextmanager
def _only_cached(offline: bool) -> Iterator[None]:
    constants: Any = require("huggingface_hub", "the hub", "zoo").constants
    logger = logging.getLogger("huggingface_hub")
    before, level = constants.HF_HUB_OFFLINE, logger.level
    constants.HF_HUB_OFFLINE = before or offline
    if offline:
        logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        constants.HF_HUB_OFFLINE = before
        logger.setLevel(level)
