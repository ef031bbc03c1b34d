"""A resource's settings: read, compared with what is wanted, written where they differ."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError

from emulator.provision.tasks import together
from shoebox.aws.botocore_errors import failed_with


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting; None means there is none. `write` gets what is wanted."""

    name: str
    wanted: Any
    read: Callable[[], Awaitable[Any]]
    write: Callable[[Any], Awaitable[None]]


async def settle(settings: Iterable[Setting]) -> tuple[str, ...]:
    """Write what differs, in order, for AWS refuses two writes at once to one bucket; the names of what was written."""
    ordered = list(settings)
    present = await together(*(_read(setting) for setting in ordered))
    different = [setting for setting, now in zip(ordered, present, strict=True) if now != setting.wanted]
    for setting in different:
        await setting.write(setting.wanted)
    return tuple(setting.name for setting in different)


async def _read(setting: Setting) -> Any:
    return await setting.read()


async def none_if(read: Awaitable[Any], *codes: str) -> Any:
    """What `read` gives, or None when AWS answers with one of the codes that mean "there is none"."""
    try:
        return await read
    except ClientError as error:
        if failed_with(error, *codes):
            return None
        raise
