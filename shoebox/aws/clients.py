"""AWS clients for asyncio: one session and one configuration for the whole project.

aiobotocore is imported when the first client is opened: it takes a tenth of a second, which a cold start may not need.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from functools import cached_property
from typing import TYPE_CHECKING, Any, Self

from shoebox.aws.credentials import Credentials
from shoebox.config import AwsSettings, ConfigError

if TYPE_CHECKING:
    from aiobotocore.config import AioConfig
    from aiobotocore.session import AioSession


def client_config(*, connections: int = 50) -> AioConfig:
    """Return short time-outs, standard retries, path-style S3, checksums only where asked.

    Parameter validation is off: our own models have checked what we send, and it costs CPU on every call.
    """
    from aiobotocore.config import AioConfig

    return AioConfig(
        connect_timeout=3,
        read_timeout=25,
        max_pool_connections=connections,
        retries={"mode": "standard", "total_max_attempts": 4},
        parameter_validation=False,
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
        s3={"addressing_style": "path"},
    )


class Clients:
    """Opens AWS clients and closes them all at the end of its `async with`.

    Without `credentials` they come from AWS's own environment variables, as on Lambda.
    """

    def __init__(self, settings: AwsSettings, credentials: Credentials | None = None, *, connections: int = 50) -> None:
        self._settings = settings
        self._credentials = credentials
        self._connections = connections
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self._stack.aclose()

    async def open(self, service: str) -> Any:
        """Return an aiobotocore client for `service` ("s3", "sqs", "dynamodb", …), closed with this object."""
        keys = self._credentials
        create: Any = self._session.create_client
        client = create(
            service,
            region_name=self._settings.region,
            endpoint_url=self._settings.endpoint_url,
            aws_access_key_id=keys.access_key_id if keys else None,
            aws_secret_access_key=keys.secret_access_key if keys else None,
            aws_session_token=keys.session_token if keys else None,
            config=client_config(connections=self._connections),
        )
        return await self._stack.enter_async_context(client)

    def when_needed(self, service: str) -> Callable[[], Awaitable[Any]]:
        """Return what gives one client for `service`, opened when it is first asked for."""
        lock, opened = asyncio.Lock(), list[Any]()

        async def client() -> Any:
            async with lock:
                if not opened:
                    opened.append(await self.open(service))
                return opened[0]

        return client

    async def credentials(self) -> Credentials:
        """Return the credentials in use, for signing.

        Raises:
            ConfigError: AWS's environment variables name none.
            AwsError: they cannot be renewed.
        """
        if self._credentials:
            return self._credentials
        from shoebox.aws.botocore_errors import aws_errors

        with aws_errors():
            found = await self._session.get_credentials()
            if found is None:
                raise ConfigError("No AWS credentials: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY.")
            frozen = await found.get_frozen_credentials()
        return Credentials(str(frozen.access_key), str(frozen.secret_key), frozen.token)

    @cached_property
    def _session(self) -> AioSession:
        from aiobotocore.session import get_session

        return get_session()
