"""Which requests are S3's, whose bucket and key they name, and how they are refused."""

import xml.etree.ElementTree as ET

import pytest
from limiter_fakes import FakeDynamoDB, request, scope_of

from emulator.limiter.middleware import Limiter
from emulator.limiter.s3 import S3, bucket_of_host, request_for_objects, service_of
from fleet.http.asgi import Receive, Scope, Send
from fleet.limits.quotas import Quotas, S3Quotas
from fleet.limits.use import BilledCount

S3_SIGNED = b"AWS4-HMAC-SHA256 Credential=ASIAX/20260101/us-east-1/s3/aws4_request, SignedHeaders=host"
SQS_SIGNED = S3_SIGNED.replace(b"/s3/", b"/sqs/")
PRESIGNED = b"X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=ASIAX%2F20260101%2Fus-east-1%2Fs3%2Faws4_request"
FORM = b"application/x-www-form-urlencoded; charset=utf-8"

RECOGNISED = [
    ("GET", "/photos/a", b"", {b"authorization": S3_SIGNED}, True, "signed for S3"),
    ("POST", "/000000000000/uploads", b"", {b"authorization": SQS_SIGNED}, False, "signed for SQS"),
    ("PUT", "/photos/a", b"", {b"authorization": b"AWS ASIAX:signature"}, True, "signature version 2"),
    ("PUT", "/photos/a", PRESIGNED, {}, True, "presigned"),
    ("PUT", "/photos/a", PRESIGNED.replace(b"%2F", b"/"), {}, True, "presigned, slashes as they are"),
    ("GET", "/", PRESIGNED.replace(b"%2Fs3%2F", b"%2Fsts%2F") + b"&Action=GetCallerIdentity", {}, False, "for STS"),
    ("GET", "/photos/a", b"AWSAccessKeyId=ASIAX&Signature=s&Expires=1", {}, True, "presigned, version 2"),
    ("GET", "/000000000000/uploads", b"AWSAccessKeyId=ASIAX&Action=ReceiveMessage", {}, False, "the query protocol"),
    ("GET", "/public/keys/demo.json", b"", {}, True, "anonymous"),
    ("GET", "/", b"Action=ListQueues", {}, False, "anonymous, with an action"),
    ("POST", "/", b"", {b"content-type": FORM}, False, "a form with an action"),
    ("POST", "/photos", b"", {b"content-type": b"multipart/form-data; boundary=x"}, True, "a POST policy upload"),
    ("GET", "/_ministack/health", b"", {}, False, "an emulator's own path"),
    ("POST", "/2015-03-31/functions/f/invocations", b"", {}, False, "Lambda's path"),
]


@pytest.mark.parametrize(
    ("method", "path", "query", "headers", "expected"), [pytest.param(*values, id=name) for *values, name in RECOGNISED]
)
def test_an_s3_request_is_recognised(method: str, path: str, query: bytes, headers: dict[bytes, bytes], expected: bool):
    """ "Authenticating Requests (AWS Signature Version 4)": the credential's scope names the service."""
    scope = scope_of(method, path, query, headers)
    assert (service_of(scope, dict(scope["headers"])) == S3) is expected


HOSTS = [
    ("127.0.0.1:4566", "", "an address"),
    ("[::1]:4566", "", "an IPv6 address"),
    ("localhost:4566", "", "path-style"),
    ("s3.us-east-1.amazonaws.com", "", "path-style, AWS"),
    ("photos.s3.us-east-1.amazonaws.com", "photos", "virtual-hosted-style"),
    ("my.photos.s3.amazonaws.com", "my.photos", "a bucket with a dot"),
    ("photos.s3-accelerate.amazonaws.com", "photos", "transfer acceleration"),
    ("photos.s3.localhost.localstack.cloud:4566", "photos", "LocalStack"),
    ("s3.localhost.localstack.cloud:4566", "", "LocalStack, path-style"),
    ("localhost.localstack.cloud:4566", "", "LocalStack's own name"),
    ("photos.localhost:4566", "photos", "ministack"),
]


@pytest.mark.parametrize(("host", "bucket"), [pytest.param(h, b, id=name) for h, b, name in HOSTS])
def test_the_host_may_name_the_bucket(host: str, bucket: str):
    """ "Virtual hosting of general purpose buckets"."""
    assert bucket_of_host(host) == bucket


