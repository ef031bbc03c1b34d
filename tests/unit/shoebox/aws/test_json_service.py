"""A small client against a scripted server: requests, retries, errors, and the connections below it."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from ipaddress import ip_address
from pathlib import Path

import orjson
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from shoebox.aws.connections import Connections
from shoebox.aws.credentials import Credentials, fixed_credentials
from shoebox.aws.errors import AwsRefused, AwsUnreachable
from shoebox.aws.retry import RetryPolicy
from shoebox.aws.signing import CONTENT_TYPE
from shoebox.aws.sqs import SqsClient
from tests.scripted_server import Script, ScriptedServer, json_response, refusal, scripted_server

KEYS = Credentials("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY")
SESSION = Credentials("ASIAEXAMPLE", "secret", "a-token/with+signs==")
NOW = datetime(2026, 11, 24, 23, 59, 58, tzinfo=UTC).timestamp()


class Bench:
    """A client of a scripted server; pauses are noted and take no time."""

    def __init__(self, server: ScriptedServer, max_bytes: int = 1_000_000, max_connections: int = 50) -> None:
        self.server = server
        self.connections = Connections(server.url, max_connections=max_connections, max_bytes=max_bytes)
        self.pauses: list[float] = []
        self.client = SqsClient(
            self.connections,
            fixed_credentials(KEYS),
            region="eu-west-1",
            retry=RetryPolicy(attempts=3, sleep=self._pause),
            clock=lambda: NOW,
        )

    async def _pause(self, seconds: float) -> None:
        self.pauses.append(seconds)

    async def receive(self, seconds: float = 0.0) -> object:
        """One call."""
        return await self.client.call("ReceiveMessage", {"QueueUrl": "q"}, seconds=seconds)


@asynccontextmanager
async def bench_of(script: Script, max_bytes: int = 1_000_000, max_connections: int = 50) -> AsyncIterator[Bench]:
    """Open a client whose server answers by `script`."""
    async with scripted_server(script) as server:
        bench = Bench(server, max_bytes, max_connections)
        yield bench
        bench.connections.close()


async def test_calls_go_over_one_kept_connection():
    """Operation, content type and body are those of the AWS JSON 1.0 protocol."""
    async with bench_of(lambda n, _: json_response({"n": n})) as bench:
        assert [await bench.receive(), await bench.receive()] == [{"n": 1}, {"n": 2}]
    first = bench.server.requests[0]
    assert (first.headers["x-amz-target"], first.headers["content-type"]) == ("AmazonSQS.ReceiveMessage", CONTENT_TYPE)
    assert orjson.loads(first.body) == {"QueueUrl": "q"}
    assert bench.server.connections == 1


async def test_an_empty_response_is_an_empty_object():
    """Operations without a result have no body."""
    async with bench_of(lambda n, _: json_response(b"")) as bench:
        assert await bench.receive() == {}


async def test_calls_at_once_have_connections_of_their_own_up_to_the_bound():
    """The third waits for one of the first two."""
    async with bench_of(lambda n, _: json_response({}), max_connections=2) as bench:
        await asyncio.gather(*(bench.receive() for _ in range(6)))
        assert bench.server.connections == 2
        assert len(bench.server.requests) == 6


async def test_a_connection_that_the_server_closed_meanwhile_is_replaced_at_once():
    """No pause: nothing is wrong with the server."""
    async with bench_of(lambda n, r: None if n == 2 else json_response({"n": n})) as bench:
        assert [await bench.receive(), await bench.receive()] == [{"n": 1}, {"n": 3}]
    assert bench.pauses == []


async def test_a_lost_connection_is_tried_again_with_pauses_and_then_given_up():
    """Three attempts, as botocore's standard mode."""
    async with bench_of(lambda n, _: None) as bench:
        with pytest.raises(AwsUnreachable) as caught:
            await bench.receive()
    assert caught.value.code == "ConnectionLost"
    assert (len(bench.server.requests), len(bench.pauses)) == (3, 2)


async def test_nobody_there_is_said_with_the_address():
    """A refused connection."""
    async with scripted_server(lambda n, _: None) as server:
        pass
    with pytest.raises(AwsUnreachable, match=r"cannot connect to 127\.0\.0\.1:\d+"):
        await Bench(server).receive()


