"""Locust's entry: one scenario's phones, in one process or several. `./run load` starts it; so can you:

SHOEBOX_LOAD_SCENARIO=day locust -f load_tests/locustfile.py --headless --host http://127.0.0.1:8080 --processes 2

Its settings: load_tests/settings.py. Each Locust process has one user, which makes that process's share of all visits;
Locust's number of users says nothing here, for visits come at their own times (load_tests/generator.py).
"""

from __future__ import annotations

import sys
import time

import gevent
from gevent.event import Event
from locust import FastHttpUser, LoadTestShape, events, task
from locust.env import Environment

from load_tests.arrivals import Visit, visits
from load_tests.generator import LoadGenerator
from load_tests.locust_run import LocustRun, RunError
from load_tests.photos import Photo, Photos
from load_tests.records import PhotoRecord
from load_tests.service import ReadyRequests, Service
from load_tests.settings import LoadSettings
from load_tests.visit import PhoneVisit
from shoebox.config import ConfigError
from shoebox.tenants.keys import KeyFileError, KeyPair
from shoebox.tenants.tokens import MAX_LIFETIME, mint_token

try:
    SETTINGS = LoadSettings.from_environment()
    KEY = KeyPair.load(SETTINGS.key)
    RUN = LocustRun.of(SETTINGS)
except (ConfigError, KeyFileError, RunError) as error:
    sys.exit(f"load_tests: {error}")
PHOTOS = Photos.made(RUN.plan.mix, SETTINGS.seed)  # before Locust forks its workers: made once, shared by all


def on_init(environment: Environment, **_: object) -> None:
    """Connect the run with this Locust process."""
    RUN.join(environment)


events.init.add_listener(on_init)  # type: ignore[no-untyped-call]


class PhoneUser(FastHttpUser):
    """One Locust user that makes all visits of this process: Locust counts it as one, the report as many phones."""

    host = "http://127.0.0.1:8080"
    concurrency = 1000  # connections at once
    network_timeout = 60.0

    @task
    def run_visits(self) -> None:
        """Make this process's share of the visits, once."""
        self._give_up_at = time.monotonic() + RUN.plan.seconds + SETTINGS.drain_seconds
        generator = LoadGenerator(PHOTOS, RUN.records, self._visit, seed=SETTINGS.seed)
        generator.run(RUN.share.select(visits(RUN.plan.shape, SETTINGS.seed)))
        Event().wait()  # until Locust ends the user

    def _visit(self, visit: Visit, photos: list[Photo]) -> list[PhotoRecord]:
        users = RUN.plan.scenario.users
        user = f"load-{RUN.share.run}-{visit.number % users if users else visit.number}"
        token = mint_token(KEY, tenant=SETTINGS.tenant, user=user, lifetime=MAX_LIFETIME, now=time.time())
        phone = PhoneVisit(
            visit.number,
            Service(self.client, token, SETTINGS.s3_url),
            ReadyRequests(self.environment.events.request),
            poll_seconds=SETTINGS.poll_seconds,
            give_up_at=self._give_up_at,
            sleep=gevent.sleep,
        )
        return phone.run(photos)


class UserShape(LoadTestShape):
    """One user for each Locust process, until the run is over."""

    def tick(self) -> tuple[int, float] | None:
        """Return how many users there are to be, and how quickly they come; None ends the run."""
        return RUN.tick(self.get_run_time())  # type: ignore[no-untyped-call]
