"""compose.yaml as a developer uses it: up, upload, scale, trouble, down."""

from __future__ import annotations

import asyncio
import json
import re
import shutil
import subprocess
from collections import Counter
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from shoebox_client.records import Outcome
from tests.e2e.live_stack import SHORT_VISIBILITY, Change, changed_stack, fetch, photo, until
from tests.localstack.project import BUILD_SECONDS, ROOT, Project, project

PHOTOS = 120
SERVICES = {"localstack", "fleet", "api", "authorizer", "ingest", "cleanup"}
PROMETHEUS_CONFIG = "/etc/prometheus/prometheus.yml"


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Provide a stack.yaml whose messages come back soon."""
    return changed_stack(tmp_path_factory.mktemp("stack"), *SHORT_VISIBILITY)


@pytest.fixture(scope="module")
def up(stack: Path) -> Iterator[Project]:
    """Provide the stack in containers, for all tests of this module."""
    with project("shoebox-test", stack) as running:
        running.up()
        yield running


def test_everything_is_healthy_and_closed(up: Project) -> None:
    """Each service runs as nobody special, within a memory limit, and is published on 127.0.0.1 alone if at all."""
    containers = {c["Config"]["Labels"]["com.docker.compose.service"]: c for c in up.containers()}

    assert set(containers) == SERVICES
    for name, container in containers.items():
        assert container["State"]["Health"]["Status"] == "healthy", name
        assert container["HostConfig"]["Memory"] > 0, name
        assert container["Config"]["User"] not in ("", "root", "0"), name
        published = container["NetworkSettings"]["Ports"] or {}
        hosts = {binding["HostIp"] for bindings in published.values() for binding in bindings or []}
        assert hosts <= {"127.0.0.1"}, name
        assert not any("CERT_FILE" in variable or "PIP_CERT" in variable for variable in container["Config"]["Env"]), (
            name
        )
    published = {name for name, c in containers.items() if any((c["NetworkSettings"]["Ports"] or {}).values())}
    assert published == {"localstack", "fleet"}


async def test_the_gallery_works(up: Project, tmp_path: Path) -> None:
    """`docker compose run --rm token` gives a link; with its token a page's origin may upload and see its photo."""
    link = up.run("run", "--rm", "token").strip()
    gallery, _, token = link.partition("#token=")
    assert gallery == f"{up.url('SHOEBOX_PORT')}/"
    async with up.live() as live, aiohttp.ClientSession() as browser:
        async with browser.get(gallery) as page:
            assert (page.status, page.content_type) == (200, "text/html")
        data = photo(tmp_path, "a.jpg").read_bytes()
        promise = {"name": "a.jpg", "size": len(data), "content_type": "image/jpeg"}
        promise |= {"sha256": sha256(data).hexdigest()}
        headers = {"authorization": f"Bearer {token}"}
        async with browser.post(f"{gallery}v1/files", json={"files": [promise]}, headers=headers) as answer:
            [entry] = (await answer.json())["files"]
        upload = entry["upload"]
        origin = {"Origin": gallery.rstrip("/"), "Sec-Fetch-Mode": "cors"}
        sent = {k: v for k, v in upload["headers"].items() if k != "content-length"} | origin
        async with browser.put(upload["url"], data=data, headers=sent) as put:
            assert (put.status, put.headers["Access-Control-Allow-Origin"]) == (200, origin["Origin"])

        async def ready() -> dict[str, object] | None:
            async with browser.get(f"{gallery}v1/files/{entry['file_id']}", headers=headers) as answer:
                file: dict[str, object] = await answer.json()
                return file if file["state"] == "READY" else None

        file = await until(ready, 60)
        assert (await fetch(file["renditions"][2]["url"]))[:2] == b"\xff\xd8"
        asks = {"Origin": "http://evil.example", "Access-Control-Request-Method": "PUT"}
        async with browser.options(upload["url"], headers=asks) as preflight:
            assert "Access-Control-Allow-Origin" not in preflight.headers
        assert live.resolved.deployment.prefix == "shoebox"
        async with browser.get(f"{up.url('SHOEBOX_CONTROL_PORT')}/quotas") as answer:
            peaks = {use["limit"]: use["peak"] for use in (await answer.json())["limits"] if use["peak"]}
        kept_beside_localstack = {"dynamodb.partition_writes", "s3.prefix_writes", "s3.prefix_reads"}
        assert kept_beside_localstack | {"lambda.concurrency", "gateway.rate"} <= peaks.keys()