KEYS = [
    ("GET", "/photos/originals/a/b", b"", "127.0.0.1:1", ("photos", "originals/a/b", "GET"), "path-style"),
    (
        "GET",
        "/originals/a/b",
        b"",
        "photos.s3.amazonaws.com",
        ("photos", "originals/a/b", "GET"),
        "virtual-hosted-style",
    ),
    ("GET", "/photos", b"list-type=2&prefix=originals%2F", "127.0.0.1:1", ("photos", "originals/", "LIST"), "a list"),
    ("GET", "/photos", b"", "127.0.0.1:1", ("photos", "", "LIST"), "ListObjects"),
    ("GET", "/", b"uploads", "photos.localhost", ("photos", "", "LIST"), "ListMultipartUploads"),
    ("POST", "/photos", b"delete=", "127.0.0.1:1", ("photos", "", "POST"), "DeleteObjects"),
    ("GET", "/photos/", b"list-type=2", "127.0.0.1:1", ("photos", "", "LIST"), "a list, with a slash"),
    ("GET", "/photos/a", b"uploadId=1", "127.0.0.1:1", ("photos", "a", "GET"), "ListParts"),
    ("GET", "/", b"", "127.0.0.1:1", None, "ListBuckets"),
    ("PUT", "/photos", b"", "127.0.0.1:1", None, "CreateBucket"),
    ("PUT", "/photos/", b"cors", "127.0.0.1:1", None, "PutBucketCors"),
    ("GET", "/photos", b"lifecycle", "127.0.0.1:1", None, "GetBucketLifecycleConfiguration"),
    ("HEAD", "/photos", b"", "127.0.0.1:1", None, "HeadBucket"),
]


@pytest.mark.parametrize(
    ("method", "path", "query", "host", "expected"), [pytest.param(*values, id=name) for *values, name in KEYS]
)
def test_bucket_and_key_are_found(method: str, path: str, query: bytes, host: str, expected: tuple[str, ...] | None):
    """Requests for objects; a list counts for the prefix that it lists."""
    assert request_for_objects(scope_of(method, path, query), host) == expected


@pytest.fixture
def emulator() -> FakeDynamoDB:
    """Return what is behind the limiter."""
    return FakeDynamoDB()


@pytest.fixture
def limiter(emulator: FakeDynamoDB) -> Limiter:
    """One write a second for each prefix; no time passes."""
    return Limiter(emulator, Quotas(s3=S3Quotas(prefix_writes=1)), lambda: 0.0)


async def test_a_busy_prefix_is_told_to_slow_down(limiter: Limiter, emulator: FakeDynamoDB):
    """ "Amazon S3 error responses": 503 SlowDown, as XML, with the two ids in headers and body."""
    put = scope_of("PUT", "/photos/originals/a", PRESIGNED)
    assert (await request(limiter, put, b"bytes of a photo")).status == 200
    refused = await request(limiter, put, b"bytes of a photo")
    error = ET.fromstring(refused.body)
    assert refused.status == 503
    assert (error.tag, error.findtext("Code")) == ("Error", "SlowDown")
    assert error.findtext("Message") == "Please reduce your request rate."
    assert error.findtext("RequestId") == refused.headers[b"x-amz-request-id"].decode()
    assert error.findtext("HostId") == refused.headers[b"x-amz-id-2"].decode()
    assert len(emulator.requests) == 1
    assert (await request(limiter, scope_of("PUT", "/photos/renditions/a", PRESIGNED))).status == 200


async def test_a_refused_body_is_never_read(limiter: Limiter):
    """Nor a passed one: it is the emulator's, in pieces as it comes."""
    await request(limiter, scope_of("PUT", "/photos/originals/a", PRESIGNED))
    messages = []

    async def receive() -> dict[str, object]:
        raise AssertionError("the body was read")

    async def send(message: object) -> None:
        messages.append(message)

    await limiter(scope_of("PUT", "/photos/originals/a", PRESIGNED), receive, send)
    assert len(messages) == 2


