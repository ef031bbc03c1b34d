"""Our presigned URLs are botocore's, parameter for parameter."""

from __future__ import annotations

from datetime import UTC, datetime
from urllib.parse import parse_qs, urlsplit

import boto3
import pytest
from botocore.config import Config

from shoebox.aws.credentials import Credentials
from shoebox.aws.presign import Presigner

ENDPOINT = "http://127.0.0.1:4566"
KEYS = ["originals/demo/anna/fabc", "a b/ü~-_.+%/x", "renditions/demo/1/f/2048.jpg"]


def same_url(theirs: str, ours: str) -> bool:
    """Equal up to the order of query parameters."""
    a, b = urlsplit(theirs), urlsplit(ours)
    return a[:3] == b[:3] and sorted(a.query.split("&")) == sorted(b.query.split("&"))


@pytest.mark.parametrize("token", [None, "se/ss+ion=="])
@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize("operation", ["get", "put", "part"])
def test_equal_to_botocore(operation: str, key: str, token: str | None) -> None:
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
