"""How much a test tries: one setting for all of them, Hypothesis's profile.

`pytest --hypothesis-profile=NAME` chooses it: "quick" for `make quick`, "long" for
`make test-long`, else "default". A test that tries more in the long form has the marker
`scales`, by which `make test-long` finds it.
"""

from typing import Any

from hypothesis import settings

for _name in ("quick", "long"):
    settings.register_profile(_name)


def amount(usual: int, *, quick: int, long: int) -> int:
    """So many examples, seeds or kills under the profile of this run."""
    name: Any = settings.get_current_profile_name()
    return {"quick": quick, "long": long}.get(name, usual)
