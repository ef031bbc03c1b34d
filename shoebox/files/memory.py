"""The files service in memory, with faults on demand: for the tests of whatever works on files, Shoebox's or yours.

The stores keep to the same promises as those on AWS, and pass the same contract tests (tests/contract/stores). Every
call lets other tasks run first, as a call over a network does, and then is done in one step.

    files = MemoryFileStore()
    files.faults.add("mark_ready", Fault.LOST_RESPONSE)           # written, but its caller is told that it failed
    files.faults.add("register", Fault.THROTTLED, nth=2)          # the second call from now does nothing
    files.freeze()                                                # lists and polls are as of now, until `thaw`

A presigned link works as with S3, but for the network: `MemoryPictureStore.send` takes what a client sends by it.
"""

from __future__ import annotations

import asyncio
import base64
import copy
import hashlib
import hmac
import secrets
from collections import Counter
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from enum import Enum, auto
from functools import wraps
from typing import Any, Concatenate, ParamSpec, Protocol, TypeVar
from urllib.parse import parse_qsl, quote, unquote, urlencode, urlsplit

from shoebox.errors import Unavailable
from shoebox.files.events import FileEvent
from shoebox.files.links import LinkLifetimes, Links
from shoebox.files.model import FIRST_REVISION, File, FileKey, Generation, Owner, Picture, Registration, State
from shoebox.files.pictures import RENDITION_HEADERS, Original, Part
from shoebox.files.store import (
    MAX_DETAIL,
    REGISTRATION_SECONDS,
    Page,
    PendingDeletion,
    RegisterResult,
    Stages,
    from_cursor,
    is_visible,
    list_key,
    needs_registering,
    register_anew,
    stored_time,
    to_cursor,
)
from shoebox.files.ulid import new_ulid
from shoebox_client.renditions import RENDITIONS

MAX_PAGE_READS = 1600
"""How many files a page of a list looks at: where fewer fit, it is short, as with DynamoDB."""

P = ParamSpec("P")
T = TypeVar("T")


# --- faults ----------------------------------------------------------------------------------------------------------


class Fault(Enum):
    """How a call fails."""

    THROTTLED = auto()
    """Nothing is done; it raises Unavailable."""
    LOST_RESPONSE = auto()
    """It is done, and raises Unavailable."""
    NO_RESPONSE = auto()
    """It waits until it is cancelled; nothing is done."""


class Faults:
    """The faults that are planned, by the name of the call; and how often each was called."""

    def __init__(self) -> None:
        self.calls: Counter[str] = Counter()
        self._planned: dict[tuple[str, int], Fault | Exception] = {}

    def add(self, call: str, fault: Fault | Exception, *, nth: int = 1, times: int = 1) -> None:
        """Let `times` calls fail, from the `nth` from now on. An exception is raised as it is, and nothing is done."""
        first = self.calls[call] + nth
        for number in range(first, first + times):
            self._planned[call, number] = fault

    def clear(self) -> None:
        """Forget the planned faults."""
        self._planned.clear()

    def next(self, call: str) -> Fault | Exception | None:
        """Count a call, and return its fault."""
        self.calls[call] += 1
        return self._planned.pop((call, self.calls[call]), None)


class _Faulty(Protocol):
    faults: Faults


S = TypeVar("S", bound=_Faulty)


def _may_fail(
    call: Callable[Concatenate[S, P], Coroutine[Any, Any, T]],
) -> Callable[Concatenate[S, P], Coroutine[Any, Any, T]]:
    """Let a store's call fail as its `faults` say, and let other tasks run before it."""

    @wraps(call)
    async def wrapped(self: S, /, *args: P.args, **kwargs: P.kwargs) -> T:
        fault = self.faults.next(call.__name__)
        await asyncio.sleep(0)  # as a call over a network: without it no test would see a race
        if isinstance(fault, Exception):
            raise fault
        if fault is Fault.NO_RESPONSE:
            await asyncio.Event().wait()
        if fault is Fault.THROTTLED:
            raise Unavailable("Throttled, as the test wished.")
        result = await call(self, *args, **kwargs)
        if fault is Fault.LOST_RESPONSE:
            raise Unavailable("The response was lost, as the test wished.")
        return result

    return wrapped


# --- files -----------------------------------------------------------------------------------------------------------


