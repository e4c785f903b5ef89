"""The headers of an HTTP request, for checks that must not be deceived by duplicates."""


class RequestHeaders:
    """Request headers by lower-case name; a header that is given twice has no value.

    Args:
        given: the headers of an ASGI scope: pairs of name and value.
    """

    def __init__(self, given: list[tuple[bytes, bytes]]) -> None:
        self._values = dict(given)
        self._duplicates = set[bytes]()
        if len(self._values) < len(given):
            names = [name for name, _ in given]
            self._duplicates = {name for name in names if names.count(name) > 1}

    def __contains__(self, name: bytes) -> bool:
        return name in self._values

    def only(self, name: bytes) -> bytes:
        """The value; empty if there is none or more than one."""
        return b"" if name in self._duplicates else self._values.get(name, b"")

    def text(self, name: bytes) -> str:
        """As `only`, case-folded text for comparisons."""
        value = self.only(name)
        return value.decode("latin-1").casefold() if value else ""