QUIET_WHEN_WELL = {"Waiting", "Errors", "Limits: how full", "Limits: refusals"}  # panels with a query for trouble


async def test_prometheus_answers_every_query(up: Project, tmp_path: Path) -> None:
    """Debian's Prometheus scrapes the fleet and every function; each panel's query has samples, no alert is wrong."""
    up.run("--profile", "metrics", "up", "-d", "--no-deps", "--build", "--wait", "prometheus", seconds=BUILD_SECONDS)
    up.run("--profile", "metrics", "exec", "-T", "prometheus", "promtool", "check", "config", PROMETHEUS_CONFIG)
    dashboard = json.loads((ROOT / "compose/grafana/dashboards/shoebox.json").read_text())
    queries = {target["expr"]: panel["title"] for panel in dashboard["panels"] for target in panel["targets"]}
    async with up.live() as live, aiohttp.ClientSession(up.url("SHOEBOX_PROMETHEUS_PORT")) as prometheus:

        async def ask(what: str, **parameters: str) -> Any:
            async with prometheus.get(f"/api/v1/{what}", params=parameters) as answer:
                document = await answer.json()
                assert document["status"] == "success", (parameters, document)
                return document["data"]

        async def scraped() -> bool:
            targets = (await ask("targets", state="active"))["activeTargets"]
            return Counter((t["labels"].get("function", "fleet"), t["health"]) for t in targets) == Counter(
                (name, "up") for name in SERVICES - {"localstack"}
            )

        await until(scraped, 60)
        seeds = iter(range(900, 1000))

        async def told() -> bool:
            """Work goes on meanwhile: a rate needs a change between two scrapes."""
            await live.upload(photo(tmp_path, f"{(seed := next(seeds))}.jpg", seed=seed))
            asked = {q: await ask("query", query=q.replace("$__rate_interval", "1m")) for q in queries}
            silent = {queries[query] for query, data in asked.items() if not data["result"]}
            return silent <= QUIET_WHEN_WELL

        await until(told, 60)
        rules = [rule for group in (await ask("rules"))["groups"] for rule in group["rules"]]
    assert {rule["health"] for rule in rules} == {"ok"}
    assert [rule["name"] for rule in rules if rule["state"] == "firing"] == []


async def test_a_worker_killed_under_load_loses_nothing(up: Project, tmp_path: Path) -> None:
    """Ingest is scaled from one to three under load, one is killed in mid-batch: every photo is READY exactly once."""
    photos = [photo(tmp_path / "photos", f"{n}.jpg", seed=n, size=120_000) for n in range(PHOTOS)]
    async with up.live() as live:
        events = await live.subscribe()
        uploading = asyncio.create_task(live.upload(*photos))

        async def told(number: int) -> None:
            async def enough() -> bool:
                return await events.take() >= number

            await until(enough, 120)

        await told(5)
        await asyncio.to_thread(up.run, "up", "-d", "--no-deps", "--no-recreate", "--scale", "ingest=3", "ingest")
        joined = len(up.containers("ingest"))
        await told(len(events.seen) + 10)
        victim = up.containers("ingest")[0]["Id"]
        await asyncio.to_thread(up.engine.run, "kill", "--signal", "KILL", victim)
        at_the_kill = len(events.seen)
        records = await uploading
        seen = await events.until(PHOTOS, 60)

        assert joined == 3
        assert at_the_kill < PHOTOS, "the kill came too late to prove anything"
        cut_off = [line for line in up.logs("fleet") if line["event"] == "environment_ended"]
        assert sum(line["invocations"] for line in cut_off) >= 1, "no batch was cut off"
        assert {record.outcome for record in records} == {Outcome.READY}
        assert len({event["event_id"] for event in seen}) == len({event["file_id"] for event in seen}) == PHOTOS
        assert {event["event"] for event in seen} == {"file.ready"}
        assert await live.waiting("uploads-dead") == (0, 0)


