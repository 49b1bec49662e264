"""A JSON encoder that is built once: json.dumps and JSONEncoder.encode build one for every call.

A leaf beside errors.py, which every room may use. Only CPython's own accelerator is sped up;
where it is missing the standard encoder does the same.
"""

import json.encoder
from collections.abc import Callable
from typing import Any


def make_encoder(
    *, sort_keys: bool = False, default: Callable[[object], object] | None = None
) -> Callable[[Any], str]:
    """Encodes values compactly, in ASCII, and refuses NaN and infinities with ValueError.

    What JSON has no word for goes through `default`, or is a TypeError without one.
    """
    standard = json.JSONEncoder(
        separators=(",", ":"), sort_keys=sort_keys, default=default, allow_nan=False, check_circular=False
    )
    build: Any = getattr(json.encoder, "c_make_encoder", None)
    if build is None:
        return standard.encode
    quote = json.encoder.encode_basestring_ascii
    encode: Any = build(None, standard.default, quote, None, ":", ",", sort_keys, False, False)
    join = "".join

    def encoded(value: Any) -> str:
        return join(encode(value, 0))

    return encoded
