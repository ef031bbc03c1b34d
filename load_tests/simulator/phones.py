"""The phones: they register photos, poll for them, and PUT them into S3; what is refused is retried after a pause."""

from __future__ import annotations

import math
import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from fleet.limits.capacity import EVENTUAL, STRONG
from load_tests.simulator.backlog import Cohort
from load_tests.simulator.capacity import Writes
from load_tests.simulator.clock import Clock
from load_tests.simulator.invocations import Invocations
from load_tests.simulator.limits import API, AUTHORIZER, Limits
from load_tests.simulator.model import Parameters
from load_tests.simulator.tally import Tally


@dataclass(slots=True)
class TickRequests:
    """Requests of one tick that have passed so far: registrations, and polls."""

    registrations: int
    polls: int

    @property
    def all(self) -> int:
        """Both."""
        return self.registrations + self.polls

    def cut_to(self, passed: int) -> None:
        """Keep only so many, which have passed: of both kinds the same part."""
        if passed < self.all:
            self.registrations = passed * self.registrations // self.all
            self.polls = passed - self.registrations


class Phones:
    """All phones; `uploaded` is called with photos that are in S3. `cached`: the gateway caches authorizations."""

    def __init__(
        self,
        clock: Clock,
        limits: Limits,
        tally: Tally,
        parameters: Parameters,
        uploaded: Callable[[Cohort], None],
        *,
        cached: bool,
        seed: int,
    ) -> None:
        calls = parameters.calls
        self.api = Invocations(API, calls.api_seconds, clock, limits)
        self.authorizer = Invocations(AUTHORIZER, calls.authorizer_seconds, clock, limits)
        self._clock, self._limits, self._tally = clock, limits, tally
        self._parameters, self._calls = parameters, calls
        self._writes = Writes(*(units * calls.upload for units in calls.registration_writes))
        self._uploaded = uploaded
        self._cached = cached
        self._random = random.Random(seed)  # noqa: S311 - a simulation must repeat
        self._retries: dict[int, Counter[int]] = {}  # by tick: photos by attempt
        self._polls: dict[int, float] = {}
        self._part_of_poll = 0.0

    @property
    def waiting(self) -> bool:
        """Whether photos are still to be registered."""
        return bool(self._retries)

    def visit(self, photos: int) -> None:
        """Make this tick's requests: new photos, retried ones, and polls."""
        waves = self._retries.pop(self._clock.ticks, Counter())
        if photos:
            self._tally.offered += photos
            waves[1] += photos
        wanted = TickRequests(sum(map(self._batches, waves.values())), self._due_polls())
        if wanted.all:
            self._distribute(waves, wanted.registrations, self._passed(wanted))

    def _passed(self, requests: TickRequests) -> int:
        """Return how many registrations pass all limits."""
        now, billed = self._clock.now, self._tally.calls
        requests.cut_to(self._limits.request(now, requests.all))
        billed.requests += requests.all
        # A token is checked with the registration, and then cached for the polls of its upload.
        if self._cached:
            requests.registrations = self.authorizer.begin(requests.registrations)
        else:
            requests.cut_to(self.authorizer.begin(requests.all))
        requests.cut_to(self.api.begin(requests.all))
        if requests.all:
            requests.cut_to(self._limits.read(now, self._read_units(requests) / requests.all, requests.all))
        billed.read_units += self._read_units(requests)
        if not requests.registrations:
            return 0
        done = self._limits.write(now, self._writes, requests.registrations)
        billed.write_units += sum(self._writes) * done
        return done

    def _read_units(self, requests: TickRequests) -> float:
        # Registrations read consistently, polls eventually.
        return self._calls.upload * (STRONG * requests.registrations + EVENTUAL * requests.polls)

    def _distribute(self, waves: Counter[int], wanted: int, done: int) -> None:
        """Distribute the registrations that were done over the waves: of each the same part."""
        for attempt, photos in sorted(waves.items()):
            batches = self._batches(photos)
            passed = done * batches // wanted if done < wanted else batches
            done, wanted = done - passed, wanted - batches
            registered = min(photos, passed * self._calls.upload)
            if registered:
                self._registered(registered, passed)
            if photos > registered:
                self._refused(photos - registered, attempt)

    def _registered(self, photos: int, uploads: int) -> None:
        self._tally.registered += photos
        cohort = Cohort(self._clock.now, photos)
        self._clock.after(self._parameters.upload_seconds, partial(self._put, cohort, 1))
        each = self._parameters.poll_seconds / self._clock.tick
        first = self._clock.ticks + self._parameters.upload_seconds / self._clock.tick
        for n in range(math.ceil(self._calls.polls)):
            tick = round(first + each * (n + 1))
            self._polls[tick] = self._polls.get(tick, 0.0) + uploads * min(1.0, self._calls.polls - n)

    def _refused(self, photos: int, attempt: int) -> None:
        if attempt >= self._parameters.phone.max_attempts:
            self._tally.refused += photos
            return
        tick = self._clock.ticks + max(1, round(self._pause(attempt) / self._clock.tick))
        self._retries.setdefault(tick, Counter())[attempt + 1] += photos

    def _put(self, cohort: Cohort, attempt: int) -> None:
        now = self._clock.now
        passed = self._limits.put_original(now, cohort.photos)
        self._tally.calls.puts += passed
        if passed:
            self._tally.calls.messages += passed
            self._uploaded(cohort._replace(photos=passed, uploaded=now, visible=now))
        if not (rest := cohort.photos - passed):
            return
        if attempt >= self._parameters.phone.max_attempts:
            self._tally.refused += rest
            return
        self._clock.after(self._pause(attempt), partial(self._put, cohort._replace(photos=rest), attempt + 1))

    def _pause(self, attempt: int) -> float:
        """Return `RetryPolicy`'s pause: doubled each time, up to the longest, with jitter on top."""
        policy = self._parameters.phone
        return min(policy.max_pause, policy.first_pause * 2.0 ** (attempt - 1) + self._random.uniform(0, policy.jitter))

    def _due_polls(self) -> int:
        """Return the polls of this tick; a part of one is kept for the next tick."""
        self._part_of_poll += self._polls.pop(self._clock.ticks, 0.0)
        polls = int(self._part_of_poll)
        self._part_of_poll -= polls
        return polls

    def _batches(self, photos: int) -> int:
        return -(-photos // self._calls.upload)
