"""Locust's entry: phones that upload photos and wait for them.

locust -f load_tests/locustfile.py --headless --users 10 --run-time 30s --stop-timeout 60 --host http://127.0.0.1:8080
"""

from __future__ import annotations

import sys
import time
import uuid
from collections.abc import Iterable

from locust import FastHttpUser, between, task

from load_tests.photos import Photos
from load_tests.readiness import Readiness
from load_tests.service import Service
from load_tests.settings import LoadSettings
from shoebox.config import ConfigError
from shoebox.keys import KeyFileError, KeyPair
from shoebox.tokens import MAX_LIFETIME, mint_token

try:
    SETTINGS = LoadSettings.from_environment()
    KEY = KeyPair.load(SETTINGS.key)
except (ConfigError, KeyFileError) as error:
    sys.exit(f"load_tests: {error}")
PHOTOS = Photos.made(SETTINGS)


class Phone(FastHttpUser):
    """A customer's phone: registers a few photos, sends them, and asks until all are READY or REJECTED."""

    host = "http://127.0.0.1:8080"
    wait_time = between(1, 3)

    def on_start(self) -> None:
        """Be a user of the shop, with a token of its own."""
        user = f"load-{uuid.uuid4().hex[:12]}"
        token = mint_token(KEY, tenant=SETTINGS.tenant, user=user, lifetime=MAX_LIFETIME, now=time.time())
        self.service = Service(self.client, token, SETTINGS.s3_url)
        self.readiness = Readiness(self.environment.events.request)

    @task
    def upload_photos(self) -> None:
        """One upload, to the end."""
        registered = self.service.register(PHOTOS.take(SETTINGS.photos))
        self._wait_for(entry["file_id"] for photo, entry in registered if self.service.upload(photo, entry["upload"]))

    def _wait_for(self, file_ids: Iterable[str]) -> None:
        open_ids = set(file_ids)
        give_up_at = time.monotonic() + SETTINGS.patience_seconds
        while open_ids and time.monotonic() < give_up_at:
            time.sleep(SETTINGS.poll_seconds)  # gevent's, by Locust's patch
            for file in self.service.look(sorted(open_ids)):
                if file["state"] != "REGISTERED":
                    open_ids.remove(file["file_id"])
                    self.readiness.settled(file)
        for _ in open_ids:
            self.readiness.gave_up(SETTINGS.patience_seconds)
