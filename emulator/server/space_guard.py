"""Requests that would fill the emulator's disk are refused before it is full; reads and deletes go on.

Objects that trigger an event (uploads) are refused first, so that what was accepted can still be finished: an upload's
renditions and its item need room, too. Nor are messages about new objects given out: their work would fail for want of
room, and after a few receives they would be dead letters. S3 responds with 507, which no AWS
client tries again (AWS itself never fills up; MinIO responds with the same); the other services with 503.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import orjson

from emulator.disk_space import disk_full_message, free_and_reserve
from emulator.limiter.error_responses import s3_error, s3_refusal_headers
from emulator.limiter.forwarding import replay
from emulator.limiter.s3 import S3, request_for_objects, service_of
from fleet.http.asgi import (
    App,
    BodyTooLarge,
    Disconnected,
    Receive,
    Response,
    Scope,
    Send,
    header,
    json_response,
    read_body,
    respond,
)

CODE = "InsufficientStorage"
_RECEIVE = "AmazonSQS.ReceiveMessage"
_RECEIVE_MAX_BYTES = 65_536
_READS_AND_DELETES = (
    *("Get", "BatchGet", "TransactGet", "Query", "Scan", "Describe", "List", "Receive"),
    *("Delete", "ChangeMessageVisibility"),
)


class SpaceGuard:
    """Refuses what writes while the disk has no room for it, or while the state cannot be saved.

    `triggers_event` tells of a bucket and a key whether a new object has an event; `receives_events` tells of a queue
    whether such events are sent to it.
    """

    def __init__(
        self,
        application: App,
        folder: Path,
        triggers_event: Callable[[str, str], bool],
        receives_events: Callable[[str], bool],
        space: Callable[[Path], tuple[int, int]] = free_and_reserve,
    ) -> None:
        self._application = application
        self._folder = folder
        self._triggers_event = triggers_event
        self._receives_events = receives_events
        self._space = space
        self._unsaved: str | None = None

    def note_save(self, failure: str | None) -> None:
        """Learn that the state was saved (None), or why it was not."""
        self._unsaved = failure

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        if scope["type"] == "http" and (refused := self.refusal(scope)):
            await respond(send, refused)
            return
        if scope["type"] == "http" and header(scope, b"x-amz-target") == _RECEIVE and not self._has_room_for_results():
            await self._receive_message(scope, receive, send)
            return
        await self._application(scope, receive, send)

    def _has_room_for_results(self) -> bool:
        """Tell whether there is room for the renditions and the items of messages that are given out now."""
        free, reserve = self._space(self._folder)
        return not self._unsaved and free >= reserve // 2

    async def _receive_message(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuse to receive events of new objects; other queues' messages, such as deletion orders, may make room."""
        try:
            body = await read_body(scope, receive, _RECEIVE_MAX_BYTES)
            queue = str(orjson.loads(body)["QueueUrl"]).rpartition("/")[2]
        except Disconnected:
            return
        except (BodyTooLarge, ValueError, KeyError, TypeError):
            await respond(send, json_response(400, {"__type": "SerializationException"}))
            return
        if self._receives_events(queue):
            await respond(send, self._unavailable())
        else:
            await self._application(scope, replay(body, receive), send)

    def refusal(self, scope: Scope) -> Response | None:
        """Return the response to a request that there is no room for; None where it may pass."""
        if target := header(scope, b"x-amz-target"):
            return self._refusal_of_call(target)
        headers = dict(scope["headers"])
        if scope["method"] not in ("PUT", "POST") or service_of(scope, headers) != S3:
            return None
        wanted = request_for_objects(scope, header(scope, b"host"))
        if wanted is None or not wanted[1]:  # a bucket's settings, DeleteObjects
            return None
        free, reserve = self._space(self._folder)
        announced = header(scope, b"content-length")
        left = free - (int(announced) if announced.isdigit() else 0)
        if not self._unsaved and left >= (reserve if self._triggers_event(wanted[0], wanted[1]) else reserve // 4):
            return None
        return s3_error(507, CODE, disk_full_message(self._folder), s3_refusal_headers(headers))

    def _refusal_of_call(self, target: str) -> Response | None:
        # DynamoDB's and SQS's writes are small: they pass until the state cannot be saved any more.
        call = target.removeprefix("DynamoDB_20120810.").removeprefix("AmazonSQS.")
        if self._unsaved is None or call == target or call.startswith(_READS_AND_DELETES):
            return None
        return self._unavailable()

    def _unavailable(self) -> Response:
        return json_response(503, {"__type": "ServiceUnavailable", "message": disk_full_message(self._folder)})