class MemoryFileStore:
    """A `FileStore` in memory; `now` gives the time in UTC.

    `files` and `tombstones` are what it holds; a test may put a record there, or look.
    """

    def __init__(
        self,
        *,
        registration_seconds: int = REGISTRATION_SECONDS,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self.files: dict[FileKey, File] = {}
        self.tombstones: dict[Generation, PendingDeletion] = {}
        self.faults = Faults()
        self._registration_seconds = registration_seconds
        self._now = now
        self._frozen: dict[FileKey, File] | None = None

    def freeze(self) -> None:
        """Let `get_many` and `page`, which are eventually consistent, see everything as it stands now."""
        self._frozen = dict(self.files)

    def thaw(self) -> None:
        """Let all reads be consistent again."""
        self._frozen = None

    @_may_fail
    async def register(self, owner: Owner, registrations: Sequence[Registration]) -> RegisterResult:
        """Register files."""
        now, lifetime = self._now(), self._registration_seconds
        wanted = {FileKey(owner, owner.file_id(r.sha256)): r for r in registrations}
        for key, registration in wanted.items():
            before = self.files.get(key)
            if needs_registering(before, registration, now, lifetime=lifetime):
                file = register_anew(before, key, registration, now, lifetime=lifetime)
                if before and before.generation != file.generation:
                    self._put_tombstone(before.generation, before.upload_id, before.supersedes)
                self.files[key] = file
        return RegisterResult([self.files[FileKey(owner, owner.file_id(r.sha256))] for r in registrations])

    @_may_fail
    async def get(self, key: FileKey) -> File | None:
        """Return a file that its owner may see."""
        file = self.files.get(key)
        return file if file and is_visible(file, self._now()) else None

    @_may_fail
    async def get_many(self, keys: Iterable[FileKey]) -> list[File]:
        """Return those of some files that their owner may see, perhaps as they stood before."""
        seen = self._eventual()
        return [seen[key] for key in dict.fromkeys(keys) if key in seen and is_visible(seen[key], self._now())]

    @_may_fail
    async def states(self, keys: Iterable[FileKey]) -> dict[FileKey, File]:
        """Return any number of files as they stand now."""
        return {key: self.files[key] for key in keys if key in self.files}

    @_may_fail
    async def page(self, owner: Owner, *, limit: int, cursor: str | None = None, state: State | None = None) -> Page:
        """Return a page of the owner's files."""
        before = from_cursor(cursor) if cursor else "~"
        theirs = [file for key, file in self._eventual().items() if key.owner == owner and list_key(file) < before]
        theirs.sort(key=list_key, reverse=True)
        found: list[File] = []
        for file in theirs[:MAX_PAGE_READS]:
            if is_visible(file, self._now()) and state in (None, file.state):
                found.append(file)
            if len(found) == limit:
                return Page(found, to_cursor(list_key(file)))
        return Page(found, to_cursor(list_key(theirs[MAX_PAGE_READS - 1])) if len(theirs) > MAX_PAGE_READS else None)

    @_may_fail
    async def mark_ready(self, generation: Generation, picture: Picture, stages: Stages) -> bool:
        """Make a REGISTERED file READY."""
        return self._finish(generation, stages, state=State.READY, picture=picture)

    @_may_fail
    async def mark_rejected(self, generation: Generation, reason: str, detail: str, stages: Stages) -> bool:
        """Make a REGISTERED file REJECTED."""
        return self._finish(generation, stages, state=State.REJECTED, reason=reason, detail=detail[:MAX_DETAIL])

    @_may_fail
    async def start_deletion(self, key: FileKey) -> File | None:
        """Make a file DELETING, whatever its state."""
        file = self.files.get(key)
        if file and file.state is not State.DELETING:
            self.files[key] = replace(file, state=State.DELETING, register_until=None)
        return file

    @_may_fail
    async def write_tombstone(self, generation: Generation) -> None:
        """Write a tombstone, or give the one that is there a new mark."""
        there = self.tombstones.get(generation)
        self._put_tombstone(generation, there.upload_id if there else None, there.supersedes if there else None)

    @_may_fail
    async def pending_deletions(self, generation: Generation) -> list[PendingDeletion]:
        """Return the file and the tombstone, where they say that the generation is to be deleted."""
        file, tombstone = self.files.get(generation.key), self.tombstones.get(generation)
        pending = [tombstone] if tombstone else []
        if file and file.generation == generation and file.state is State.DELETING:
            revisions = frozenset({FIRST_REVISION, file.revision})
            pending.insert(0, PendingDeletion(generation, revisions, file.upload_id, file.supersedes))
        return pending

    @_may_fail
    async def remove(self, pending: PendingDeletion) -> None:
        """Delete the record, unless it has changed since it was read."""
        generation, file = pending.generation, self.files.get(pending.generation.key)
        if pending.mark:
            if generation in self.tombstones and self.tombstones[generation].mark == pending.mark:
                del self.tombstones[generation]
        elif file and file.generation == generation and file.state is State.DELETING:
            del self.files[generation.key]

    @_may_fail
    async def open_multipart(self, generation: Generation, upload_id: str) -> bool:
        """Note the multipart upload of a REGISTERED file, and renew its registration."""
        file = self._registered(generation)
        if file is None or file.upload_id not in (None, upload_id):
            return False
        until = int(self._now().timestamp()) + self._registration_seconds
        self.files[file.key] = replace(file, upload_id=upload_id, register_until=until)
        return True

    @_may_fail
    async def close_multipart(self, key: FileKey, upload_id: str) -> None:
        """Forget the multipart upload."""
        file = self.files.get(key)
        if file and file.upload_id == upload_id:
            self.files[key] = replace(file, upload_id=None)

    def _eventual(self) -> dict[FileKey, File]:
        return self.files if self._frozen is None else self._frozen

    def _registered(self, generation: Generation) -> File | None:
        file = self.files.get(generation.key)
        return file if file and file.generation == generation and file.state is State.REGISTERED else None

    def _finish(self, generation: Generation, stages: Stages, **found: Any) -> bool:
        file = self._registered(generation)
        if file is None:
            return False
        self.files[file.key] = replace(
            file,
            uploaded_at=stored_time(stages.uploaded_at),
            received_at=stored_time(stages.received_at),
            finished_at=stored_time(self._now()),
            register_until=None,
            upload_id=None,
            supersedes=None,
            **copy.deepcopy(found),  # a caller that changes its metadata later must not change what is stored
        )
        return True

    def _put_tombstone(self, generation: Generation, upload_id: str | None, supersedes: Generation | None) -> None:
        mark, revisions = new_ulid(self._now()), frozenset({FIRST_REVISION})
        self.tombstones[generation] = PendingDeletion(generation, revisions, upload_id, supersedes, mark)


# --- pictures --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class MemoryObject:
    """An object; `headers` are those that it came with, in lower case."""

    data: bytes
    headers: Mapping[str, str]
    stored_at: datetime


@dataclass(slots=True)
class _Upload:
    key: str
    media_type: str
    parts: dict[int, bytes] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class LinkResponse:
    """What a client gets when it uses a link: HTTP's status, headers, and a body."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""


class MemoryPictureStore:
    """A `PictureStore` in memory; `objects` by S3 key is what it holds, and `now` gives the time in UTC.

    Its links begin with `URL`. They are signed: `send` refuses what S3 would refuse.
    """

    URL = "https://pictures.memory.invalid/"

    def __init__(
        self, *, lifetimes: LinkLifetimes | None = None, now: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        self.objects: dict[str, MemoryObject] = {}
        self.faults = Faults()
        self._lifetimes = lifetimes or LinkLifetimes()
        self._now = now
        self._uploads: dict[str, _Upload] = {}
        self._secret = secrets.token_bytes(32)

    # What a client does with a link

    def url(
        self,
        method: str,
        key: str,
        *,
        at: datetime,
        expires: int,
        headers: Mapping[str, str] | None = None,
        query: Mapping[str, str] | None = None,
    ) -> str:
        """Return a URL valid for `expires` seconds from `at`; the client must send exactly `headers` with it."""
        until = {"expires": str(int((at + timedelta(seconds=expires)).timestamp())), "signed": ";".join(headers or ())}
        address = f"{self.URL}{quote(key)}?{urlencode({**(query or {}), **until})}"
        return f"{address}&signature={self._signature(method, address, headers or {})}"

    def send(self, method: str, url: str, data: bytes = b"", headers: Mapping[str, str] | None = None) -> LinkResponse:
        """Send a client's request by a link; refuse what was not signed, has expired, or does not fit its checksum.

        The content's length counts as sent, and need not be among the headers.
        """
        sent = {"content-length": str(len(data)), **{name.lower(): value for name, value in (headers or {}).items()}}
        address, _, signature = url.rpartition("&signature=")
        parts = urlsplit(address)
        query, key = dict(parse_qsl(parts.query, keep_blank_values=True)), unquote(parts.path.removeprefix("/"))
        signed = {name: sent.get(name, "") for name in query.get("signed", "").split(";") if name}
        if not hmac.compare_digest(signature, self._signature(method, address, signed)):
            return LinkResponse(403)
        if self._now().timestamp() >= int(query["expires"]):
            return LinkResponse(403)
        if method == "GET":
            stored = self.objects.get(key)
            given = {n.removeprefix("response-"): v for n, v in query.items() if n.startswith("response-")}
            return LinkResponse(200, {**stored.headers, **given}, stored.data) if stored else LinkResponse(404)
        checksum = sent.get("x-amz-checksum-sha256")
        if checksum is not None and base64.b64encode(hashlib.sha256(data).digest()).decode() != checksum:
            return LinkResponse(400)
        if "uploadId" not in query:
            self.put(key, data, **{n: v for n, v in sent.items() if n not in ("content-length", "host")})
            return LinkResponse(200)
        upload = self._uploads.get(query["uploadId"])
        if upload is None or upload.key != key:
            return LinkResponse(404)
        upload.parts[int(query["partNumber"])] = data
        return LinkResponse(200)

    def put(self, key: str, data: bytes, **headers: str) -> None:
        """Store an object as it is, without a link."""
        self.objects[key] = MemoryObject(data, headers, self._now())

    def _signature(self, method: str, address: str, headers: Mapping[str, str]) -> str:
        text = "\n".join([method, address, *(f"{name}:{value}" for name, value in headers.items())])
        return hmac.new(self._secret, text.encode(), hashlib.sha256).hexdigest()

    # What Shoebox does

    async def links(self, at: datetime) -> Links:
        """Return what signs links as of this moment."""
        return Links(self, self._lifetimes, at=at)

    @_may_fail
    async def fetch(self, generation: Generation, *, max_bytes: int) -> Original | None:
        """Return the original."""
        stored = self.objects.get(generation.original)
        if stored is None:
            return None
        data = stored.data if len(stored.data) <= max_bytes else None
        return Original(data, len(stored.data), stored.stored_at, stored.headers.get("content-encoding", ""))

    @_may_fail
    async def has_original(self, generation: Generation) -> bool:
        """Return whether the original is there."""
        return generation.original in self.objects

    @_may_fail
    async def put_rendition(self, generation: Generation, name: str, jpeg: bytes) -> None:
        """Store a rendition of the first revision."""
        self.put(generation.rendition(FIRST_REVISION, name), jpeg, **RENDITION_HEADERS)

    @_may_fail
    async def delete_all(self, generation: Generation, revisions: Iterable[str]) -> None:
        """Delete the original and every rendition of these revisions."""
        renditions = (generation.rendition(revision, name) for revision in revisions for name in RENDITIONS)
        for key in (generation.original, *renditions):
            self.objects.pop(key, None)

    @_may_fail
    async def create_multipart(self, generation: Generation, media_type: str) -> str:
        """Open a multipart upload; return its upload id."""
        upload_id = secrets.token_hex(16)
        self._uploads[upload_id] = _Upload(generation.original, media_type)
        return upload_id

    @_may_fail
    async def parts(self, generation: Generation, upload_id: str) -> list[Part] | None:
        """Return the parts that have arrived, in order."""
        upload = self._upload(generation, upload_id)
        if upload is None:
            return None
        return [
            Part(number, len(data), f'"{hashlib.sha256(data).hexdigest()[:32]}"', hashlib.sha256(data).hexdigest())
            for number, data in sorted(upload.parts.items())
        ]

    @_may_fail
    async def complete_multipart(self, generation: Generation, upload_id: str, parts: list[Part]) -> bool:
        """Join the parts into the original."""
        upload = self._upload(generation, upload_id)
        if upload is None:
            return False
        data = b"".join(upload.parts[part.number] for part in parts)
        self.put(upload.key, data, **{"content-type": upload.media_type})
        del self._uploads[upload_id]
        return True

    @_may_fail
    async def abort_multipart(self, generation: Generation, upload_id: str) -> None:
        """Give up an upload and free its parts."""
        if self._upload(generation, upload_id):
            del self._uploads[upload_id]

    def _upload(self, generation: Generation, upload_id: str) -> _Upload | None:
        upload = self._uploads.get(upload_id)
        return upload if upload and upload.key == generation.original else None


# --- events and deletions --------------------------------------------------------------------------------------------


class MemoryEventPublisher:
    """An `EventPublisher` in memory: `events` holds what was published, in order."""

    def __init__(self) -> None:
        self.events: list[FileEvent] = []
        self.faults = Faults()

    @_may_fail
    async def publish(self, events: Sequence[FileEvent]) -> None:
        """Publish events."""
        self.events.extend(events)


@dataclass(frozen=True, slots=True)
class DeletionOrder:
    """An order as it was given."""

    generation: Generation
    after_ingest: bool


class MemoryDeletionQueue:
    """A `DeletionQueue` in memory: `orders` holds what was ordered, in order; nothing carries it out."""

    def __init__(self) -> None:
        self.orders: list[DeletionOrder] = []
        self.faults = Faults()

    @_may_fail
    async def order(self, generation: Generation, *, after_ingest: bool = False) -> None:
        """Order the deletion of a generation's objects."""
        self.orders.append(DeletionOrder(generation, after_ingest))
