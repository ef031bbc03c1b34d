"""What the limits cost: CPU of the embedded emulator's process a call, with and without its limiter.

`python -m benchmarks.limiter`: two emulators, one without quotas and one with quotas that are too high to refuse, take
turns. The time is that of the process's threads on the CPU, as the kernel counts it. "Alone" is the limiter in this
process, in front of an application that answers at once, less that application: it shows less noise.
"""

from __future__ import annotations

import asyncio
import json
import statistics
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp

from emulator.embedded import ROOT_CREDENTIALS, Emulator
from emulator.limiter.middleware import Limiter
from fleet.http.asgi import App, Message, Receive, Response, Scope, Send, respond
from fleet.limits.quotas import DynamoDBQuotas, Quotas, S3Quotas, load_quotas
from shoebox.aws.clients import Clients

CALLS, ROUNDS = 300, 9
HUGE = 1e12
UNREACHED = Quotas(
    dynamodb=DynamoDBQuotas(**dict.fromkeys(DynamoDBQuotas.model_fields, HUGE)),
    s3=S3Quotas(prefix_writes=HUGE, prefix_reads=HUGE),
)
BODY = bytes(100_000)
SIGNED = "AWS4-HMAC-SHA256 Credential=test/20260101/us-east-1/{}/aws4_request, SignedHeaders=host, Signature=0"


@dataclass(frozen=True, slots=True)
class Call:
    """A request; `{n}` in its body and path is the number of the call."""

    name: str
    method: str = "POST"
    path: str = "/"
    operation: str = ""
    parameters: str = ""
    body: bytes = b""

    def of(self, n: int) -> tuple[str, str, dict[str, str], bytes]:
        """Return method, path, headers and body of call number n."""
        path = self.path.replace("{n}", str(n))
        if not self.operation:
            return self.method, path, {"Authorization": SIGNED.format("s3")}, self.body
        headers = {
            "Authorization": SIGNED.format("dynamodb"),
            "X-Amz-Target": f"DynamoDB_20120810.{self.operation}",
            "Content-Type": "application/x-amz-json-1.0",
        }
        return self.method, path, headers, self.parameters.replace("{n}", str(n)).encode()


def _item(pk: str, owner: str) -> dict[str, Any]:
    """About as large as a file's: 15 attributes, 0.9 KB."""
    texts = {f"attribute{n}": {"S": "x" * 50} for n in range(12)}
    return {"pk": {"S": pk}, "owner": {"S": owner}, "listed": {"S": pk}, **texts}


def _dynamodb(name: str, operation: str, **parameters: Any) -> Call:
    return Call(name, operation=operation, parameters=json.dumps({"TableName": "files", **parameters}))


def _keys(*names: str) -> list[dict[str, str]]:
    return [{"AttributeName": n, "KeyType": kind} for n, kind in zip(names, ("HASH", "RANGE"), strict=False)]


KEY = {"pk": {"S": "item{n}"}}
CALLED = [
    _dynamodb("PutItem, 0.9 KB, an index", "PutItem", Item=_item("item{n}", "owner{n}")),
    _dynamodb(
        "UpdateItem",
        "UpdateItem",
        Key=KEY,
        UpdateExpression="SET #s = :s",
        ExpressionAttributeNames={"#s": "state"},
        ExpressionAttributeValues={":s": {"S": "READY"}},
    ),
    _dynamodb("GetItem", "GetItem", Key=KEY, ConsistentRead=True),
    _dynamodb(
        "Query of an index, 20 items",
        "Query",
        IndexName="by-owner",
        KeyConditionExpression="#o = :o",
        ExpressionAttributeNames={"#o": "owner"},
        ExpressionAttributeValues={":o": {"S": "many"}},
    ),
    Call("S3 PUT, 100 KB", "PUT", "/bench-photos/originals/{n}", body=BODY),
    Call("S3 GET, 100 KB", "GET", "/bench-photos/originals/{n}"),
]


TABLE: dict[str, Any] = {
    "TableName": "files",
    "TableArn": "arn:aws:dynamodb:us-east-1:000000000000:table/files",
    "KeySchema": _keys("pk"),
    "BillingModeSummary": {"BillingMode": "PAY_PER_REQUEST"},
    "GlobalSecondaryIndexes": [
        {"IndexName": "by-owner", "KeySchema": _keys("owner", "listed"), "Projection": {"ProjectionType": "ALL"}}
    ],
}
ANSWERS = {
    "DescribeTable": json.dumps({"Table": TABLE}).encode(),
    "GetItem": json.dumps({"Item": _item("item", "owner")}).encode(),
    "Query": json.dumps({"Items": [_item("item", "many")] * 20, "Count": 20, "ScannedCount": 20}).encode(),
}
SENT = {"Host": "127.0.0.1", "Accept": "*/*", "User-Agent": "bench", "X-Amz-Date": "20260101T000000Z"}


