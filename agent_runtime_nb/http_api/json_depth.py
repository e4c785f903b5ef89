"""Checks how deeply a JSON text is nested before it is parsed: that could exhaust the stack."""

import re

# A whole string, also one that does not end, or a bracket that opens or closes a level.
_TOKENS = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+(?:"|\\?\Z)|[\[{]|[\]}]', re.DOTALL)


def is_nested_deeper(body: bytes, limit: int) -> bool:
    """Whether lists and objects are nested more than `limit` levels deep."""
    if body.count(b"[") + body.count(b"{") <= limit:
        return False
    depth = 0
    for found in _TOKENS.finditer(body):
        first = body[found.start()]
        if first in b"[{":
            depth += 1
            if depth > limit:
                return True
        elif first in b"]}":
            depth -= 1
    return False