@pytest.mark.parametrize(
    ("code", "status"),
    [("InternalFailure", 500), ("ServiceUnavailable", 503), ("RequestThrottled", 400), ("ThrottlingException", 400)],
)
async def test_what_may_pass_is_tried_again(code: str, status: int):
    """5xx and throttling ("Error retries and exponential backoff in AWS")."""
    async with bench_of(lambda n, _: refusal(code, status) if n < 3 else json_response({"n": n})) as bench:
        assert await bench.receive() == {"n": 3}
    assert len(bench.pauses) == 2


@pytest.mark.parametrize(
    ("given", "code"),
    [
        (refusal("QueueDoesNotExist"), "QueueDoesNotExist"),
        (
            refusal("QueueDoesNotExist", x_amzn_query_error="AWS.SimpleQueueService.NonExistentQueue;Sender"),
            "AWS.SimpleQueueService.NonExistentQueue",
        ),
        (refusal("AccessDeniedException", 403), "AccessDeniedException"),
        (json_response(b"<html>", 403), "HTTP403"),
        (json_response(b"[]", 400), "HTTP400"),
    ],
    ids=["type", "query-compatible", "denied", "no JSON", "no object"],
)
async def test_a_refusal_is_not_tried_again_and_has_sqss_code(given: bytes, code: str):
    """The code of `x-amzn-query-error` wins, as in botocore."""
    async with bench_of(lambda n, _: given) as bench:
        with pytest.raises(AwsRefused) as caught:
            await bench.receive()
    assert (caught.value.code, len(bench.server.requests)) == (code, 1)


@pytest.mark.parametrize("code", ["RequestTimeTooSkewed", "InvalidSignatureException", "SignatureDoesNotMatch"])
async def test_a_clock_that_is_wrong_is_put_right_once(code: str):
    """The server's Date is taken, for this call and the next ones; what still fails then is a wrong key."""
    date = format_datetime(datetime.fromtimestamp(NOW + 3600, UTC), usegmt=True)
    async with bench_of(lambda n, _: refusal(code, 403, Date=date) if n == 1 else json_response({})) as bench:
        await bench.receive()
        await bench.receive()
    assert [r.headers["x-amz-date"] for r in bench.server.requests] == [
        "20261124T235958Z",
        "20261125T005958Z",
        "20261125T005958Z",
    ]


@pytest.mark.parametrize("shift", [0, 100], ids=["right clock", "nearly right"])
async def test_a_wrong_key_is_not_taken_for_a_wrong_clock(shift: int):
    """Within five minutes the clock is not the reason."""
    date = format_datetime(datetime.fromtimestamp(NOW + shift, UTC), usegmt=True)
    async with bench_of(lambda n, _: refusal("SignatureDoesNotMatch", 403, Date=date)) as bench:
        with pytest.raises(AwsRefused):
            await bench.receive()
    assert len(bench.server.requests) == 1


@pytest.mark.parametrize("date", [None, "yesterday"])
async def test_a_refusal_without_a_usable_date_stays_a_refusal(date: str | None):
    """Nothing to put the clock right by."""
    headers = {"Date": date} if date else {}
    async with bench_of(lambda n, _: refusal("SignatureDoesNotMatch", 403, **headers)) as bench:
        with pytest.raises(AwsRefused):
            await bench.receive()


