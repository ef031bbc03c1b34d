"""ministack with less CPU and the same responses: what it computes anew for every request is remembered.

Each adjustment replaces one function of ministack by one that gives the same results; docs/operations/profile.md has
what each saves, and tests/emulator/test_emulator_tuning.py holds the results equal. They are made for one version:
another one is left as it is, and a test fails until the adjustments were checked against it.

The emulator's process imports this file with its package but nothing else of ours; ministack is loaded by then.
"""

from __future__ import annotations

import contextvars
import copy
import functools
import gc
import json
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from importlib.metadata import version
from itertools import islice
from types import SimpleNamespace
from typing import Any, TypeAlias

TUNED_VERSION = "1.5.33"
REMEMBERED = 1024  # results of one function; a program uses few policies, expressions and signing keys
YOUNG_OBJECTS = 20_000  # that Python makes before it looks for cycles among them; 700 by default
_EARLY = timedelta(minutes=15)  # that a presigned URL may be from the future, as ministack has it
_PRINCIPALS = frozenset({"Root", "User", "AssumedRole", "FederatedUser"})
_PLAIN = frozenset({str, int, float, bool, type(None), bytes})

Json: TypeAlias = Any
Statements: TypeAlias = list[Any]
Queue: TypeAlias = dict[str, Any]
"""A queue of ministack's, or a message in one."""


def tune() -> bool:
    """Adjust ministack in this process, once, before it serves; tell whether its version is the one that this suits."""
    if version("ministack") != TUNED_VERSION:
        return False
    _tune_routing()
    _tune_signatures()
    _tune_policies()
    _tune_dynamodb()
    _tune_notifications()
    _tune_queues()
    return True


def tune_collector() -> None:
    """Look for cycles more rarely, and never among what ministack loaded: few requests leave cycles."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG_OBJECTS, 20, 20)


def _tune_routing() -> None:
    from ministack.core import router

    # A hundred patterns were searched in the host of each S3 request, and found that it names no service.
    served = router._host_served_by_stack

    @functools.lru_cache(REMEMBERED)
    def names_a_service(host: str) -> bool:
        patterns = (each for service in router.SERVICE_PATTERNS.values() for each in service.get("host_patterns", []))
        return bool(served(host)) and any(router._anchored_host_pattern(each).search(host) for each in patterns)

    router._host_served_by_stack = names_a_service  # its only caller searches the same patterns if it is true


def _tune_signatures() -> None:
    from ministack.core import sigv4
    from ministack.services import s3

    # Four HMACs once a day for each key, as ministack has it for signed headers, and not for each presigned URL.
    sigv4.derive_signing_key = functools.lru_cache(REMEMBERED)(sigv4.derive_signing_key)
    # Credentials, tokens and header names, encoded once; and the time of a URL, read once.
    sigv4.uri_encode = functools.lru_cache(REMEMBERED)(sigv4.uri_encode)
    s3._presign_time_error = fast_presign_time_error(s3._presign_time_error, s3._PRESIGN_MAX_EXPIRES)
    s3.presigned_request_is_expired = fast_is_expired(s3.presigned_request_is_expired)


def fast_presign_time_error(refusal: Callable[[str, str, str], Any], longest: int) -> Callable[[str, str, str], Any]:
    """Wrap `_presign_time_error`, so that it is only called for URLs that it refuses."""

    def refused(stamp: str, seconds: str, path: str) -> Any:
        signed_at = _time_of(stamp)
        if signed_at is None or not seconds.isdigit() or int(seconds) > longest:
            return refusal(stamp, seconds, path)
        return None if signed_at <= datetime.now(UTC) + _EARLY else refusal(stamp, seconds, path)

    return refused


def fast_is_expired(judge: Callable[..., bool]) -> Callable[..., bool]:
    """Wrap `presigned_request_is_expired`, so that it is only called for what is malformed, or for another time."""

    def is_expired(stamp: str, seconds: str | int, **options: Any) -> bool:
        signed_at = _time_of(stamp)
        if signed_at is None or options or not str(seconds).isdigit():
            return judge(stamp, seconds, **options)
        return datetime.now(UTC) > signed_at + timedelta(seconds=int(seconds))

    return is_expired


@functools.lru_cache(REMEMBERED)
def _time_of(stamp: str) -> datetime | None:
    try:
        return datetime.strptime(stamp, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    except ValueError:
        return None


def _tune_policies() -> None:
    from ministack.core import iam_evaluator

    iam_evaluator.parse_policy_document = fast_parse_policy_document(iam_evaluator.parse_policy_document)
    iam_evaluator.evaluate_resource_policy = fast_evaluate_resource_policy(iam_evaluator.evaluate_resource_policy)
    iam_evaluator.request_caller_arn = caller_arn


def fast_parse_policy_document(parse: Callable[[Json], Statements]) -> Callable[[Json], Statements]:
    """Wrap `parse`, remembering what texts say; the statements are shared, the list of them is not."""
    remembered = functools.lru_cache(REMEMBERED)(parse)

    def parsed(document: Json) -> Statements:
        return list(remembered(document)) if isinstance(document, str) else parse(document)

    return parsed


def fast_evaluate_resource_policy(evaluate: Callable[..., Any]) -> Callable[..., Any]:
    """Wrap `evaluate`, giving it a policy's text as the parsed document, which it only reads."""

    def evaluated(document: Json, *arguments: Any, **options: Any) -> Any:
        return evaluate(_document(document) if isinstance(document, str) else document, *arguments, **options)

    return evaluated


