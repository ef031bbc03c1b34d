"""Events of the sizes that Lambda really sends."""

from __future__ import annotations

import json
import uuid


def sqs(messages: int) -> bytes:
    """Make a batch from a queue, 1.6 KB a message."""
    return json.dumps({"Records": [_message(number) for number in range(messages)]}).encode()


def _message(number: int) -> dict[str, object]:
    key = {"bucket": "shoebox-personal", "key": f"originals/{uuid.UUID(int=number)}", "size": 4_000_000 + number}
    return {
        "messageId": str(uuid.UUID(int=number)),
        "receiptHandle": "AQEB" + "x" * 300,
        "body": json.dumps({"Records": [{"s3": key, "padding": "y" * 700}]}),
        "attributes": {
            "ApproximateReceiveCount": "1",
            "SentTimestamp": "1790000000000",
            "SenderId": "AIDAIENQZJOLO23YVJ4VO",
            "ApproximateFirstReceiveTimestamp": "1790000000001",
        },
        "messageAttributes": {},
        "md5OfBody": "e4e68fb7bd0e697a0ae8f1bb342846b3",
        "eventSource": "aws:sqs",
        "eventSourceARN": "arn:aws:sqs:eu-central-1:123456789012:uploads",
        "awsRegion": "eu-central-1",
    }


def api_gateway() -> bytes:
    """Make a proxy event of version 1.0, 3.5 KB, as a browser behind CloudFront does."""
    headers = {
        "Accept": "application/json",
        "Authorization": "Bearer " + "t" * 900,
        "CloudFront-Viewer-Country": "DE",
        "Host": "abcdefghij.execute-api.eu-central-1.amazonaws.com",
        "User-Agent": "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0",
        "X-Amzn-Trace-Id": "Root=1-5e1b4151-43a0913a12345678912345",
        "X-Forwarded-For": "203.0.113.7, 198.51.100.9",
        "X-Forwarded-Port": "443",
        "X-Forwarded-Proto": "https",
    }
    return json.dumps(
        {
            "resource": "/v1/files/{id}",
            "path": "/v1/files/0123456789abcdef",
            "httpMethod": "GET",
            "headers": headers,
            "multiValueHeaders": {name: [value] for name, value in headers.items()},
            "queryStringParameters": {"state": "READY"},
            "multiValueQueryStringParameters": {"state": ["READY"]},
            "pathParameters": {"id": "0123456789abcdef"},
            "stageVariables": None,
            "requestContext": {
                "accountId": "123456789012",
                "apiId": "abcdefghij",
                "authorizer": {"principalId": "ann", "tenant": "acme", "scopes": "files:read files:write"},
                "identity": {"sourceIp": "203.0.113.7", "userAgent": headers["User-Agent"]},
                "path": "/prod/v1/files/0123456789abcdef",
                "requestId": "c6af9ac6-7b61-11e6-9a41-93e8deadbeef",
                "requestTimeEpoch": 1_790_000_000_000,
                "stage": "prod",
            },
            "body": None,
            "isBase64Encoded": False,
        }
    ).encode()