@pytest.mark.parametrize(
    ("given", "code"),
    [
        (json_response(b"x" * 2000), "BodyTooLarge"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n7d0\r\n" + b"x" * 2000, "InvalidResponse"),
        (b"SSH-2.0-OpenSSH\r\n", "InvalidResponse"),
        (json_response(b"{"), "InvalidResponse"),
        (json_response(b"[]"), "InvalidResponse"),
    ],
    ids=["too large", "too large, and does not say so", "no HTTP", "no JSON", "no object"],
)
async def test_what_is_no_usable_response_is_refused(given: bytes, code: str):
    """Its size is bounded, too."""
    async with bench_of(lambda n, _: given, max_bytes=1000) as bench:
        with pytest.raises(AwsUnreachable) as caught:
            await bench.receive()
    assert caught.value.code == code


async def test_a_chunked_response_and_an_interim_one_are_read():
    """Servers may send such (RFC 9112)."""
    chunked = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n"
    async with bench_of(lambda n, _: chunked) as bench:
        assert [await bench.receive(), await bench.receive()] == [{}, {}]
    assert bench.server.connections == 1


async def test_a_server_that_closes_after_its_response_gets_a_new_connection():
    """`Connection: close`."""
    async with bench_of(lambda n, _: json_response({}, Connection="close")) as bench:
        await bench.receive()
        await bench.receive()
    assert (bench.server.connections, bench.pauses) == (2, [])


async def test_a_call_that_is_cancelled_closes_its_connection():
    """SQS then knows that nobody waits for messages any more."""
    got = asyncio.Event()

    def silent(number: int, request: object) -> bytes:
        got.set()
        return b""

    async with bench_of(silent) as bench:
        call = asyncio.create_task(bench.receive(20))
        await got.wait()
        call.cancel()
        await asyncio.wait_for(bench.server.closed.wait(), 30)


async def test_a_silent_server_is_given_up():
    """After the seconds of the long poll and some for the way."""
    async with scripted_server(lambda n, _: b"") as server:
        client = SqsClient(
            Connections(server.url),
            fixed_credentials(KEYS),
            region="eu-west-1",
            retry=RetryPolicy(first_pause=0.0),
            response_seconds=0.01,
        )
        with pytest.raises(AwsUnreachable, match="no response within") as caught:
            await client.call("ReceiveMessage", {})
    assert caught.value.code == "Timeout"


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a certificate for 127.0.0.1 that signs itself, with its key in the same file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    moment = datetime.now(UTC)
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(moment - timedelta(days=1))
        .not_valid_after(moment + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = tmp_path_factory.mktemp("tls") / "server.pem"
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    path.write_bytes(private + made.public_bytes(Encoding.PEM))
    return path


@asynccontextmanager
async def tls_server(certificate: Path, script: Script) -> AsyncIterator[ScriptedServer]:
    """As real SQS: https."""
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(certificate)
    async with scripted_server(script, tls) as server:
        yield server


async def test_https_is_spoken_with_a_server_that_is_trusted(certificate: Path):
    """Responses larger than one TLS record, over one kept connection."""
    large = {"Body": "x" * 300_000}
    async with tls_server(certificate, lambda n, _: json_response(large)) as server:
        connections = Connections(server.url, tls=ssl.create_default_context(cafile=str(certificate)))
        client = SqsClient(connections, fixed_credentials(SESSION), region="eu-west-1")
        assert [await client.call("ReceiveMessage", {}) for _ in range(3)] == [large] * 3
        connections.close()
    assert server.connections == 1
    assert server.requests[0].headers["x-amz-security-token"] == SESSION.session_token


async def test_a_server_that_is_not_trusted_gets_no_request(certificate: Path):
    """Its certificate is nobody's whom we know."""
    async with tls_server(certificate, lambda n, _: json_response({})) as server:
        bench = Bench(server)
        with pytest.raises(AwsUnreachable, match="CERTIFICATE_VERIFY_FAILED"):
            await bench.receive()
    assert server.requests == []


async def test_a_response_that_nobody_asked_for_ends_its_connection():
    """It would be taken for the next call's."""
    async with bench_of(
        lambda n, _: json_response({"n": n}) + (json_response({"n": "stray"}) if n == 1 else b"")
    ) as bench:
        assert await bench.receive() == {"n": 1}
        await asyncio.wait_for(bench.server.closed.wait(), 30)
        assert await bench.receive() == {"n": 2}
    assert bench.server.connections == 2


async def test_closing_lets_a_call_under_way_finish_and_closes_then():
    """Nothing is kept afterwards."""
    got = asyncio.Event()

    def first(number: int, request: object) -> bytes:
        got.set()
        return json_response({"n": number})

    async with bench_of(first) as bench:
        call = asyncio.create_task(bench.receive())
        await got.wait()
        bench.connections.close()
        assert await call == {"n": 1}
        await asyncio.wait_for(bench.server.closed.wait(), 30)
