"""A client of Shoebox on asyncio, for a shop's own programs: uploads that can be interrupted, and the API's calls.

    import asyncio
    from pathlib import Path
    from shoebox_client import Uploader, open_api

    async def main() -> None:
        async with open_api("https://photos.example.com", "TOKEN") as api:
            report = await Uploader(api, await api.limits()).run([Path("holiday")])
        for record in report.records:
            print(record.name, record.outcome, record.file_id)

    asyncio.run(main())

It imports nothing else of ours and prints nothing: an `Uploader` tells its `listener` what happens
(`shoebox_client.events`). Errors are `ClientError` and what is derived from it (`shoebox_client.errors`).
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from shoebox_client.api import Api, open_api
    from shoebox_client.errors import (
        ClientError,
        FileError,
        NotAllowed,
        NotFound,
        NotShoebox,
        Refused,
        TransientError,
        Unreachable,
        UrlExpired,
    )
    from shoebox_client.exclusion import Exclusion
    from shoebox_client.records import Outcome, Record, Report
    from shoebox_client.retry import RetryPolicy
    from shoebox_client.uploads import Uploader, UploadSettings
else:

    def __getattr__(name: str) -> object:
        # At its first use: whoever takes only the rules for names and types (functions on Lambda, the process that
        # decodes pictures) must not pay for importing aiohttp.
        for module in ("errors", "retry", "records", "exclusion", "api", "uploads"):  # light ones first
            if name in __all__ and hasattr(found := import_module(f"{__name__}.{module}"), name):
                return getattr(found, name)
        message = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(message)


__all__ = [
    "Api",
    "ClientError",
    "Exclusion",
    "FileError",
    "NotAllowed",
    "NotFound",
    "NotShoebox",
    "Outcome",
    "Record",
    "Refused",
    "Report",
    "RetryPolicy",
    "TransientError",
    "Unreachable",
    "UploadSettings",
    "Uploader",
    "UrlExpired",
    "open_api",
]
