"""Error responses as AWS writes them: statuses, headers and bodies.

Sources: "Error handling with DynamoDB"; "Understanding Global Secondary Index (GSI) write throttling and back pressure
in DynamoDB"; "TransactWriteItems" and "ThrottlingReason" (Amazon DynamoDB API Reference); "Error responses" (S3).
"""

from __future__ import annotations

import secrets
import zlib
from collections.abc import Mapping, Sequence
from typing import Any
from xml.sax.saxutils import escape

import orjson

from fleet.http.asgi import Headers, Response
from fleet.limits.dynamodb import Decisions, DemandRefusal, Direction, LimitType

_TABLE_MESSAGE = (
    "Throughput exceeds the current capacity of your table or index. DynamoDB is automatically scaling your table or"
    " index so please try again shortly. If exceptions persist, check if you have a hot key:"
    " https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/bp-partition-key-design.html"
)
_INDEX_MESSAGE = (
    "Throughput exceeds the current capacity for one or more global secondary indexes. DynamoDB is automatically"
    " scaling your index so please try again shortly."
)
_ACCOUNT_MESSAGE = (
    "Throughput exceeds the current throughput limit for your account. To request a limit increase, contact AWS Support"
    " at https://aws.amazon.com/support."
)
_ITEM_MESSAGE = "Item size has exceeded the maximum allowed size"
_DYNAMODB = "com.amazonaws.dynamodb.v20120810#"
_VALIDATION = "com.amazon.coral.validate#ValidationException"
_THROTTLING = "com.amazon.coral.availability#ThrottlingException"


def dynamodb_response(body: dict[str, Any], status: int = 200) -> Response:
    """Return a body as DynamoDB sends it, with its CRC-32, which clients check."""
    content = orjson.dumps(body)
    headers: Headers = [
        (b"content-type", b"application/x-amz-json-1.0"),
        (b"x-amzn-requestid", secrets.token_hex(26).upper().encode()),
        (b"x-amz-crc32", str(zlib.crc32(content)).encode()),
    ]
    if "__type" in body:
        headers.append((b"x-amzn-errortype", body["__type"].rpartition("#")[2].encode()))
    return Response(status, content, headers)


def throttled(refused: DemandRefusal, arn: str) -> Response:
    """Return ThrottlingException, or RequestLimitExceeded for the account's quota; `arn` is the resource's.

    On-demand tables get ThrottlingException for what ProvisionedThroughputExceededException is for provisioned ones.
    A write refused by an index's account limit is ThrottlingException, too ("GSI account limits exceeded").
    """
    reasons = [{"reason": refused.reason, "resource": arn}]
    back_pressure = bool(refused.resource.gsi) and refused.direction is Direction.WRITE
    if refused.limit is LimitType.ACCOUNT and not back_pressure:
        kind, member = f"{_DYNAMODB}RequestLimitExceeded", "ThrottlingReasons"
    else:
        kind, member = _THROTTLING, "throttlingReasons"  # so spelled in the service's model
    return dynamodb_response({"__type": kind, "message": _message(refused), member: reasons}, 400)


def transaction_canceled(decisions: Decisions) -> Response:
    """Return TransactionCanceledException: actions that were throttled have the code ThrottlingError, others None."""
    reasons = [{"Code": "ThrottlingError", "Message": _message(d)} if d else {"Code": "None"} for d in decisions]
    codes = ", ".join(reason["Code"] for reason in reasons)
    message = f"Transaction cancelled, please refer cancellation reasons for specific reasons [{codes}]"
    body = {"__type": f"{_DYNAMODB}TransactionCanceledException", "Message": message, "CancellationReasons": reasons}
    return dynamodb_response(body, 400)


def item_too_large() -> Response:
    """Return ValidationException for an item above 400 KB ("Quotas in Amazon DynamoDB")."""
    return dynamodb_response({"__type": _VALIDATION, "message": _ITEM_MESSAGE}, 400)


def request_too_large() -> Response:
    """Return the error for a body that is larger than any DynamoDB call's may be."""
    return dynamodb_response({"__type": "com.amazon.coral.service#RequestEntityTooLargeException"}, 413)


def slow_down(extra: Sequence[tuple[bytes, bytes]] = ()) -> Response:
    """Return S3's 503 SlowDown, with more headers."""
    return s3_error(503, "SlowDown", "Please reduce your request rate.", extra)


def s3_error(
    status: int,
    code: str,
    message: str,
    extra: Sequence[tuple[bytes, bytes]] = (),
    elements: Mapping[str, str] | None = None,
) -> Response:
    """Return an error of S3's, with more headers, and with more elements in its document."""
    request_id, host_id = secrets.token_hex(8).upper(), secrets.token_urlsafe(56)
    details = {"Code": code, "Message": message, **(elements or {}), "RequestId": request_id, "HostId": host_id}
    body = '<?xml version="1.0" encoding="UTF-8"?>\n<Error>{}</Error>'.format(
        "".join(f"<{name}>{escape(text)}</{name}>" for name, text in details.items())
    )
    headers: Headers = [
        (b"content-type", b"application/xml"),
        (b"server", b"AmazonS3"),
        (b"x-amz-request-id", request_id.encode()),
        (b"x-amz-id-2", host_id.encode()),
        *extra,
    ]
    return Response(status, body.encode(), headers)


def s3_refusal_headers(headers: Mapping[bytes, bytes]) -> Headers:
    """Return what a refusal needs for the request that had `headers`."""
    more: Headers = []
    if origin := headers.get(b"origin"):
        more.append((b"access-control-allow-origin", origin))  # else a web page could not see why it was refused
    if b"expect" in headers:
        more.append((b"connection", b"close"))  # the client keeps the body back, which would be the next request's head
    return more


def _message(refused: DemandRefusal) -> str:
    if refused.limit is LimitType.ACCOUNT:
        return _ACCOUNT_MESSAGE
    return _INDEX_MESSAGE if refused.resource.gsi else _TABLE_MESSAGE
