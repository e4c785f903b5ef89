"""Which hosts are this machine."""

import pytest

from agent_runtime_nb._base.loopback import is_loopback


@pytest.mark.parametrize("host", ["127.0.0.1", "127.1.2.3", "localhost", "::1"])
def test_loopback_addresses_are_this_machine(host: str):
    assert is_loopback(host)


@pytest.mark.parametrize(
    "host",
    ["0.0.0.0", "::", "192.0.2.1", "example.org", "localhost.example.org", ""],  # noqa: S104 - refused
)
def test_other_hosts_are_not(host: str):
    assert not is_loopback(host)
