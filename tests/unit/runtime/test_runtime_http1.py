"""HTTP/1.1 responses from bytes in any portions."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workers.runtime.errors import MalformedResponse
from workers.runtime.http1 import MAX_HEAD_BYTES, Response, ResponseParser

NEXT = (
    b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nLambda-Runtime-Aws-Request-Id:  8476a536 \r\n"
    b"Lambda-Runtime-Client-Context:\r\nTransfer-Encoding: chunked\r\n\r\n"
    b'6;ext=1\r\n{"a":1\r\n1\r\n}\r\n0\r\nTrailer: x\r\n\r\n'
)
ACCEPTED = b'HTTP/1.1 202 Accepted\r\nContent-Length: 15\r\n\r\n{"status":"OK"}'
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
EMPTY = b"HTTP/1.1 204 No Content\r\nContent-Length: 7\r\n\r\n"
GONE = b"HTTP/1.1 410 Gone\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"


def feed_in_portions(data: bytes, cuts: list[int]) -> list[Response]:
    """Return what a parser makes of `data`, cut at these places."""
    parser = ResponseParser()
    places = [0, *sorted(cut % (len(data) + 1) for cut in cuts), len(data)]
    return [r for a, b in pairwise(places) for r in parser.feed(data[a:b])]


bodies = st.binary(max_size=300)


@st.composite
def responses(draw: st.DrawFn) -> tuple[bytes, Response]:
    """Draw a response as bytes, and as it should be read."""
    status = draw(st.sampled_from([200, 202, 400, 413, 500]))
    value = draw(st.text(st.characters(min_codepoint=33, max_codepoint=126), max_size=200))
    body = draw(bodies)
    head = f"HTTP/1.1 {status} Reason\r\nX-Value: {value}\r\n".encode()
    if draw(st.booleans()):
        size = draw(st.integers(1, 50))
        parts = [body[i : i + size] for i in range(0, len(body), size)]
        chunks = b"".join(b"%X\r\n%b\r\n" % (len(part), part) for part in parts)
        data = head + b"Transfer-Encoding: Chunked\r\n\r\n" + chunks + b"0\r\n\r\n"
        framing = {"transfer-encoding": "Chunked"}
    else:
        data = head + b"Content-Length: %d\r\n\r\n%b" % (len(body), body)
        framing = {"content-length": str(len(body))}
    return data, Response(status, {"x-value": value, **framing}, body, keep_alive=True)


@given(st.lists(responses(), min_size=1, max_size=4), st.lists(st.integers(0, 5000), max_size=30))
def test_any_split_of_the_bytes_gives_the_same_responses(stream: list[tuple[bytes, Response]], cuts: list[int]) -> None:
    """However TCP cuts a stream of responses, the parser gives back exactly those."""
    data = b"".join(data for data, _ in stream)
    assert feed_in_portions(data, cuts) == [response for _, response in stream]


def test_byte_by_byte() -> None:
    """A stream with chunks, extensions, trailers, interim and empty responses survives the finest split."""
    data = NEXT + CONTINUE + ACCEPTED + EMPTY
    one, two, three = feed_in_portions(data, list(range(len(data))))
    assert one.body == b'{"a":1}'
    assert one.headers["lambda-runtime-aws-request-id"] == "8476a536"
    assert one.headers["lambda-runtime-client-context"] == ""
    assert (two.status, two.body) == (202, b'{"status":"OK"}')
    assert (three.status, three.body) == (204, b"")


def test_large_chunked_body() -> None:
    """A body of several megabytes comes back whole."""
    body = bytes(range(256)) * 12_000
    data = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)
    (response,) = feed_in_portions(data, list(range(0, len(data), 65_536)))
    assert response.body == body


def test_connection_close_is_seen() -> None:
    """A response that announces the connection's end says so; HTTP/1.0 does it without words."""
    parser = ResponseParser()
    assert [r.keep_alive for r in parser.feed(GONE + ACCEPTED)] == [False, True]
    assert [r.keep_alive for r in parser.feed(ACCEPTED.replace(b"1.1", b"1.0", 1))] == [False]


def test_body_until_the_connection_ends() -> None:
    """Without length and chunks the body lasts until the connection closes."""
    parser = ResponseParser()
    assert parser.feed(b"HTTP/1.1 200 OK\r\n\r\nhalf") == []
    assert parser.feed(b" and half") == []
    assert parser.end() == Response(200, {}, b"half and half", keep_alive=False)


def test_end_between_responses_is_no_fault() -> None:
    """A connection may close when nothing is under way."""
    parser = ResponseParser()
    parser.feed(ACCEPTED)
    assert parser.end() is None


@pytest.mark.parametrize("cut", [1, 20, len(ACCEPTED) - 1])
def test_end_inside_a_response_is_a_fault(cut: int) -> None:
    """A response cut off is never taken for a whole one."""
    parser = ResponseParser()
    assert parser.feed(ACCEPTED[:cut]) == []
    with pytest.raises(MalformedResponse):
        parser.end()


@pytest.mark.parametrize(
    "data",
    [
        b"SSH-2.0-OpenSSH\r\n\r\n",
        b"HTTP/2 200\r\n\r\n",
        b"HTTP/1.1 2x0 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nA: b\r\n folded\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: +1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nabcd\r\n",
        b"HTTP/1.1 200 OK\r\nA: " + b"a" * (MAX_HEAD_BYTES + 1),
    ],
)
def test_nonsense_is_refused(data: bytes) -> None:
    """What is not HTTP/1, and what could be read in two ways, is a fault."""
    with pytest.raises(MalformedResponse):
        ResponseParser().feed(data)
