"""A page of an owner's list: what it costs, and that paging always gets on."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from shoebox.files.listing import list_files
from shoebox.files.model import OWNER_SHARDS, FileKey, Owner, State
from shoebox.files.store import Page
from shoebox.timestamps import iso

OWNER = Owner("demo", "anna")
START = datetime(2026, 11, 23, 12, tzinfo=UTC)


class Index:
    """The index `by-owner` in memory: newest first, `most` items a query at most, as where they fill 1 MB."""

    def __init__(self, items: list[dict[str, Any]], max_items: int = 1000) -> None:
        self.queries = 0
        self._max_items = max_items
        self._shards: dict[str, list[dict[str, Any]]] = {}
        for item in items:
            self._shards.setdefault(item["owner_shard"]["S"], []).append(item)

    async def query(self, **request: Any) -> dict[str, Any]:
        """`Query` as far as a list needs it ("Query", API reference)."""
        self.queries += 1
        values = request["ExpressionAttributeValues"]
        before = values.get(":before", {"S": "~"})["S"]
        found = [i for i in self._shards.get(values[":shard"]["S"], []) if i["listed"]["S"] < before]
        found.sort(key=lambda item: item["listed"]["S"], reverse=True)
        items = found[: min(request["Limit"], self._max_items)]
        # AWS names the last item also where nothing follows the limit.
        last = {"LastEvaluatedKey": items[-1]} if items and len(items) in {request["Limit"], self._max_items} else {}
        return {"Items": items, **last}


def photo(number: int, state: State = State.READY) -> dict[str, Any]:
    """Return an item of the index; the files are a second apart."""
    sha256 = f"{number:064x}"
    key, at = FileKey(OWNER, OWNER.file_id(sha256)), iso(START + timedelta(seconds=number))
    texts = {
        "pk": key.pk,
        "owner_shard": key.owner_shard,
        "listed": f"{at}#{key.file_id}",
        "tenant": OWNER.tenant,
        "user": OWNER.user,
        "file_id": key.file_id,
        "state": state,
        "name": f"{number}.jpg",
        "media_type": "image/jpeg",
        "sha256": sha256,
        "registered_at": at,
    }
    return {name: {"S": text} for name, text in texts.items()} | {"size": {"N": "1"}}


def names(pages: list[Page]) -> list[str]:
    """Return the files' names, in the order of the pages."""
    return [file.registration.name for page in pages for file in page.files]


async def pages(index: Index, **wanted: Any) -> list[Page]:
    """All pages, as a client follows the cursor."""
    found: list[Page] = []
    while not found or found[-1].next_cursor:
        cursor, before = found[-1].next_cursor if found else None, index.queries
        given = {"limit": 50, "filtered": False, "wanted": lambda file: True, **wanted}
        found.append(await list_files(index, "files", OWNER, cursor=cursor, **given))
        assert index.queries - before <= 2 * OWNER_SHARDS
    return found


@pytest.mark.parametrize("limit", [1, 50, 100])
async def test_a_page_costs_sixteen_queries_however_rare_the_state(limit: int) -> None:
    """Where nothing fits, a page ends empty and leads on; a handful of pages goes through thousands of files."""
    index = Index([photo(0, State.REJECTED), *(photo(n) for n in range(1, 5000))])

    found = await pages(index, limit=limit, filtered=True, wanted=lambda file: file.state is State.REJECTED)

    assert names(found) == ["0.jpg"]
    assert found[0] == Page([], found[0].next_cursor)
    assert len(found) <= 5


@pytest.mark.parametrize("max_items", [1, 7, 1000])
@pytest.mark.parametrize("limit", [1, 7, 100])
async def test_pages_hold_each_file_once_and_in_order(limit: int, max_items: int) -> None:
    """Also where DynamoDB ends queries early because they reach 1 MB."""
    found = await pages(Index([photo(n) for n in range(60)], max_items), limit=limit)

    assert names(found) == [f"{n}.jpg" for n in reversed(range(60))]
    assert all(len(page.files) <= limit for page in found)


async def test_invisible_files_cost_no_more_than_others() -> None:
    """An owner who has deleted everything gets empty pages that end."""
    found = await pages(Index([photo(n) for n in range(300)]), limit=10, wanted=lambda file: False)

    assert [page.files for page in found] == [[]] * len(found)
    assert found[-1].next_cursor is None


async def test_an_empty_list_is_one_round() -> None:
    """Eight queries, one for each shard, and no cursor."""
    index = Index([])

    assert await pages(index, limit=10) == [Page([], None)]
    assert index.queries == OWNER_SHARDS