async def main() -> None:
    """Print the table."""
    async with Emulator(quotas=load_quotas("off")) as without, Emulator(quotas=UNREACHED) as kept:
        for emulator in (without, kept):
            await _prepare(emulator)
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=1)) as session:
            times = await _rounds(session, {"without": without, "kept": kept})
    print(f"| CPU µs a call, median of {ROUNDS} rounds | without | with limits | more | alone |\n|---|---|---|---|---|")
    for call in CALLED:
        plain, limited = (statistics.median(times[call.name, name]) for name in ("without", "kept"))
        print(f"| {call.name} | {plain:,.0f} | {limited:,.0f} | {limited - plain:+,.0f} | {await _alone(call):,.0f} |")


async def _rounds(session: aiohttp.ClientSession, emulators: dict[str, Emulator]) -> dict[tuple[str, str], list[float]]:
    times: dict[tuple[str, str], list[float]] = {}
    for number in range(-1, ROUNDS):  # the first is not counted
        for call in CALLED:
            for name, emulator in emulators.items():
                spent = await _time(session, emulator, call)
                if number >= 0:
                    times.setdefault((call.name, name), []).append(spent)
    return times


async def _time(session: aiohttp.ClientSession, emulator: Emulator, call: Call) -> float:
    """Microseconds of the emulator's CPU a call."""
    before = _cpu_ns(emulator)
    for n in range(CALLS):
        method, path, headers, body = call.of(n)
        async with session.request(method, emulator.url + path, headers=headers, data=body or None) as answer:
            content = await answer.read()
            if answer.status != 200:
                raise RuntimeError(f"{call.name}: {answer.status} {content[:500]!r}")
    return (_cpu_ns(emulator) - before) / CALLS / 1000


async def _alone(call: Call) -> float:
    """Microseconds of the limiter itself a call."""
    times: dict[App, list[float]] = {Limiter(_respond, UNREACHED): [], _respond: []}
    for _ in range(ROUNDS):
        for app, spent in times.items():
            begin = time.process_time_ns()
            for n in range(CALLS):
                await _pass(app, call.of(n))
            spent.append((time.process_time_ns() - begin) / CALLS / 1000)
    limited, plain = (statistics.median(spent) for spent in times.values())
    return limited - plain


async def _pass(app: App, call: tuple[str, str, dict[str, str], bytes]) -> None:
    method, path, more, body = call
    named = {**SENT, **more, "Content-Length": str(len(body))}
    headers = [(name.lower().encode(), value.encode()) for name, value in named.items()]
    scope = {"type": "http", "method": method, "path": path, "query_string": b"", "headers": headers}

    async def receive() -> Message:
        return {"type": "http.request", "body": body}

    async def send(message: Message) -> None:
        pass

    await app(scope, receive, send)


async def _respond(scope: Scope, receive: Receive, send: Send) -> None:
    """Respond as DynamoDB or S3 would, at once."""
    target = next((value for name, value in scope["headers"] if name == b"x-amz-target"), b"")
    await receive()
    await respond(send, Response(200, ANSWERS.get(target.rpartition(b".")[2].decode(), b"{}")))


def _cpu_ns(emulator: Emulator) -> int:
    """Time on the CPU of all threads (proc(5), schedstat)."""
    tasks = Path(f"/proc/{emulator.pid}/task").iterdir()
    return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks)


async def _prepare(emulator: Emulator) -> None:
    """Create a table with an index, twenty items of one owner, and a bucket."""
    async with Clients(emulator.aws, ROOT_CREDENTIALS) as clients:
        dynamodb, s3 = await clients.open("dynamodb"), await clients.open("s3")
        await s3.create_bucket(Bucket="bench-photos")
        await dynamodb.create_table(
            TableName="files",
            KeySchema=TABLE["KeySchema"],
            AttributeDefinitions=[{"AttributeName": n, "AttributeType": "S"} for n in ("pk", "owner", "listed")],
            BillingMode="PAY_PER_REQUEST",
            GlobalSecondaryIndexes=TABLE["GlobalSecondaryIndexes"],
        )
        for n in range(20):
            await dynamodb.put_item(TableName="files", Item=_item(f"many{n}", "many"))


if __name__ == "__main__":
    asyncio.run(main())
