"""A visit to a service whose answers are known: what the phone does again, what it gives up, and what it notes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import pytest

from load_tests.photos import Photo
from load_tests.records import Document, Failure, Outcome
from load_tests.visit import RETRY, PhoneVisit

PHOTOS = [Photo("a.jpg", b"\xff\xd8a"), Photo("b.jpg", b"\xff\xd8b")]
THROTTLED, GONE = Failure("429 throttled", retryable=True), Failure("403 AccessDenied", retryable=False)
MOMENTS = {
    "registered_at": "2026-11-24T10:00:00.250Z",
    "uploaded_at": "2026-11-24T10:00:00.500Z",
    "received_at": "2026-11-24T10:00:01.000Z",
    "finished_at": "2026-11-24T10:00:01.500Z",
    "reason": None,
}


class AnsweringService:
    """Answers each call with the next of its list, and with the last one from then on."""

    def __init__(
        self, register: Sequence[Any] = (), upload: Sequence[Any] = (None,), files: Sequence[Any] = ()
    ) -> None:
        self._answers = {
            "register": [*register] or [[entry("f1"), entry("f2")]],
            "upload": [*upload],
            "files": [*files] or [[ready("f1"), ready("f2")]],
        }
        self.calls: list[str] = []

    def register(self, photos: Sequence[Photo]) -> list[Document] | Failure:
        """As load_tests.service.Service."""
        return self._next("register")

    def upload(self, photo: Photo, link: Document) -> Failure | None:
        """As load_tests.service.Service."""
        return self._next("upload")

    def files(self, file_ids: Sequence[str]) -> list[Document]:
        """As load_tests.service.Service: only of those that are asked for."""
        return [file for file in self._next("files") if file["file_id"] in file_ids]

    def _next(self, call: str) -> Any:
        self.calls.append(call)
        answers = self._answers[call]
        return answers.pop(0) if len(answers) > 1 else answers[0]


class Told:
    """What a phone tells Locust's statistics."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def finished(self, file: Document) -> None:
        """As load_tests.service.ReadyRequests."""
        self.told.append(file["state"])

    def gave_up(self, seconds: float) -> None:
        """As load_tests.service.ReadyRequests."""
        self.told.append("gave up")


def entry(file_id: str) -> Document:
    """Return a registered file's entry."""
    return {"file_id": file_id, "upload": {"url": "http://s3/x", "headers": {}}}


def ready(file_id: str, state: str = "READY", **changed: Any) -> Document:
    """Return the document of a file in its final state."""
    return {"file_id": file_id, "state": state, **MOMENTS, **changed}


def visit(service: AnsweringService, *, give_up_at: float = math.inf, pauses: list[float] | None = None) -> Any:
    """Make a visit of two photos; return its records, and what Locust's statistics were told."""
    told, slept = Told(), pauses if pauses is not None else []
    phone = PhoneVisit(
        7,
        service,
        told,
        poll_seconds=1.0,
        give_up_at=give_up_at,
        sleep=slept.append,  # type: ignore[arg-type]
    )
    return phone.run(PHOTOS), told.told


def test_all_goes_well() -> None:
    """Registered at once, each sent, asked for until both are READY; the moments are the service's."""
    service = AnsweringService(files=[[], [ready("f1"), {"file_id": "f2", "state": "REGISTERED"}], [ready("f2")]])

    records, told = visit(service)

    assert service.calls == ["register", "upload", "upload", "files", "files", "files"]
    assert [(record.visit, record.outcome) for record in records] == [(7, Outcome.READY)] * 2
    record = records[0]
    assert [round(at - record.registered, 3) for at in (record.uploaded, record.received, record.finished)] == [
        0.25,
        0.75,
        1.25,
    ]
    assert told == ["READY", "READY"]


def test_what_passes_is_tried_again() -> None:
    """A throttled registration and a throttled PUT succeed later, after pauses that grow."""
    pauses: list[float] = []
    service = AnsweringService(
        register=[THROTTLED, THROTTLED, [entry("f1"), entry("f2")]], upload=[THROTTLED, None, None]
    )

    records, _ = visit(service, pauses=pauses)

    assert {record.outcome for record in records} == {Outcome.READY}
    assert service.calls.count("register") == 3
    assert service.calls.count("upload") == 3
    assert 0.25 <= pauses[0] <= 0.5 <= pauses[1] <= 1.0


@pytest.mark.parametrize(
    ("service", "calls"),
    [
        pytest.param(AnsweringService(register=[THROTTLED]), ["register"] * RETRY.attempts, id="always throttled"),
        pytest.param(AnsweringService(register=[GONE]), ["register"], id="refused for good: asked once"),
    ],
)
def test_a_registration_that_never_succeeds_refuses_its_photos(service: AnsweringService, calls: list[str]) -> None:
    """Each photo is on record, with the reason."""
    records, told = visit(service)

    assert service.calls == calls
    assert [record.outcome for record in records] == [Outcome.REFUSED] * 2
    assert {record.reason for record in records} <= {"429 throttled", "403 AccessDenied"}
    assert told == []


def test_one_photo_that_fails_leaves_its_neighbour_alone() -> None:
    """Refused at registration or at the PUT, the other is READY."""
    problem = {"name": "a.jpg", "problem": {"code": "size_zero"}}
    records, _ = visit(AnsweringService(register=[[problem, entry("f2")]]))
    assert {(r.outcome, r.reason) for r in records} == {(Outcome.REFUSED, "size_zero"), (Outcome.READY, "")}

    records, _ = visit(AnsweringService(upload=[GONE, None]))
    assert {(r.outcome, r.reason) for r in records} == {(Outcome.REFUSED, "403 AccessDenied"), (Outcome.READY, "")}


def test_what_is_stored_already_is_not_sent() -> None:
    """No upload link: it is asked for all the same."""
    service = AnsweringService(register=[[{"file_id": "f1"}, {"file_id": "f2"}]])

    records, _ = visit(service)

    assert "upload" not in service.calls
    assert {record.outcome for record in records} == {Outcome.READY}


def test_a_rejected_photo_has_its_reason() -> None:
    """It is settled, and no failure of the service."""
    records, told = visit(AnsweringService(files=[[ready("f1"), ready("f2", "REJECTED", reason="truncated")]]))

    assert {(r.outcome, r.reason) for r in records} == {(Outcome.READY, ""), (Outcome.REJECTED, "truncated")}
    assert told == ["READY", "REJECTED"]


def test_nobody_waits_after_the_end_of_the_run() -> None:
    """What has no final state by then is unsettled."""
    records, told = visit(AnsweringService(), give_up_at=0.0)

    assert [record.outcome for record in records] == [Outcome.UNSETTLED] * 2
    assert told == ["gave up", "gave up"]


def test_a_phone_asks_less_often_as_time_goes_by() -> None:
    """From its interval to ten times that."""
    pauses: list[float] = []
    waiting: list[Document] = []
    visit(AnsweringService(files=[*[waiting] * 20, [ready("f1"), ready("f2")]]), pauses=pauses)

    assert pauses[0] == 1.0
    assert pauses == sorted(pauses)
    assert pauses[-1] == 10.0
