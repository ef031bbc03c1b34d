"""Headers of functions' answers ("Amazon API Gateway important notes": remapped, dropped, passed through)."""

import pytest

from fleet.gateway.responses import MalformedResponse, sent_headers

REMAPPED = ("Authorization", "Content-Length", "Content-MD5", "Date", "Max-Forwards", "Server", "User-Agent")
DROPPED = ("Connection", "Expect", "Host", "Keep-Alive", "Proxy-Authenticate", "TE", "Trailer", "Transfer-Encoding")
PASSED = (
    "Age",
    "Cache-Control",
    "Content-Encoding",
    "Content-Type",
    "ETag",
    "Location",
    "Pragma",
    "Set-Cookie",
    "Vary",
)


@pytest.mark.parametrize("name", [*REMAPPED, "WWW-Authenticate"])
def test_remapped(name: str):
    """`Remapped`: the name is changed to X-Amzn-Remapped-<string>."""
    assert (f"x-amzn-remapped-{name.lower()}".encode(), b"v") in sent_headers([(name, "v")])


@pytest.mark.parametrize("name", [*DROPPED, "Upgrade"])
def test_dropped(name: str):
    """The connection's own are not the function's business."""
    assert sent_headers([(name, "v")]) == [(b"content-type", b"application/json")]


@pytest.mark.parametrize("name", PASSED)
def test_passed_through(name: str):
    """In lower case, which HTTP does not tell apart."""
    assert (name.lower().encode(), b"v") in sent_headers([(name, "v")])


def test_every_answer_has_a_content_type():
    """API Gateway includes a Content-Type header for all integration responses: application/json by default."""
    assert sent_headers([]) == [(b"content-type", b"application/json")]
    assert sent_headers([("CONTENT-TYPE", "text/plain")]) == [(b"content-type", b"text/plain")]


def test_a_repeated_header_stays_repeated():
    """Multi-value headers."""
    assert sent_headers([("x", "1"), ("x", "2"), ("content-type", "a/b")])[:2] == [(b"x", b"1"), (b"x", b"2")]


@pytest.mark.parametrize(
    ("name", "value"),
    [("a b", "1"), ("", "1"), ("a", "1\r\nb: 2"), ("a", "\x00"), ("a", None), ("a", []), ("a:", "1")],
)
def test_what_http_cannot_carry_is_malformed(name: str, value: object):
    """Nothing that a function says may split an answer."""
    with pytest.raises(MalformedResponse):
        sent_headers([(name, value)])