async def test_localstack_killed_and_back(up: Project, tmp_path: Path) -> None:
    """While LocalStack is away the API says so; when it is back, empty, all is made again and photos become READY."""
    async with up.live() as live, aiohttp.ClientSession() as http:
        up.run("kill", "localstack")
        async with http.get(f"{live.gateway_url}/healthz") as answer:
            assert answer.status == 503
        up.run("up", "-d", "--no-deps", "--wait", "localstack")

        async def well() -> bool:
            async with http.get(f"{live.gateway_url}/healthz") as answer:
                restored = any(line["event"] == "emulator_restored" for line in up.logs("fleet"))
                return restored and answer.status == 200

        await until(well, 60)
        [record] = await live.upload(photo(tmp_path, "after.jpg", seed=77))
        assert record.outcome is Outcome.READY


async def test_a_fleet_that_restarts_is_joined_again(up: Project, tmp_path: Path) -> None:
    """Functions wait for the fleet and join it again; their containers go on."""
    before = {c["Id"]: c["State"]["StartedAt"] for c in up.containers("api")}
    up.run("restart", "fleet")

    async def healthy() -> bool:
        """Compose's own --wait gives up at the first that is not: a function may be so while the fleet is away."""
        return {c["State"]["Health"]["Status"] for c in up.containers()} == {"healthy"}

    await until(healthy, 120)
    async with up.live() as live:
        [record] = await live.upload(photo(tmp_path, "again.jpg", seed=78))

    assert record.outcome is Outcome.READY
    assert {c["Id"]: c["State"]["StartedAt"] for c in up.containers("api")} == before


def test_a_wrong_stack_is_one_clear_message(tmp_path: Path) -> None:
    """`up` ends with a failure, and provision's log says what is wrong and where."""
    wrong = changed_stack(tmp_path, Change(r"memory: 2048", "memory: lots"))
    with project("shoebox-wrong", wrong) as broken:
        ended = broken.compose("up", "--build", "--wait")
        said = broken.run("logs", "--no-log-prefix", "provision")

    assert ended.returncode != 0
    assert "provision" in ended.stderr
    assert said.count("✗") == 1
    assert "functions.ingest.memory" in said
    assert "Traceback" not in said


def test_down_leaves_nothing(stack: Path) -> None:
    """No container, volume or network stays."""
    with project("shoebox-down", stack) as short:
        short.run("up", "--build", "-d", "localstack", "provision")
        assert short.leftovers()
        short.run("down", "--volumes")
        assert short.leftovers() == ""


def checkout(folder: Path) -> Path:
    """Return a copy of the project's own files, to change them."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for name in filter(None, listed.split("\0")):
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, target)
    return folder


async def test_a_source_change_reaches_the_function_in_seconds(tmp_path: Path) -> None:
    """With compose/reload.yaml a file that is saved is what the function runs, without a new image or container."""
    folder = checkout(tmp_path / "checkout")
    source = folder / "shoebox" / "config.py"
    with project("shoebox-reload", folder / "stack.yaml", folder) as reloading:
        files = ["--file", "compose.yaml", "--file", "compose/reload.yaml"]
        reloading.run(*files, "up", "--build", "--wait", seconds=BUILD_SECONDS)
        url = f"{reloading.url('SHOEBOX_PORT')}/v1/limits"
        async with aiohttp.ClientSession() as http:

            async def most_files() -> int:
                async with http.get(url) as answer:
                    return int((await answer.json())["max_batch"]) if answer.status == 200 else 0

            assert await most_files() == 100
            source.write_text(re.sub("(max_batch: .*default=)100", r"\g<1>99", source.read_text()))

            async def changed() -> bool:
                return await most_files() == 99

            await until(changed, 15)
