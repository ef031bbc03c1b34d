"""The stack's control port, asked over one kept connection. Blocking calls: under gevent, other greenlets go on."""

from __future__ import annotations

import http.client
import urllib.parse

from load_tests.observe.scrape import BadScrape, Scrape, parse_scrape

_FAULTS = (OSError, http.client.HTTPException, BadScrape)
TIMEOUT = 5.0
"""Seconds that a response may take; then the sample is a gap."""


class Source:
    """Scrapes the stack whose control port is at `url`."""

    def __init__(self, url: str, *, seconds: float = TIMEOUT) -> None:
        parts = urllib.parse.urlsplit(url)
        self._connection = http.client.HTTPConnection(parts.hostname or "", parts.port or 80, timeout=seconds)
        self.last_error = ""
        """Why the last sample failed; empty if it did not."""

    def look(self) -> Scrape | None:
        """Return what the stack reports now; None when it does not answer, or not as a fleet does."""
        try:
            scrape = parse_scrape(self._get("/metrics"), self._get("/quotas"))
        except _FAULTS as error:
            self._connection.close()
            self.last_error = str(error) or type(error).__name__
            return None
        except BaseException:  # a greenlet may be killed here: half a response would spoil the next sample
            self._connection.close()
            raise
        self.last_error = ""
        return scrape

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def _get(self, path: str) -> bytes:
        self._connection.request("GET", path)
        response = self._connection.getresponse()
        body = response.read()
        if response.status != 200:
            raise BadScrape(f"{path} answers {response.status}")
        return body
