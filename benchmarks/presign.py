"""CPU of a presigned PUT: Shoebox's presigner beside botocore's."""

from __future__ import annotations

from datetime import UTC, datetime

import boto3
from botocore.config import Config

from benchmarks.rounds import compare
from shoebox.aws.credentials import Credentials
from shoebox.aws.signing import Presigner

ENDPOINT = "http://127.0.0.1:4566"
CREDENTIALS = Credentials("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", "session-token")
KEY = "originals/demo/anna/fabcdefghijklmnopqrstuvwxyz234567"


def main() -> None:
    """Print the table."""
    client = boto3.client(
        "s3",
        endpoint_url=ENDPOINT,
        region_name="us-east-1",
        aws_access_key_id=CREDENTIALS.access_key_id,
        aws_secret_access_key=CREDENTIALS.secret_access_key,
        aws_session_token=CREDENTIALS.session_token,
        config=Config(
            signature_version="s3v4", s3={"addressing_style": "path"}, request_checksum_calculation="when_required"
        ),
    )
    target = {"Bucket": "shoebox-personal", "Key": KEY, "ContentLength": 5, "ContentType": "image/jpeg"}
    headers = {"content-length": "5", "content-type": "image/jpeg", "x-amz-checksum-sha256": "abc="}
    presigner = Presigner(CREDENTIALS, region="us-east-1", endpoint_url=ENDPOINT)
    timings = compare(
        {
            "botocore": lambda: client.generate_presigned_url("put_object", {**target, "ChecksumSHA256": "abc="}, 600),
            "shoebox": lambda: presigner.url(
                "PUT", "shoebox-personal", KEY, at=datetime.now(UTC), expires=600, headers=headers
            ),
        },
        calls=500,
    )
    print("| presigned PUT | CPU µs | wall µs |\n|---|---|---|")
    for name, timing in timings.items():
        print(f"| {name} | {timing.cpu_us:.0f} | {timing.wall_us:.0f} |")
    print(f"\nbotocore / shoebox: {timings['botocore'].cpu_us / timings['shoebox'].cpu_us:.1f} × CPU")


if __name__ == "__main__":
    main()
