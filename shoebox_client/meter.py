"""Counts the bytes of one file as they go out, for the report and for whoever shows progress."""

from __future__ import annotations

from shoebox_client import events
from shoebox_client.records import Record, Report
from shoebox_client.retry import Retry


class Meter:
    """Tells `tell` of each change; what was sent is added up in `report`."""

    def __init__(self, record: Record, report: Report, tell: events.Listener) -> None:
        self._record = record
        self._report = report
        self._tell = tell
        self._shown = 0

    def sent(self, count: int) -> None:
        """`count` bytes have gone out; a negative count takes them back."""
        self._report.bytes_sent += count
        self.kept(count)

    def kept(self, count: int) -> None:
        """`count` bytes are with the service already."""
        self._shown += count
        self._tell(events.Sent(self._record, count))

    def rewind(self) -> None:
        """Show nothing of this file as sent: it starts anew."""
        self.kept(-self._shown)

    def retrying(self, retry: Retry) -> None:
        """A try failed, and another follows."""
        self._tell(events.Retrying(self._record, retry.fault.detail, retry.since))
