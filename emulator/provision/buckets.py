"""S3 buckets: encrypted, owned by the account alone, private but for public prefixes; CORS, lifecycle, events."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from emulator.provision.resources import Outcome, naming_errors, none_if, outcome
from emulator.tasks import together
from shoebox.stack.deployment import ResolvedStack
from shoebox.stack.model import Bucket, Notification

_RULE = "abort-incomplete-multipart"
_ENCRYPTION = [{"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}]


@dataclass(frozen=True, slots=True)
class _Setting:
    """A bucket's setting: `wanted`, the call that reads it, and what writes it; None means that there is none.

    `parse` takes the present value out of the response; the error code `absent` says that there is none.
    """

    name: str
    wanted: Any
    read: Callable[..., Awaitable[Any]]
    parse: Callable[[dict[str, Any]], Any]
    absent: str | None
    write: Callable[[Any], Awaitable[None]]

    async def present(self, bucket: str) -> Any:
        codes = (self.absent,) if self.absent else ()
        response = await none_if(self.read(Bucket=bucket), *codes)
        return None if response is None else self.parse(response)


async def ensure_buckets(resolved: ResolvedStack, s3: Any) -> list[Outcome]:
    """Create or update every bucket."""
    return await together(*(_ensure(resolved, s3, name) for name in resolved.stack.buckets))


async def _ensure(resolved: ResolvedStack, s3: Any, name: str) -> Outcome:
    physical, bucket = resolved.name_of("bucket", name), resolved.stack.buckets[name]
    with naming_errors("bucket", physical):
        created = await none_if(s3.head_bucket(Bucket=physical), "404", "NoSuchBucket") is None
        if created:
            region = resolved.deployment.region
            # us-east-1 must not be named ("CreateBucket").
            location = {} if region == "us-east-1" else {"CreateBucketConfiguration": {"LocationConstraint": region}}
            await s3.create_bucket(Bucket=physical, **location)
        settings = [
            _access_block(s3, physical, bucket),  # before the policy, which it would refuse
            _policy(s3, physical, bucket, resolved.arn_of("bucket", name)),
            _ownership(s3, physical),
            _encryption(s3, physical),
            _cors(s3, physical, bucket, resolved),
            _lifecycle(s3, physical, bucket),
            _notifications(s3, physical, bucket, resolved),
        ]
        present = await together(*(setting.present(physical) for setting in settings))
        different = [setting for setting, now in zip(settings, present, strict=True) if now != setting.wanted]
        for setting in different:  # one after the other: AWS refuses two writes at once to one bucket
            await setting.write(setting.wanted)
        changed = () if created else tuple(setting.name for setting in different)
        return outcome("bucket", physical, created=created, changed=changed)


def _access_block(s3: Any, name: str, bucket: Bucket) -> _Setting:
    private = not bucket.public_prefixes
    wanted = {
        "BlockPublicAcls": True,
        "IgnorePublicAcls": True,
        "BlockPublicPolicy": private,
        "RestrictPublicBuckets": private,
    }

    async def write(value: Any) -> None:
        await s3.put_public_access_block(Bucket=name, PublicAccessBlockConfiguration=value)

    return _Setting(
        "public access",
        wanted,
        read=s3.get_public_access_block,
        parse=lambda response: response["PublicAccessBlockConfiguration"],
        absent="NoSuchPublicAccessBlockConfiguration",
        write=write,
    )


def _policy(s3: Any, name: str, bucket: Bucket, arn: str) -> _Setting:
    anyone = {
        "Effect": "Allow",
        "Principal": "*",
        "Action": "s3:GetObject",
        "Resource": [f"{arn}/{prefix}*" for prefix in bucket.public_prefixes],
    }

    async def write(value: Any) -> None:
        if value is None:
            await s3.delete_bucket_policy(Bucket=name)
        else:
            await s3.put_bucket_policy(Bucket=name, Policy=json.dumps(value))

    return _Setting(
        "policy",
        {"Version": "2012-10-17", "Statement": [anyone]} if bucket.public_prefixes else None,
        read=s3.get_bucket_policy,
        parse=lambda response: json.loads(response["Policy"]),
        absent="NoSuchBucketPolicy",
        write=write,
    )


def _ownership(s3: Any, name: str) -> _Setting:
    async def write(value: Any) -> None:
        await s3.put_bucket_ownership_controls(Bucket=name, OwnershipControls=value)

    return _Setting(
        "ownership",
        {"Rules": [{"ObjectOwnership": "BucketOwnerEnforced"}]},
        read=s3.get_bucket_ownership_controls,
        parse=lambda response: response["OwnershipControls"],
        absent="OwnershipControlsNotFoundError",
        write=write,
    )


def _encryption(s3: Any, name: str) -> _Setting:
    def algorithms(response: dict[str, Any]) -> Any:
        rules = response["ServerSideEncryptionConfiguration"]["Rules"]
        return [{key: rule[key] for key in ("ApplyServerSideEncryptionByDefault",) if key in rule} for rule in rules]

    async def write(value: Any) -> None:
        await s3.put_bucket_encryption(Bucket=name, ServerSideEncryptionConfiguration={"Rules": value})

    return _Setting(
        "encryption",
        _ENCRYPTION,
        read=s3.get_bucket_encryption,
        parse=algorithms,
        absent="ServerSideEncryptionConfigurationNotFoundError",
        write=write,
    )


def _cors(s3: Any, name: str, bucket: Bucket, resolved: ResolvedStack) -> _Setting:
    wanted = bucket.cors and {
        "AllowedOrigins": [resolved.fill(origin) for origin in bucket.cors.origins],
        "AllowedMethods": list(bucket.cors.methods),
        "AllowedHeaders": list(bucket.cors.headers),
        "ExposeHeaders": list(bucket.cors.expose),
        "MaxAgeSeconds": 3600,
    }

    def rule(response: dict[str, Any]) -> Any:
        found = {"AllowedHeaders": [], "ExposeHeaders": []} | response["CORSRules"][0]
        return {key: value for key, value in found.items() if key != "ID"}

    async def write(value: Any) -> None:
        if value is None:
            await s3.delete_bucket_cors(Bucket=name)
        else:
            await s3.put_bucket_cors(Bucket=name, CORSConfiguration={"CORSRules": [value]})

    return _Setting("cors", wanted, read=s3.get_bucket_cors, parse=rule, absent="NoSuchCORSConfiguration", write=write)


def _lifecycle(s3: Any, name: str, bucket: Bucket) -> _Setting:
    async def write(value: Any) -> None:
        if value is None:
            await s3.delete_bucket_lifecycle(Bucket=name)
            return
        abort = {"DaysAfterInitiation": value}
        rule = {"ID": _RULE, "Status": "Enabled", "Filter": {"Prefix": ""}, "AbortIncompleteMultipartUpload": abort}
        await s3.put_bucket_lifecycle_configuration(Bucket=name, LifecycleConfiguration={"Rules": [rule]})

    def days_in(response: dict[str, Any]) -> Any:
        return response["Rules"][0].get("AbortIncompleteMultipartUpload", {}).get("DaysAfterInitiation")

    return _Setting(
        "lifecycle",
        bucket.abort_incomplete_multipart_days,
        read=s3.get_bucket_lifecycle_configuration,
        parse=days_in,
        absent="NoSuchLifecycleConfiguration",
        write=write,
    )


def _notifications(s3: Any, name: str, bucket: Bucket, resolved: ResolvedStack) -> _Setting:
    configurations = [_to_queue(resolved, notification) for notification in bucket.notifications]

    async def write(_: Any) -> None:
        # S3 sends each queue an s3:TestEvent whenever this is written.
        configuration = {"QueueConfigurations": configurations}
        await s3.put_bucket_notification_configuration(Bucket=name, NotificationConfiguration=configuration)

    return _Setting(
        "notifications",
        sorted(_route(configuration) for configuration in configurations),
        read=s3.get_bucket_notification_configuration,
        parse=lambda response: sorted(_route(each) for each in response.get("QueueConfigurations", [])),
        absent=None,
        write=write,
    )


def _to_queue(resolved: ResolvedStack, notification: Notification) -> dict[str, Any]:
    """Return a notification in S3's form; one that names a function has a queue (shoebox.stack.s3_queues)."""
    queue = resolved.arn_of(*notification.destination)
    rules = [{"Name": "prefix", "Value": notification.prefix}] if notification.prefix else []
    return {"QueueArn": queue, "Events": list(notification.events), "Filter": {"Key": {"FilterRules": rules}}}


def _route(configuration: dict[str, Any]) -> tuple[str, list[str], list[str]]:
    rules = configuration.get("Filter", {}).get("Key", {}).get("FilterRules", [])
    return configuration["QueueArn"], sorted(configuration["Events"]), sorted(rule["Value"] for rule in rules)
