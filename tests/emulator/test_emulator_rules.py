"""Rules of S3 that the embedded emulator keeps as AWS does: what must be signed, and who learns what is missing."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from xml.etree import ElementTree as ET

import aiohttp
import pytest
from botocore.exceptions import ClientError
from yarl import URL

from emulator.provision import RoleSource
from shoebox.aws.clients import Clients
from shoebox.aws.credentials import Credentials
from shoebox.aws.signing import Presigner
from shoebox.stack.deployment import ResolvedStack
from tests.emulator.conftest import ClientsFor, EmulatorAt

pytestmark = pytest.mark.only_on("embedded", reason="LocalStack checks neither signed headers nor permissions")
BUCKET = "shoebox-personal"
THEIRS = "originals/demo/anna/photo"
MINE = "originals/demo/ben/photo"
UNSIGNED = ("AccessDenied", "There were headers present in the request which were not signed")


async def error_of(response: aiohttp.ClientResponse) -> dict[str, str]:
    """Status and elements of S3's error document."""
    document = ET.fromstring(await response.read())
    return {"status": str(response.status), **{each.tag: each.text or "" for each in document}}


@pytest.fixture
async def keys(provisioned: ResolvedStack, root_clients: Clients) -> Credentials:
    """Those of the API's role, which signs the URLs of uploads."""
    return (await RoleSource(provisioned, root_clients)("api")).keys


@pytest.fixture
async def photo_of_anna(provisioned: ResolvedStack, root_clients: Clients) -> None:
    """Provide an object of another user's."""
    await (await root_clients.open("s3")).put_object(Bucket=BUCKET, Key=THEIRS, Body=b"private")


def link(
    emulator: EmulatorAt, keys: Credentials, method: str = "PUT", key: str = MINE, **options: Mapping[str, str]
) -> URL:
    """Return a URL as the API hands it out; `headers` are signed."""
    presigner = Presigner(keys, region="us-east-1", endpoint_url=emulator.url)
    return URL(presigner.url(method, BUCKET, key, at=datetime.now(UTC), expires=300, **options), encoded=True)


SOURCE = f"/{BUCKET}/{THEIRS}"
FORBIDDEN = [
    {"x-amz-copy-source": SOURCE},
    {"X-Amz-Copy-Source": SOURCE, "x-amz-copy-source-range": "bytes=0-3"},
    {"x-amz-acl": "public-read"},
    {"x-amz-tagging": "a=b"},
    {"x-amz-meta-owner": "anna"},
    {"x-amz-storage-class": "GLACIER"},
    {"x-amz-website-redirect-location": "http://evil.example"},
    {"x-amz-server-side-encryption-customer-algorithm": "AES256"},
    {"x-amz-security-token": "other"},
    {"x-amz-anything": "x"},
]


@pytest.mark.usefixtures("photo_of_anna")
@pytest.mark.parametrize("headers", FORBIDDEN, ids=lambda headers: ",".join(headers))
async def test_what_the_url_does_not_sign_cannot_be_added(
    emulator: EmulatorAt, http: aiohttp.ClientSession, keys: Credentials, headers: dict[str, str], root_clients: Clients
):
    """Ben's own URL copies nothing of Anna's, whatever he knows of it; nor does it set what its signer did not."""
    response = await http.put(link(emulator, keys), data=b"mine", headers=headers)
    error = await error_of(response)
    assert (error["status"], error["Code"], error["Message"]) == ("403", *UNSIGNED)
    assert error["HeadersNotSigned"] == ", ".join(sorted(name.lower() for name in headers))
    listed = await (await root_clients.open("s3")).list_objects_v2(Bucket=BUCKET, Prefix=MINE)
    assert listed["KeyCount"] == 0


@pytest.mark.usefixtures("photo_of_anna")
async def test_a_part_cannot_be_copied_from_elsewhere(
    emulator: EmulatorAt, http: aiohttp.ClientSession, keys: Credentials, root_clients: Clients
):
    """UploadPartCopy is an UploadPart with a header."""
    s3 = await root_clients.open("s3")
    upload = (await s3.create_multipart_upload(Bucket=BUCKET, Key=MINE))["UploadId"]
    url = link(emulator, keys, query={"partNumber": "1", "uploadId": upload})
    error = await error_of(await http.put(url, headers={"x-amz-copy-source": SOURCE}))
    assert (error["status"], error["Code"], error["Message"]) == ("403", *UNSIGNED)
    assert "Parts" not in await s3.list_parts(Bucket=BUCKET, Key=MINE, UploadId=upload)
    assert (await http.put(url, data=b"part")).status == 200
    await s3.abort_multipart_upload(Bucket=BUCKET, Key=MINE, UploadId=upload)


async def test_reads_and_deletes_are_held_to_it_too(
    emulator: EmulatorAt, http: aiohttp.ClientSession, keys: Credentials
):
    """The rule is about signatures, not about uploads."""
    for method in ("GET", "HEAD", "DELETE"):
        response = await http.request(
            method, link(emulator, keys, method), headers={"x-amz-expected-bucket-owner": "000000000000"}
        )
        assert response.status == 403, method


