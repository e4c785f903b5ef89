"""How deeply a JSON text is nested, before it is read: that could exhaust the stack."""

import re

# A text as a whole, also one that does not end, or what opens or closes a level.
_TOKENS = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+(?:"|\\?\Z)|[\[{]|[\]}]', re.DOTALL)


def is_deeper(body: bytes, limit: int) -> bool:
    """Whether more than `limit` lists and objects are within each other."""
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