MORE = [
    ({b"origin": b"http://127.0.0.1:8080"}, b"access-control-allow-origin", b"http://127.0.0.1:8080", "a page sees it"),
    ({b"expect": b"100-continue"}, b"connection", b"close", "a body that was not sent cannot follow"),
]


@pytest.mark.parametrize(("headers", "name", "value"), [pytest.param(*values, id=case) for *values, case in MORE])
async def test_a_refusal_fits_its_client(limiter: Limiter, headers: dict[bytes, bytes], name: bytes, value: bytes):
    """RFC 9110, 10.1.1, for Expect; the Fetch standard for pages."""
    put = scope_of("PUT", "/photos/originals/a", PRESIGNED, headers)
    await request(limiter, put)
    assert (await request(limiter, put)).headers[name] == value


@pytest.mark.parametrize("kind", ["lifespan", "websocket"])
async def test_what_is_no_request_passes(kind: str):
    """The emulator loads and saves its data in its lifespan."""
    seen = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append(scope["type"])

    async def never() -> dict[str, object]:
        raise AssertionError

    await Limiter(app, Quotas())({"type": kind}, never, never)  # type: ignore[arg-type]
    assert seen == [kind]


async def test_requests_of_other_services_are_not_limited(limiter: Limiter, emulator: FakeDynamoDB):
    """SQS in its JSON protocol, for one."""
    headers = {b"x-amz-target": b"AmazonSQS.SendMessage", b"authorization": SQS_SIGNED}
    statuses = [(await request(limiter, scope_of("POST", "/", headers=headers))).status for _ in range(5)]
    assert statuses == [200] * 5
    assert [*limiter.uses()] == []


COUNTED = [
    (scope_of("PUT", "/photos/originals/a", PRESIGNED), b"x", BilledCount("s3", "PUT", 1), "a photo"),
    (scope_of("GET", "/photos", b"list-type=2"), b"", BilledCount("s3", "LIST", 1), "a list, which costs as a PUT"),
    (scope_of("PUT", "/photos", b"cors"), b"", BilledCount("s3", "BUCKET", 1), "about a bucket"),
    (
        scope_of("POST", "/", headers={b"x-amz-target": b"AmazonSQS.SendMessageBatch", b"authorization": SQS_SIGNED}),
        b"{}",
        BilledCount("sqs", "SendMessageBatch", 1),
        "SQS, JSON",
    ),
    (
        scope_of("POST", "/", headers={b"authorization": S3_SIGNED.replace(b"/s3/", b"/sns/"), b"content-type": FORM}),
        b"Action=PublishBatch&Version=2010-03-31&TopicArn=x",
        BilledCount("sns", "PublishBatch", 1),
        "SNS, a form in two pieces",
    ),
]


@pytest.mark.parametrize(("scope", "body", "expected"), [pytest.param(*values, id=name) for *values, name in COUNTED])
async def test_requests_that_pass_are_counted(emulator: FakeDynamoDB, scope: Scope, body: bytes, expected: BilledCount):
    """By service and operation, as AWS bills them."""
    limiter = Limiter(emulator, Quotas(), lambda: 0.0)
    await request(limiter, scope, body)
    assert limiter.data_use().requests == [expected]


async def test_what_is_refused_or_of_no_interest_is_not_counted(limiter: Limiter):
    """A refused PUT costs nothing; IAM's and STS's requests, and made-up operations, have no count."""
    put = scope_of("PUT", "/photos/originals/a", PRESIGNED)
    statuses = [(await request(limiter, put)).status for _ in range(3)]
    await request(limiter, scope_of("POST", "/", headers={b"authorization": S3_SIGNED.replace(b"/s3/", b"/iam/")}))
    await request(limiter, scope_of("POST", "/", headers={b"x-amz-target": b"Kinesis.PutRecord"}))
    assert statuses == [200, 503, 503]
    assert limiter.data_use().requests == [BilledCount("s3", "PUT", 1)]


async def test_made_up_operations_do_not_fill_the_memory(limiter: Limiter):
    """Names come from clients: only so many are kept."""
    for n in range(500):
        await request(limiter, scope_of("POST", "/", headers={b"x-amz-target": b"AmazonSQS.Guess%d" % n}))
    assert len(limiter.data_use().requests) == 200