@functools.lru_cache(REMEMBERED)
def _document(text: str) -> Json:
    """Parse a text as JSON; None where it is none, which `evaluate` takes for a policy without statements."""
    try:
        return json.loads(text)
    except ValueError:
        return None


def caller_arn(headers: Mapping[str, str], query_params: Mapping[str, Any] | None = None) -> str:
    """Return the caller's ARN as `iam_evaluator.request_caller_arn`, without gathering all policies to drop them."""
    from ministack.core.iam_evaluator import CredentialResolutionError, resolve_credential
    from ministack.core.responses import _account_from_sts_session, get_account_id
    from ministack.core.router import extract_access_key_id

    root = f"arn:aws:iam::{get_account_id()}:root"
    access_key = extract_access_key_id(headers or {}, query_params or {})
    if not access_key:
        return root
    found = resolve_credential(access_key, _account_from_sts_session(access_key) or get_account_id())
    if isinstance(found, CredentialResolutionError) or found.principal_type not in _PRINCIPALS:
        return root
    return found.principal_arn or root


def _tune_dynamodb() -> None:
    from ministack.services import dynamodb

    tokens = functools.lru_cache(REMEMBERED)(dynamodb._tokenize)
    dynamodb._tokenize = lambda expression: list(tokens(expression))
    dynamodb._condition_syntax_error = functools.lru_cache(REMEMBERED)(dynamodb._condition_syntax_error)
    dynamodb.copy = SimpleNamespace(deepcopy=fast_deepcopy)  # the module uses nothing else of `copy`


def fast_deepcopy(value: Json) -> Json:
    """Copy what JSON can hold, without the memory that `copy.deepcopy` has of what was copied: six times as fast."""
    kind = type(value)
    if kind is dict:
        return {name: each if type(each) in _PLAIN else fast_deepcopy(each) for name, each in value.items()}
    if kind is list:
        return [fast_deepcopy(each) for each in value]
    return value if kind in _PLAIN else copy.deepcopy(value)


def _tune_notifications() -> None:
    from ministack.services import s3

    s3._parse_notification_config_raw = functools.lru_cache(REMEMBERED)(s3._parse_notification_config_raw)
    s3._fire_s3_event_async = fast_fire_s3_event(s3._fire_s3_event_async)


