"""The peer: ministack's own API Gateway and Lambda with the same functions, in its own process, without signatures."""

from __future__ import annotations

import io
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import boto3

_CODE = Path(__file__).with_name("handlers.py").read_text().replace("async def", "def")
_ROLE = "arn:aws:iam::000000000000:role/bench"
_REGION = "us-east-1"


@contextmanager
def ministack(folder: Path) -> Iterator[tuple[int, str]]:
    """Its process id, and the URL of a REST API with a cached authorizer in front of a no-op function."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "uvicorn", "ministack.app:app", "--port", str(port), "--loop", "uvloop"]
    quiet = ["--http", "httptools", "--log-level", "warning", "--no-access-log"]
    environment = {**os.environ, "AUTH": "false", "HOME": str(folder), "LAMBDA_EXECUTOR": "local"}
    with (
        (folder / "ministack.log").open("wb") as log,
        subprocess.Popen([*command, *quiet], cwd=folder, env=environment, stdout=log, stderr=log) as process,
    ):
        try:
            base = f"http://127.0.0.1:{port}"
            _wait(base)
            yield process.pid, f"{base}/restapis/{_rest_api(base)}/bench/_user_request_/x"
        finally:
            process.terminate()


def _rest_api(base: str) -> str:
    keys = {"aws_access_key_id": "test", "aws_secret_access_key": "test", "region_name": _REGION}
    functions = boto3.client("lambda", endpoint_url=base, **keys)
    arns = {name: _function(functions, name) for name in ("noop", "authorize")}
    api: Any = boto3.client("apigateway", endpoint_url=base, **keys)
    identity: str = api.create_rest_api(name="bench")["id"]
    root = api.get_resources(restApiId=identity)["items"][0]["id"]
    resource = api.create_resource(restApiId=identity, parentId=root, pathPart="x")["id"]
    authorizer = api.create_authorizer(
        restApiId=identity,
        name="gate",
        type="TOKEN",
        authorizerUri=_invocation(arns["authorize"]),
        identitySource="method.request.header.Authorization",
        authorizerResultTtlInSeconds=300,
    )["id"]
    method = {"restApiId": identity, "resourceId": resource, "httpMethod": "GET"}
    api.put_method(**method, authorizationType="CUSTOM", authorizerId=authorizer)
    api.put_integration(**method, type="AWS_PROXY", integrationHttpMethod="POST", uri=_invocation(arns["noop"]))
    api.create_deployment(restApiId=identity, stageName="bench")
    return identity


def _function(functions: Any, name: str) -> str:
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as content:
        content.writestr("handlers.py", _CODE)
    made = functions.create_function(
        FunctionName=name,
        Runtime="python3.13",
        Role=_ROLE,
        Handler=f"handlers.{name}",
        Code={"ZipFile": archive.getvalue()},
        Timeout=10,
    )
    return str(made["FunctionArn"])


def _invocation(arn: str) -> str:
    return f"arn:aws:apigateway:{_REGION}:lambda:path/2015-03-31/functions/{arn}/invocations"


def _wait(base: str) -> None:
    for _ in range(100):
        try:
            urllib.request.urlopen(f"{base}/_ministack/health", timeout=2).close()
            return
        except urllib.error.HTTPError:
            return
        except OSError:
            time.sleep(0.1)
    raise RuntimeError("ministack did not start")
