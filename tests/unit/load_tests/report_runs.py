"""Runs as the report gets them: christmas for eight minutes, naive, and a simulated day. Seeded, so always the same."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from functools import cache

from load_tests.results import (
    Cost,
    CostLine,
    Distribution,
    Limit,
    Offered,
    PhotoCounts,
    Process,
    Queue,
    RequestStats,
    Results,
    Series,
    Threshold,
    Throttle,
)

LOAD, DRAIN = 480, 41
_CPU = (
    ("emulator", 0.0155),
    ("function ingest", 0.013),
    ("function api", 0.005),
    ("fleet and gateway", 0.006),
    ("generator", 0.008),
)
BACKLOG_FROM, BACKLOG_UNTIL = 180, 430


def christmas(**changed: object) -> Results:
    """Ten times the peak within eight minutes, through the queue: it holds, and the queue takes what is too much."""
    return Results.model_validate(_christmas() | changed)


def naive(**changed: object) -> Results:
    """Return the same load with one function per S3 event: ingest takes all concurrency, the API is throttled."""
    return Results.model_validate(_christmas() | _naive() | changed)


def simulated_day(**changed: object) -> Results:
    """Return a simulated day of ten million uploads, by the minute: a backlog of hours."""
    return Results.model_validate(_christmas() | _simulated_day() | changed)


@cache  # making a run's parts takes half a second, and they are frozen
def _naive() -> dict[str, object]:
    random_ = random.Random(8)
    refused = _each(lambda t: max(0.0, 9 * math.sin((t - 150) / 300 * math.pi)) * random_.uniform(0.7, 1.3))
    return {
        "scenario": "naive",
        "title": "Naive: one function per S3 event",
        "about": "The load of christmas, and S3 invokes ingest itself, without a queue.",
        "photos": PhotoCounts(ready=13_306, rejected=0, refused=2_201, unfinished=713, lost=0, repeated=0),
        "ready_per_second": 25.5,
        "throttles": [
            Throttle(subject="ingest", reason="ConcurrentInvocationLimitExceeded", count=19_204),
            Throttle(subject="api", reason="ConcurrentInvocationLimitExceeded", count=2_841),
            Throttle(subject="authorizer", reason="ConcurrentInvocationLimitExceeded", count=211),
        ],
        "series": [
            *_series(9, held=False),
            _line("throttles/s", "api: ConcurrentInvocationLimitExceeded", "refusals/s", refused),
        ],
        "queues": [],
        "limits": [
            _limit("lambda.concurrency", "account", "invocations", 10, 10, throttled=22_256, first_at=151.0, ask=60)
        ],
        "notes": ["The stack: S3 invokes ingest for each photo; there is no queue."],
        "stages": _stages(wait=60.0),
        "thresholds": [_threshold("api_throttles", "==", 0, 3_052), _threshold("lost", "==", 0, 0)],
    }


@cache
def _simulated_day() -> dict[str, object]:
    minutes = [60.0 * n for n in range(1440)]
    offered = [116 * (1 + 0.95 * math.sin((t - 34_000) / 43_200 * math.pi)) for t in minutes]
    ready = [min(value, 150.0) for value in offered]
    backlog, waiting = [], 0.0
    for arrived, left in zip(offered, ready, strict=True):
        waiting = max(0.0, waiting + (arrived - (150 if waiting else left)) * 60)
        backlog.append(waiting)
    panels = (("photos/s", "offered", "photos/s", offered), ("photos/s", "ready", "photos/s", ready))
    panels += (("backlog", "uploads", "messages", backlog), ("delay", "p99", "s", [value / 150 for value in backlog]))
    return {
        "kind": "simulation",
        "scenario": "christmas",
        "title": "A day of ten million uploads",
        "seconds": 86_400,
        "drain_seconds": 0,
        "scale": 1,
        "quotas": "aws",
        "processes": [],
        "requests": [],
        "series": [
            Series(panel=panel, name=name, unit=unit, t=minutes, values=list(v)) for panel, name, unit, v in panels
        ],
    }


@cache
def _christmas() -> dict[str, object]:
    random_ = random.Random(7)
    return {
        "kind": "load",
        "scenario": "christmas",
        "title": "Christmas: ten times the peak",
        "about": "The busiest evening of the year in eight minutes: up to ten times an ordinary peak, and down again.",
        "started_at": "2026-11-24T18:02:11Z",
        "seconds": LOAD,
        "drain_seconds": DRAIN,
        "scale": 100,
        "quotas": "aws/100",
        "seed": 20261124,
        "config": {
            "stack": "queue",
            "peak per second": 62.5,
            "photo bytes": 102_400,
            "phones": 600,
            "workers": 2,
            "target": None,
        },
        "versions": {"shoebox": "0.1.0 (cd0e426)", "python": "3.11.9", "locust": "2.47.0", "ministack": "1.5.33"},
        "machine": {"processor": "AMD EPYC 7B13", "cores": 2, "memory MB": 7946},
        "invalid": [],
        "offered": Offered(visits=5_407, photos=16_220, bytes=1_660_000_000, missed=3, late_p99=0.041),
        "photos": PhotoCounts(ready=16_187, rejected=33, refused=0, unfinished=0, lost=0, repeated=4),
        "ready_per_second": 31.2,
        "stages": _stages(wait=3.2),
        "requests": _requests(random_),
        "limits": _limits(),
        "throttles": [
            Throttle(subject="ingest", reason="ReservedFunctionConcurrentInvocationLimitExceeded", count=212),
            Throttle(subject="personal-bucket", reason="SlowDown", count=18),
        ],
        "queues": _queues(),
        "processes": [
            Process(role="emulator", count=1, cpu_seconds=262.4, memory_mb=1_904.2),
            Process(role="function ingest", count=4, cpu_seconds=241.9, memory_mb=612.0),
            Process(role="function api", count=2, cpu_seconds=88.3, memory_mb=182.5),
            Process(role="function authorizer", count=1, cpu_seconds=11.2, memory_mb=61.7),
            Process(role="fleet and gateway", count=1, cpu_seconds=117.0, memory_mb=141.3),
            Process(role="generator", count=3, cpu_seconds=148.6, memory_mb=402.8),
        ],
        "cost": _cost(),
        "thresholds": [
            _threshold("lost", "==", 0, 0),
            _threshold("ready_p99", "<", 5, 4.21),
            _threshold("api_failures_share", "<", 0.001, 0.00042),
            _threshold("missed_share", "<", 0.01, 0.0002),
        ],
        "series": _series(7, held=True),
        "notes": [
            "Emulator, functions and generator share two cores: absolute rates are this machine’s, not AWS’s.",
            "Rendition downloads are not part of this scenario.",
        ],
    }


def _stages(wait: float) -> dict[str, Distribution | None]:
    random_ = random.Random(11)
    upload = [random_.lognormvariate(-1.1, 0.5) for _ in range(16_220)]
    queued = [random_.lognormvariate(-1.6, 0.6) + (wait * random_.random() if n % 3 == 0 else 0) for n in range(16_220)]
    work = [random_.lognormvariate(-0.9, 0.35) for _ in range(16_220)]
    stages = {
        "registered → uploaded": upload,
        "uploaded → received": queued,
        "received → ready": work,
        "uploaded → ready": [sum(times) for times in zip(queued, work, strict=True)],
        "registered → ready": [sum(times) for times in zip(upload, queued, work, strict=True)],
    }
    return {stage: Distribution.of(times) for stage, times in stages.items()}


def _threshold(metric: str, operator: str, bound: float, value: float) -> Threshold:
    ok = {"<": value < bound, "==": value == bound}[operator]
    return Threshold.model_validate({"metric": metric, "operator": operator, "bound": bound, "value": value, "ok": ok})


def _requests(random_: random.Random) -> list[RequestStats]:
    def request(name: str, count: int, middle: float, reasons: dict[str, int] | None = None) -> RequestStats:
        seconds = Distribution.of(random_.lognormvariate(math.log(middle), 0.5) for _ in range(count))
        failures = sum((reasons or {}).values())
        return RequestStats(name=name, count=count, failures=failures, seconds=seconds, reasons=reasons or {})

    return [
        request("POST /v1/files", 5_407, 0.081, {"429 TooManyRequests": 9, "503 Service Unavailable": 2}),
        request("PUT original", 16_220, 0.034, {"503 SlowDown": 18}),
        request("GET /v1/files?id=…", 21_004, 0.047),
    ]


def _limits() -> list[Limit]:
    return [
        _limit("lambda.concurrency", "account", "invocations", 7, 10),
        _limit("lambda.reserved_concurrency", "ingest", "invocations", 4, 4, throttled=212, first_at=188.0, ask=12),
        _limit("s3.put", "personal-bucket/originals/", "requests/s", 35, 35, throttled=18, first_at=241.5, ask=75),
        _limit("gateway.rate", "stage", "requests/s", 92.4, 100, ask=150),
        _limit("dynamodb.partition_writes", "files", "units/s", 6.5, 10),
        _limit("sqs.in_flight", "uploads", "messages", 83, 1_200),
        _limit("lambda.async_queue", "ingest", "events", 2, None),
        _limit("lambda.scaling", "cleanup", "environments", 0, 10),
    ]


def _limit(name: str, subject: str, unit: str, peak: float, maximum: float | None, **more: float | None) -> Limit:
    return Limit.model_validate(
        {"limit": name, "subject": subject, "unit": unit, "peak": peak, "most": maximum, "throttled": 0} | more
    )


def _queues() -> list[Queue]:
    def queue(name: str, depth: int, at: float | None, age: float | None, again: int | None) -> Queue:
        return Queue(name=name, peak_depth=depth, peak_depth_at=at, peak_age=age, received_again=again, dead_letters=0)

    return [
        queue("uploads", 2_114, 402.0, 38.4, 212),
        queue("cleanup", 0, None, None, 0),
        queue("uploads-dead", 0, None, None, None),
    ]


def _cost() -> Cost:
    rows = (
        ("Lambda", "requests", 2.34e6, "requests", 2e-7, True),
        ("Lambda", "GB-seconds, ingest", 131_000, "GB-s", 0.0000166667, True),
        ("API Gateway", "REST requests", 1.31e6, "requests", 3.5e-6, True),
        ("DynamoDB", "write units", 6.02e6, "units", 6.25e-7, True),
        ("DynamoDB", "read units", 1.9e6, "units", 1.25e-7, True),
        ("S3", "PUT", 4.0e6, "requests", 5e-6, True),
        ("S3", "GET", 1.0e6, "requests", 4e-7, True),
        ("SQS", "requests", 0.34e6, "requests", 4e-7, False),
        ("SNS", "publishes", 1.0e6, "requests", 5e-7, False),
    )
    lines = [
        CostLine(service=s, item=i, quantity=q, unit=u, price=p, usd=q * p, verified=v) for s, i, q, u, p, v in rows
    ]
    return Cost(dated="2026-11-20", region="us-east-1", lines=lines)


def _curve(t: float) -> float:
    return 6 + 55 * math.exp(-(((t - 240) / 105) ** 2)) if t < LOAD else 0.0


def _each(value: Callable[[float], float | None]) -> list[float | None]:
    return [value(float(t)) for t in range(LOAD + DRAIN)]


def _line(panel: str, name: str, unit: str, values: list[float | None]) -> Series:
    return Series(panel=panel, name=name, unit=unit, t=[float(t) for t in range(len(values))], values=values)


def _series(seed: int, *, held: bool) -> list[Series]:
    random_ = random.Random(seed)
    noisy = random_.gauss
    capacity = 57.0 if held else 26.0
    backlog, waiting = [], 0.0
    for t in range(LOAD + DRAIN):
        waiting = max(0.0, waiting + _curve(t) - capacity)
        backlog.append(waiting)

    def ready(t: float) -> float:
        return max(0.0, min(_curve(t) if not backlog[int(t)] else capacity, capacity) + noisy(0, 1.6))

    def concurrency(maximum: float, per: float) -> Callable[[float], float | None]:
        return lambda t: None if 300 <= t < 312 else round(min(maximum, _curve(t) * per + abs(noisy(0, 0.4))))

    age = [value / capacity for value in backlog]
    lines = [
        _line("photos/s", "offered", "photos/s", _each(lambda t: max(0.0, _curve(t) + noisy(0, 2)))),
        _line("photos/s", "ready", "photos/s", _each(ready)),
        _line("delay", "p50", "s", _each(lambda t: 0.8 + age[int(t)] + abs(noisy(0, 0.05)))),
        _line("delay", "p99", "s", _each(lambda t: 2.1 + 1.4 * age[int(t)] + abs(noisy(0, 0.3)))),
        _line("requests/s", "POST /v1/files", "requests/s", _each(lambda t: _curve(t) / 3 + abs(noisy(0, 1)))),
        _line("requests/s", "PUT original", "requests/s", _each(lambda t: _curve(t) + abs(noisy(0, 2)))),
        _line("requests/s", "GET /v1/files?id=…", "requests/s", _each(lambda t: _curve(t) * 1.3 + abs(noisy(0, 2)))),
        _line("API", "answers", "requests/s", _each(lambda t: _curve(t) * 1.6 + abs(noisy(0, 2)))),
        _line(
            "API", "failures", "requests/s", _each(lambda t: abs(noisy(0, 4)) if not held and 150 < t < 450 else 0.0)
        ),
        _line("concurrency", "ingest", "invocations", _each(concurrency(4 if held else 10, 0.12))),
        _line("concurrency", "api", "invocations", _each(concurrency(3, 0.05))),
        _line("concurrency", "authorizer", "invocations", _each(concurrency(2, 0.03))),
        _line("concurrency", "account limit", "invocations", _each(lambda _: 10.0)),
    ]
    if held:
        lines += [
            _line("concurrency", "ingest limit", "invocations", _each(lambda _: 4.0)),
            _line("backlog", "uploads waiting", "messages", list(backlog)),
            _line("backlog", "uploads in flight", "messages", _each(lambda t: min(40.0, _curve(t)))),
            _line("age", "uploads", "s", list(age)),
            _line(
                "throttles/s",
                "ingest: ReservedFunctionConcurrentInvocationLimitExceeded",
                "refusals/s",
                _each(lambda t: abs(noisy(0, 1.4)) if BACKLOG_FROM < t < BACKLOG_UNTIL else 0.0),
            ),
        ]
    lines += [
        _line("CPU", role, "cores", _each(lambda t, part=part: min(1.0, 0.03 + _curve(t) * part) + abs(noisy(0, 0.02))))
        for role, part in _CPU
    ]
    every = [float(t) for t in range(0, LOAD + DRAIN, 5)]
    lines += [
        Series(panel="memory", name=role, unit="MB", t=every, values=[base + grown * t for t in every])
        for role, base, grown in (
            ("emulator", 210.0, 3.25),
            ("function ingest", 560.0, 0.1),
            ("function api", 180.0, 0.005),
        )
    ]
    return lines