def fast_fire_s3_event(in_a_thread: Callable[..., None]) -> Callable[..., None]:
    """Wrap `_fire_s3_event_async`, which starts a thread for each PUT to a bucket with notifications.

    Nothing is done where no configuration wants the event; a queue gets its message at once, which takes less than the
    thread would; topics, functions and EventBridge, which may take long, are left to the thread.
    """

    def notify(bucket_name: str, key: str, event_name: str, *arguments: Any, **details: Any) -> None:
        from ministack.services import s3

        raw = s3._bucket_notifications.get(bucket_name)
        if not raw:
            return
        kinds = event_destinations(raw, key, event_name)
        if "EventBridgeConfiguration" in raw or any(kind != "sqs" for kind in kinds):
            in_a_thread(bucket_name, key, event_name, *arguments, **details)
        elif kinds:
            details["sequencer"] = s3._next_event_sequencer(event_name)
            contextvars.copy_context().run(s3._fire_s3_event, bucket_name, key, event_name, *arguments, **details)

    return notify


def event_destinations(raw: str, key: str, event_name: str) -> Sequence[str]:
    """Return the kinds of the destinations that get the event, by a bucket's configuration."""
    from ministack.services import s3

    return [
        config["type"]
        for config in s3._parse_notification_config_raw(raw)
        if s3._event_matches(event_name, config["events"])
        and s3._key_matches_filter(key, config["filter_prefix"], config["filter_suffix"])
    ]


def _tune_queues() -> None:
    from ministack.services import sqs

    sqs._collect_msgs = fast_collect_msgs(sqs._collect_msgs, sqs._ensure_msg_fields, sqs.new_uuid)
    sqs._dlq_sweep = fast_dlq_sweep(sqs._dlq_sweep)
    delete = fast_delete_message_batch(sqs._act_delete_message_batch)
    sqs._act_delete_message_batch = delete
    for operations in (each for each in vars(sqs).values() if isinstance(each, dict)):
        if "DeleteMessageBatch" in operations:
            operations["DeleteMessageBatch"] = delete


def fast_collect_msgs(
    collect: Callable[[Queue, int, int], list[Queue]], ensure: Callable[[Queue], object], new_handle: Callable[[], str]
) -> Callable[[Queue, int, int], list[Queue]]:
    """Wrap `_collect_msgs`: for a standard queue, stop at the last message that is given."""

    def collected(queue: Queue, max_messages: int, visibility_timeout: int) -> list[Queue]:
        if queue["is_fifo"]:
            return collect(queue, max_messages, visibility_timeout)
        now = time.time()
        found = list(islice((m for m in queue["messages"] if m["visible_at"] <= now), max_messages))
        for message in found:
            ensure(message)
            message["receipt_handle"] = new_handle()
            message["visible_at"] = now + visibility_timeout
            message["receive_count"] += 1
            if message.get("first_receive_at") is None:
                message["first_receive_at"] = now
        return found

    return collected


def fast_dlq_sweep(sweep: Callable[[Queue], None]) -> Callable[[Queue], None]:
    """Wrap `_dlq_sweep`, so that it runs only where a message has been received before and may be received again."""

    def swept(queue: Queue) -> None:
        now = time.time()
        if any(m["receive_count"] and m["visible_at"] <= now for m in queue["messages"]):
            sweep(queue)

    return swept


def fast_delete_message_batch(delete: Callable[[Json, str], Json]) -> Callable[[Json, str], Json]:
    """Wrap `_act_delete_message_batch`, which goes through the whole queue for each of its ten entries.

    It is given a queue of those messages alone that the entries can mean, and what it leaves of them is put back.
    """
    from ministack.services import sqs

    def deleted(data: Json, url: str) -> Json:
        queue = sqs._get_q(data.get("QueueUrl", url), "sqs:DeleteMessage")
        handles = {entry.get("ReceiptHandle", "") for entry in data.get("Entries", [])}
        whole = queue["messages"]
        meant = [m for m in whole if m["receipt_handle"] in handles]
        queue["messages"] = list(meant)
        try:
            return delete(data, url)
        finally:
            gone = {id(m) for m in meant} - {id(m) for m in queue["messages"]}
            came = queue["messages"][len(meant) - len(gone) :]  # from another thread, meanwhile
            queue["messages"] = [m for m in whole if id(m) not in gone] + came

    return deleted
