"""Which requests are S3's, and their bucket, key and method.

Sources: "Virtual hosting of general purpose buckets"; "Authenticating Requests: Using Query Parameters (AWS Signature
Version 4)". The credential's scope names the service; what is not signed and looks like no other service is S3's.
"""

from __future__ import annotations

import re
from urllib.parse import parse_qsl

from fleet.http.asgi import Scope

S3 = b"s3"
_SERVICE = re.compile(rb"Credential=[^/]+/[0-9]+/[a-z0-9-]*/([a-z0-9-]+)/aws4_request")
_PRESIGNED_SERVICE = re.compile(rb"X-Amz-Credential=[^&]*(?:%2F|/)([a-z0-9-]+)(?:%2F|/)aws4_request", re.IGNORECASE)
_OTHER_PATH = re.compile(r"/(?:_|\d{4}-\d{2}-\d{2}/)")  # emulators' own, and services with a version in their paths
_ADDRESS = re.compile(r"\[|[0-9.]+$")
_ENDPOINT = re.compile(r"(?:^|\.)s3[.-]")  # s3.us-east-1.amazonaws.com, s3-accelerate.amazonaws.com, s3.localhost
_LIST = frozenset({"delimiter", "list-type", "marker", "max-keys", "prefix", "uploads", "versions"})
_LOCAL = (".localhost", ".localhost.localstack.cloud")


def service_of(scope: Scope, headers: dict[bytes, bytes]) -> bytes:
    """Return the service, as a credential's scope names it, of a request without X-Amz-Target; b"" if not known."""
    authorization = headers.get(b"authorization", b"")
    if authorization:
        found = _SERVICE.search(authorization)
        if found:
            return found[1]
        return S3 if authorization.startswith(b"AWS ") else b""
    query = scope["query_string"]
    if query:
        if found := _PRESIGNED_SERVICE.search(query):
            return found[1].lower()
        if b"AWSAccessKeyId=" in query:
            return b"" if b"Action=" in query else S3
    # Nothing is signed: S3 takes forms as multipart only, and no Action.
    form = headers.get(b"content-type", b"").startswith(b"application/x-www-form-urlencoded")
    return b"" if form or b"Action=" in query or _OTHER_PATH.match(scope["path"]) else S3


def request_for_objects(scope: Scope, host: str) -> tuple[str, str, str] | None:
    """Return bucket, key and method of a request for objects; None for one that makes, changes or reads a bucket.

    Of a list, the prefix that it lists counts as key, and its method is LIST; DeleteObjects has its keys in the body,
    so "" does.
    """
    bucket, key = bucket_of_host(host), scope["path"][1:]
    if not bucket:
        bucket, _, key = key.partition("/")
    if key:
        return bucket, key, scope["method"]
    if not bucket:
        return None
    query = dict(parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True))
    if scope["method"] == "GET" and (not query or not _LIST.isdisjoint(query)):
        return bucket, query.get("prefix", ""), "LIST"
    return (bucket, "", "POST") if scope["method"] == "POST" else None


def bucket_of_host(host: str) -> str:
    """Return the bucket that a virtual host names; "" for path-style addresses."""
    name = host.lower().rpartition(":")[0] if ":" in host.rpartition("]")[2] else host.lower()
    if "." not in name or _ADDRESS.match(name) or name == "localhost.localstack.cloud":
        return ""
    if endpoint := _ENDPOINT.search(name):
        return name[: endpoint.start()]
    return next((name[: -len(end)] for end in reversed(_LOCAL) if name.endswith(end)), "")
