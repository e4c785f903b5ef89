"""Request headers: a header that is given twice has no value."""

from agent_runtime_nb._base.request_headers import RequestHeaders

HEADERS = RequestHeaders(
    [(b"host", b"Example.ORG"), (b"origin", b"https://a"), (b"origin", b"https://a")]
)


def test_a_header_that_is_given_once_has_its_value():
    assert HEADERS.only(b"host") == b"Example.ORG"
    assert HEADERS.text(b"host") == "example.org"


def test_a_header_that_is_given_twice_is_present_without_a_value():
    assert b"origin" in HEADERS
    assert HEADERS.only(b"origin") == b""
    assert HEADERS.text(b"origin") == ""


def test_a_header_that_is_missing_is_empty():
    assert b"accept" not in HEADERS
    assert (HEADERS.only(b"accept"), HEADERS.text(b"accept")) == (b"", "")
