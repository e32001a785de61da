"""What kind of answer a client wants, read from its Accept header."""

from collections.abc import Sequence

from seewhy.serve._refusals import Refusal

JSON, PNG, JPEG = "application/json", "image/png", "image/jpeg"
KINDS = (JSON, PNG, JPEG)


def wanted(accept: str | None, known: Sequence[str] = KINDS) -> str:
    """The kind of answer that is wanted most; of equals the first that the client names, JSON where it does not care.

    Raises Refusal where none of those that are known is accepted.

    >>> wanted("image/png"), wanted("image/*;q=0.5, application/json;q=0.4"), wanted("*/*"), wanted(None)
    ('image/png', 'image/png', 'application/json', 'application/json')
    """
    best, chosen = 0.0, None
    for part in (accept or "*/*").split(","):
        kind, *parameters = (piece.strip().lower() for piece in part.split(";"))
        found = next((one for one in known if _matches(one, kind)), None)
        weight = _weight(parameters)
        if found is not None and weight > best:
            best, chosen = weight, found
    if chosen is None:
        raise Refusal(406, f"this can be answered as {' or '.join(known)}, and the request accepts none of them")
    return chosen


def _matches(known: str, kind: str) -> bool:
    return kind in (known, "*/*", f"{known.partition('/')[0]}/*")


def _weight(parameters: Sequence[str]) -> float:
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name.strip() == "q":
            try:
                return min(1.0, float(value))
            except ValueError:
                return 0.0
    return 1.0