async def test_signed_headers_pass(emulator: EmulatorAt, http: aiohttp.ClientSession, keys: Credentials):
    """What the URL's signer wanted arrives; ordinary headers need no signature."""
    headers = {"x-amz-meta-album": "summer"}
    url = link(emulator, keys, key=f"{MINE}-signed", headers=headers)
    response = await http.put(url, data=b"x", headers=headers | {"content-type": "image/jpeg", "x-request-id": "7"})
    assert response.status == 200
    read = await http.get(link(emulator, keys, "GET", f"{MINE}-signed"))
    assert read.headers["x-amz-meta-album"] == "summer"


async def test_the_host_must_be_signed(emulator: EmulatorAt, http: aiohttp.ClientSession, keys: Credentials):
    """A URL without it would be good for any endpoint."""
    url = link(emulator, keys)
    error = await error_of(await http.put(url.update_query({"X-Amz-SignedHeaders": "content-type"}), data=b"x"))
    assert (error["Code"], error["HeadersNotSigned"]) == ("AccessDenied", "host")


@pytest.mark.parametrize("name", ["X-Amz-SignedHeaders", "x-amz-signedheaders", "X-Amz-Signature", "X-Amz-Credential"])
async def test_a_signatures_parameter_stands_once(
    emulator: EmulatorAt, http: aiohttp.ClientSession, keys: Credentials, name: str
):
    """Two readers must not take different ones."""
    url = URL(f"{link(emulator, keys)}&{name}=host%3Bx-amz-copy-source", encoded=True)
    error = await error_of(await http.put(url, data=b"x", headers={"x-amz-copy-source": SOURCE}))
    assert (error["status"], error["Code"]) == ("400", "AuthorizationQueryParametersError")


@pytest.mark.parametrize(
    "authorization",
    ["AWS4-HMAC-SHA256 Credential=a/1/r/s3/aws4_request, SignedHeaders=host;x-amz-copy-source, Signature=0", "AWS a:b"],
)
async def test_one_request_has_one_signature(
    emulator: EmulatorAt, http: aiohttp.ClientSession, keys: Credentials, authorization: str
):
    """A header that is not looked at must not say what is signed."""
    headers = {"authorization": authorization, "x-amz-copy-source": SOURCE}
    error = await error_of(await http.put(link(emulator, keys), headers=headers))
    assert (error["status"], error["Code"]) == ("400", "InvalidArgument")


async def test_a_header_signature_must_cover_them_too(
    emulator: EmulatorAt, provisioned: ResolvedStack, root_clients: Clients
):
    """A proxy on the way cannot add a header to what a program has signed."""
    s3 = await root_clients.open("s3")

    def add(request: Any, **_: Any) -> None:
        request.headers["x-amz-copy-source"] = SOURCE

    s3.meta.events.register("before-send.s3.PutObject", add)
    with pytest.raises(ClientError, match="headers present in the request which were not signed"):
        await s3.put_object(Bucket=BUCKET, Key=MINE, Body=b"x")


async def test_a_page_may_read_why_it_was_refused(emulator: EmulatorAt, http: aiohttp.ClientSession, keys: Credentials):
    """Browsers hide an answer that does not name their origin."""
    origin = {"origin": "http://127.0.0.1:8088"}
    response = await http.put(link(emulator, keys), data=b"x", headers=origin | {"x-amz-acl": "public-read"})
    assert (response.status, response.headers["access-control-allow-origin"]) == (403, origin["origin"])


READS = ["get_object", "head_object"]


@pytest.mark.parametrize("read", READS)
@pytest.mark.parametrize(("function", "status"), [("ingest", 404), ("api", 403)])
async def test_who_may_not_list_does_not_learn_what_is_missing(
    clients_for: ClientsFor, provisioned: ResolvedStack, read: str, function: str, status: int
):
    """Ingest has `get` and `list` on originals: gone is gone. The API has `get` alone, and is refused, as on AWS."""
    s3 = await (await clients_for(function)).open("s3")
    with pytest.raises(ClientError) as caught:
        await getattr(s3, read)(Bucket=BUCKET, Key="originals/never/there")
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == status
    if read == "get_object":
        assert caught.value.response["Error"]["Code"] == {404: "NoSuchKey", 403: "AccessDenied"}[status]


async def test_a_missing_public_key_is_hidden_from_everybody(
    emulator: EmulatorAt, http: aiohttp.ClientSession, provisioned: ResolvedStack
):
    """Who may read some keys of a bucket without a signature may not list them."""
    response = await http.get(f"{emulator.url}/shoebox-public/keys/nobody.json")
    assert (response.status, (await error_of(response))["Code"]) == (403, "AccessDenied")


async def test_a_copy_does_not_tell_what_is_missing(
    emulator: EmulatorAt, http: aiohttp.ClientSession, keys: Credentials
):
    """The source of a signed copy is read as any object is."""
    headers = {"x-amz-copy-source": f"/{BUCKET}/originals/never/there"}
    response = await http.put(link(emulator, keys, headers=headers), headers=headers)
    assert (response.status, (await error_of(response))["Code"]) == (403, "AccessDenied")
