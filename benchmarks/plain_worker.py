"""The peer: a worker as it is usually written. boto3 and Pillow, one message at a time.

Runs in a virtual environment of its own with plain Pillow (`benchmarks/pipeline.py` makes it), and takes its
addresses from the command line. It does what ingest does for a JPEG: fetch, verify, orient, three renditions,
conditional update, delete. It ends when told to on standard input.
"""

from __future__ import annotations

import hashlib
import io
import json
import resource
import sys
import threading
import time
from typing import Any
from urllib.parse import unquote_plus

import boto3
from botocore.config import Config
from PIL import Image, ImageOps


def main() -> None:
    """Consume the queue until standard input closes; then print the CPU seconds and peak memory used."""
    settings = json.loads(sys.argv[1])
    stop = threading.Event()
    threading.Thread(target=lambda: (sys.stdin.read(), stop.set()), daemon=True).start()
    aws = {
        "endpoint_url": settings["endpoint_url"],
        "region_name": settings["region"],
        "aws_access_key_id": settings["access_key_id"],
        "aws_secret_access_key": settings["secret_access_key"],
        "aws_session_token": settings["session_token"],
        "config": Config(s3={"addressing_style": "path"}),
    }
    sqs, s3, dynamodb = (boto3.client(name, **aws) for name in ("sqs", "s3", "dynamodb"))
    print("ready", flush=True)
    while not stop.is_set():
        answer = sqs.receive_message(QueueUrl=settings["queue_url"], WaitTimeSeconds=1)
        for message in answer.get("Messages", []):
            for record in json.loads(message["Body"]).get("Records", []):
                handle(s3, dynamodb, settings, unquote_plus(record["s3"]["object"]["key"]))
            sqs.delete_message(QueueUrl=settings["queue_url"], ReceiptHandle=message["ReceiptHandle"])
    usage = resource.getrusage(resource.RUSAGE_SELF)
    print(json.dumps({"cpu_seconds": usage.ru_utime + usage.ru_stime, "peak_mb": usage.ru_maxrss / 1024}), flush=True)


def handle(s3: object, dynamodb: object, settings: dict[str, Any], key: str) -> None:
    """One photo, from S3 to READY."""
    data = s3.get_object(Bucket=settings["bucket"], Key=key)["Body"].read()
    digest = hashlib.sha256(data).hexdigest()
    image = ImageOps.exif_transpose(Image.open(io.BytesIO(data))).convert("RGB")
    for size in settings["long_sides"]:
        rendition = image.copy()
        rendition.thumbnail((size, size), Image.Resampling.LANCZOS)
        out = io.BytesIO()
        rendition.save(out, "JPEG", quality=85)
        s3.put_object(Bucket=settings["bucket"], Key=f"plain-{key}/{size}.jpg", Body=out.getvalue())
    dynamodb.update_item(
        TableName=settings["table"],
        Key={"pk": {"S": key}},
        UpdateExpression="SET #state = :ready, finished_at = :now",
        ConditionExpression="#state = :registered AND sha256 = :sha256",
        ExpressionAttributeNames={"#state": "state"},
        ExpressionAttributeValues={
            ":ready": {"S": "READY"},
            ":now": {"N": str(time.time())},
            ":registered": {"S": "REGISTERED"},
            ":sha256": {"S": digest},
        },
    )


if __name__ == "__main__":
    main()
