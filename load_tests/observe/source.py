"""The stack's control port, asked over one kept connection. Blocking calls: under gevent, other greenlets go on."""

from __future__ import annotations

import http.client
import urllib.parse

from load_tests.observe.scrape import BadScrape, Scrape, parse_scrape

PATIENCE = 5.0
"""Seconds that an answer may take; then the look is a gap."""


class Source:
    """Looks at the stack whose control port is at `url`."""

    def __init__(self, url: str, *, seconds: float = PATIENCE) -> None:
        parts = urllib.parse.urlsplit(url)
        self._connection = http.client.HTTPConnection(parts.hostname or "", parts.port or 80, timeout=seconds)
        self.trouble = ""
        """Why the last look failed; empty if it did not."""

    def look(self) -> Scrape | None:
        """What the stack says now; None when it does not answer, or nothing that is understood."""
        try:
            scrape = parse_scrape(self._get("/metrics"), self._get("/quotas"))
        except (OSError, http.client.HTTPException, BadScrape) as error:
            self._connection.close()
            self.trouble = str(error) or type(error).__name__
            return None
        self.trouble = ""
        return scrape

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def _get(self, path: str) -> bytes:
        self._connection.request("GET", path)
        answer = self._connection.getresponse()
        body = answer.read()
        if answer.status != 200:
            raise BadScrape(f"{path} answers {answer.status}")
        return body
