"""Our signatures are botocore's: presigned URLs parameter for parameter, headers one by one."""

from __future__ import annotations

from datetime import UTC, datetime
from urllib.parse import parse_qs, urlsplit

import boto3
import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.credentials import Credentials as BotoCredentials

from shoebox.aws.credentials import Credentials
from shoebox.aws.signing import CONTENT_TYPE, HeaderSigner, Presigner

KEYS = Credentials("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY")
SESSION = Credentials("ASIAEXAMPLE", "secret", "a-token/with+signs==")
NOW = datetime(2026, 11, 24, 23, 59, 58, tzinfo=UTC).timestamp()
ENDPOINT = "http://127.0.0.1:4566"
OBJECT_KEYS = ["originals/demo/anna/fabc", "a b/ü~-_.+%/x", "renditions/demo/1/f/2048.jpg"]


def same_url(theirs: str, ours: str) -> bool:
    """Equal up to the order of query parameters."""
    a, b = urlsplit(theirs), urlsplit(ours)
    return a[:3] == b[:3] and sorted(a.query.split("&")) == sorted(b.query.split("&"))


@pytest.mark.parametrize("token", [None, "se/ss+ion=="])
@pytest.mark.parametrize("key", OBJECT_KEYS)
@pytest.mark.parametrize("operation", ["get", "put", "part"])
def test_a_presigned_url_is_botocores(operation: str, key: str, token: str | None) -> None:
    """GET, PUT bound to length, type and SHA-256, and UploadPart: the same signature as botocore's."""
    credentials = Credentials("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", token)
    client = boto3.client(
        "s3",
        endpoint_url=ENDPOINT,
        region_name="eu-central-1",
        aws_access_key_id=credentials.access_key_id,
        aws_secret_access_key=credentials.secret_access_key,
        aws_session_token=token,
        config=Config(
            signature_version="s3v4",
            s3={"addressing_style": "path"},
            request_checksum_calculation="when_required",
        ),
    )
    target = {"Bucket": "shoebox-personal", "Key": key}
    put = {"ContentLength": 5, "ContentType": "image/jpeg", "ChecksumSHA256": "abc="}
    part = {"PartNumber": 3, "UploadId": "up/load+id", "ContentLength": 5, "ChecksumSHA256": "abc="}
    theirs = {
        "get": lambda: client.generate_presigned_url("get_object", target, 600),
        "put": lambda: client.generate_presigned_url("put_object", target | put, 600),
        "part": lambda: client.generate_presigned_url("upload_part", target | part, 600),
    }[operation]()
    at = datetime.strptime(parse_qs(urlsplit(theirs).query)["X-Amz-Date"][0], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)

    ours = Presigner(credentials, region="eu-central-1", endpoint_url=ENDPOINT).url(
        "GET" if operation == "get" else "PUT",
        target["Bucket"],
        key,
        at=at,
        expires=600,
        headers={
            "get": {},
            "put": {"content-length": "5", "content-type": "image/jpeg", "x-amz-checksum-sha256": "abc="},
            "part": {"content-length": "5", "x-amz-checksum-sha256": "abc="},
        }[operation],
        query={"partNumber": "3", "uploadId": "up/load+id"} if operation == "part" else {},
    )

    assert same_url(theirs, ours), f"\n{theirs}\n{ours}"


@pytest.mark.parametrize("keys", [KEYS, SESSION], ids=["user", "role"])
@pytest.mark.parametrize("body", [b"{}", '{"Body":"Grüße"}'.encode()], ids=["empty", "text"])
def test_a_signature_is_botocores(keys: Credentials, body: bytes):
    """ "Create a signed AWS API request": header by header, the same as the reference client's."""
    request = AWSRequest(
        "POST", "https://sqs.example:8443/", {"Content-Type": CONTENT_TYPE, "X-Amz-Target": "AmazonSQS.X"}, body
    )
    theirs = BotoCredentials(keys.access_key_id, keys.secret_access_key, keys.session_token)
    SigV4Auth(theirs, "sqs", "eu-west-1").add_auth(request)
    stamp = datetime.strptime(request.headers["X-Amz-Date"], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    signer = HeaderSigner(keys, region="eu-west-1", service="sqs", host="sqs.example:8443")
    head = signer.head("AmazonSQS.X", body, stamp.timestamp())
    ours = dict(line.split(": ", 1) for line in head.decode().split("\r\n")[1:] if line)
    for name in ("Authorization", "X-Amz-Date", *(["X-Amz-Security-Token"] if keys.session_token else [])):
        assert ours[name] == request.headers[name]


def test_a_new_day_has_a_new_signing_key():
    """The kept one is not used beyond its day."""
    signer = HeaderSigner(KEYS, region="r", service="sqs", host="h")
    signer.head("t", b"{}", NOW)
    fresh = HeaderSigner(KEYS, region="r", service="sqs", host="h")
    assert signer.head("t", b"{}", NOW + 10) == fresh.head("t", b"{}", NOW + 10)
