"""S3 buckets: encrypted, owned by the account alone, private but for public prefixes; CORS, lifecycle, events."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import Any

from emulator.provision.report import Outcome, outcome, reporting
from emulator.provision.settings import Setting, none_if, settle
from emulator.provision.tasks import together
from shoebox.stack.deployment import ResolvedStack
from shoebox.stack.model import Bucket, Notification

_RULE = "abort-incomplete-multipart"
_ENCRYPTION = [{"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}]


async def ensure_buckets(resolved: ResolvedStack, s3: Any) -> list[Outcome]:
    """Every bucket as described."""
    return await together(*(_ensure(resolved, s3, name) for name in resolved.stack.buckets))


async def _ensure(resolved: ResolvedStack, s3: Any, name: str) -> Outcome:
    physical, bucket = resolved.name_of("bucket", name), resolved.stack.buckets[name]
    with reporting("bucket", physical):
        created = await none_if(s3.head_bucket(Bucket=physical), "404", "NoSuchBucket") is None
        if created:
            await s3.create_bucket(Bucket=physical, **_location(resolved.deployment.region))
        changed = await settle(
            [
                _access_block(s3, physical, bucket),  # before the policy, which it would refuse
                _policy(s3, physical, bucket, resolved.arn_of("bucket", name)),
                _ownership(s3, physical),
                _encryption(s3, physical),
                _cors(s3, physical, bucket, resolved),
                _lifecycle(s3, physical, bucket),
                _notifications(s3, physical, bucket, resolved),
            ]
        )
        return outcome("bucket", physical, created=created, changed=() if created else changed)


def _location(region: str) -> dict[str, Any]:
    """us-east-1 must not be named ("CreateBucket")."""
    return {} if region == "us-east-1" else {"CreateBucketConfiguration": {"LocationConstraint": region}}


def _access_block(s3: Any, name: str, bucket: Bucket) -> Setting:
    private = not bucket.public_prefixes
    wanted = {
        "BlockPublicAcls": True,
        "IgnorePublicAcls": True,
        "BlockPublicPolicy": private,
        "RestrictPublicBuckets": private,
    }

    async def write(value: Any) -> None:
        await s3.put_public_access_block(Bucket=name, PublicAccessBlockConfiguration=value)

    read = _reader(
        s3.get_public_access_block, name, _at("PublicAccessBlockConfiguration"), "NoSuchPublicAccessBlockConfiguration"
    )
    return Setting("public access", wanted, read, write)


def _policy(s3: Any, name: str, bucket: Bucket, arn: str) -> Setting:
    anyone = {
        "Effect": "Allow",
        "Principal": "*",
        "Action": "s3:GetObject",
        "Resource": [f"{arn}/{prefix}*" for prefix in bucket.public_prefixes],
    }
    wanted = {"Version": "2012-10-17", "Statement": [anyone]} if bucket.public_prefixes else None

    async def write(value: Any) -> None:
        if value is None:
            await s3.delete_bucket_policy(Bucket=name)
        else:
            await s3.put_bucket_policy(Bucket=name, Policy=json.dumps(value))

    read = _reader(s3.get_bucket_policy, name, lambda answer: json.loads(answer["Policy"]), "NoSuchBucketPolicy")
    return Setting("policy", wanted, read, write)


def _ownership(s3: Any, name: str) -> Setting:
    async def write(value: Any) -> None:
        await s3.put_bucket_ownership_controls(Bucket=name, OwnershipControls=value)

    read = _reader(s3.get_bucket_ownership_controls, name, _at("OwnershipControls"), "OwnershipControlsNotFoundError")
    return Setting("ownership", {"Rules": [{"ObjectOwnership": "BucketOwnerEnforced"}]}, read, write)


def _encryption(s3: Any, name: str) -> Setting:
    def algorithms(answer: dict[str, Any]) -> Any:
        rules = answer["ServerSideEncryptionConfiguration"]["Rules"]
        return [{key: rule[key] for key in ("ApplyServerSideEncryptionByDefault",) if key in rule} for rule in rules]

    async def write(value: Any) -> None:
        await s3.put_bucket_encryption(Bucket=name, ServerSideEncryptionConfiguration={"Rules": value})

    read = _reader(s3.get_bucket_encryption, name, algorithms, "ServerSideEncryptionConfigurationNotFoundError")
    return Setting("encryption", _ENCRYPTION, read, write)


def _cors(s3: Any, name: str, bucket: Bucket, resolved: ResolvedStack) -> Setting:
    wanted = bucket.cors and {
        "AllowedOrigins": [resolved.fill(origin) for origin in bucket.cors.origins],
        "AllowedMethods": list(bucket.cors.methods),
        "AllowedHeaders": list(bucket.cors.headers),
        "ExposeHeaders": list(bucket.cors.expose),
        "MaxAgeSeconds": 3600,
    }

    async def write(value: Any) -> None:
        if value is None:
            await s3.delete_bucket_cors(Bucket=name)
        else:
            await s3.put_bucket_cors(Bucket=name, CORSConfiguration={"CORSRules": [value]})

    def rule(answer: dict[str, Any]) -> Any:
        found = {"AllowedHeaders": [], "ExposeHeaders": []} | answer["CORSRules"][0]
        return {key: value for key, value in found.items() if key != "ID"}

    return Setting("cors", wanted, _reader(s3.get_bucket_cors, name, rule, "NoSuchCORSConfiguration"), write)


def _lifecycle(s3: Any, name: str, bucket: Bucket) -> Setting:
    days = bucket.abort_incomplete_multipart_days

    async def write(value: Any) -> None:
        if value is None:
            await s3.delete_bucket_lifecycle(Bucket=name)
            return
        abort = {"DaysAfterInitiation": value}
        rule = {"ID": _RULE, "Status": "Enabled", "Filter": {"Prefix": ""}, "AbortIncompleteMultipartUpload": abort}
        await s3.put_bucket_lifecycle_configuration(Bucket=name, LifecycleConfiguration={"Rules": [rule]})

    def days_in(answer: dict[str, Any]) -> Any:
        return answer["Rules"][0].get("AbortIncompleteMultipartUpload", {}).get("DaysAfterInitiation")

    read = _reader(s3.get_bucket_lifecycle_configuration, name, days_in, "NoSuchLifecycleConfiguration")
    return Setting("lifecycle", days, read, write)


def _notifications(s3: Any, name: str, bucket: Bucket, resolved: ResolvedStack) -> Setting:
    """S3 sends the queue an s3:TestEvent each time this is written."""

    async def write(_: Any) -> None:
        configuration = {"QueueConfigurations": [_to_queue(resolved, n) for n in bucket.notifications]}
        await s3.put_bucket_notification_configuration(Bucket=name, NotificationConfiguration=configuration)

    def routes(answer: dict[str, Any]) -> Any:
        return sorted(_route(configuration) for configuration in answer.get("QueueConfigurations", []))

    wanted = sorted(_route(_to_queue(resolved, n)) for n in bucket.notifications)
    return Setting("notifications", wanted, _reader(s3.get_bucket_notification_configuration, name, routes), write)


def _to_queue(resolved: ResolvedStack, notification: Notification) -> dict[str, Any]:
    """As S3 has it; one that named a function in stack.yaml names a queue here (shoebox.stack.s3_queues)."""
    queue = resolved.arn_of(*notification.destination)
    rules = [{"Name": "prefix", "Value": notification.prefix}] if notification.prefix else []
    return {"QueueArn": queue, "Events": list(notification.events), "Filter": {"Key": {"FilterRules": rules}}}


def _route(configuration: dict[str, Any]) -> tuple[str, list[str], list[str]]:
    rules = configuration.get("Filter", {}).get("Key", {}).get("FilterRules", [])
    return configuration["QueueArn"], sorted(configuration["Events"]), sorted(rule["Value"] for rule in rules)


def _at(key: str) -> Callable[[dict[str, Any]], Any]:
    return lambda answer: answer[key]


def _reader(
    call: Callable[..., Awaitable[Any]], name: str, pick: Callable[[dict[str, Any]], Any], *absent: str
) -> Callable[[], Awaitable[Any]]:
    """Reads one setting of a bucket; the `absent` codes mean that it has none."""

    async def read() -> Any:
        answer = await none_if(call(Bucket=name), *absent)
        return None if answer is None else pick(answer)

    return read
