"""The resources of one GraphQL request: read, searched and referred to, each through Records, and bounded in all."""

from __future__ import annotations

import asyncio
from typing import Any

from commonchart.access.records import Records
from commonchart.fhir import json
from commonchart.fhir.definitions import r4
from commonchart.fhir.outcome import Malformed, NotFound, TooCostly
from commonchart.rest.exchange import ID
from commonchart.rest.graphql.schema import texts
from commonchart.search.page import Page
from commonchart.search.parameters import Offered
from commonchart.search.query import parse

MAX_SEARCHES = 200
MAX_RESOURCES = 5_000

Key = tuple[str, str]
Resource = dict[str, Any]


class Found:
    """What one actor is shown for one document. References asked for at the same time are looked up together."""

    def __init__(self, records: Records, offered: Offered) -> None:
        self.records = records
        self.offered = offered
        self.searches = 0
        self.resources = 0
        self._one_at_a_time = asyncio.Lock()
        self._known: dict[Key, Resource | None] = {}
        self._waiting: dict[Key, asyncio.Future[Resource | None]] = {}
        self._looking: set[asyncio.Task[None]] = set()

    async def read(self, rtype: str, id: str) -> Resource:
        """A resource by its id. Raises Forbidden, NotFound, Gone."""
        self._spend(resources=1)
        if not ID.fullmatch(id):
            raise NotFound(f"There is no {rtype} with this id")
        async with self._one_at_a_time:
            stored = await self.records.read(rtype, id)
        return json.decode(stored.body or b"{}")

    async def search(self, rtype: str, arguments: dict[str, Any], home: Resource) -> Page:
        """A page of a search; `_reference` names the parameter that leads to `home`. Raises as a search does."""
        self._spend(searches=1)
        query = parse(rtype, self._params(rtype, arguments, home), strict=True, offered=self.offered)
        async with self._one_at_a_time:
            page = await self.records.search(query)
        self._spend(resources=len(page.matches))
        return page

    def _params(self, rtype: str, arguments: dict[str, Any], home: Resource) -> list[tuple[str, str]]:
        codes = {code.replace("-", "_"): code for code in self.offered.of(rtype)}
        params = [("_total", "accurate")] if "_total" not in arguments else []
        for name, values in arguments.items():
            if name == "_reference":
                code = codes.get(next(iter(texts(values)), "").replace("-", "_"))
                if code is None:
                    raise Malformed(f"{rtype} has no reference parameter of that name", at="_reference")
                params.append((code, f"{home['resourceType']}/{home['id']}"))
            else:
                params += [(codes.get(name, name), text) for text in texts(values)]
        if any("\x00" in text for _, text in params):
            raise Malformed("A value holds a NUL character")
        return params

    async def referred(self, text: Any) -> Resource | None:
        """What a reference leads to here, None when that is nothing (to this actor)."""
        rtype, _, rest = str(text).partition("/")
        id = rest.split("/_history/")[0]
        if rtype not in r4().resource_types or not ID.fullmatch(id):
            return None
        key = (rtype, id)
        if key not in self._known:
            if not self._waiting:
                asyncio.get_running_loop().call_soon(self._begin)
            future = self._waiting.setdefault(key, asyncio.get_running_loop().create_future())
            return await asyncio.shield(future)
        return self._known[key]

    def _begin(self) -> None:
        waiting, self._waiting = self._waiting, {}
        task = asyncio.ensure_future(self._look_up(waiting))
        self._looking.add(task)  # a task that nobody holds may vanish
        task.add_done_callback(self._looking.discard)

    async def _look_up(self, waiting: dict[Key, asyncio.Future[Resource | None]]) -> None:
        try:
            self._spend(resources=len(waiting))
            async with self._one_at_a_time:
                found = await self.records.named(list(waiting))
        except Exception as error:
            for future in waiting.values():
                if not future.done():
                    future.set_exception(error)
            return
        for key, future in waiting.items():
            stored = found.get(key)
            living = stored is not None and not stored.deleted
            self._known[key] = json.decode(stored.body or b"{}") if stored is not None and living else None
            if not future.done():
                future.set_result(self._known[key])

    def _spend(self, *, searches: int = 0, resources: int = 0) -> None:
        self.searches += searches
        self.resources += resources
        if self.searches > MAX_SEARCHES:
            raise TooCostly(f"A GraphQL query makes at most {MAX_SEARCHES} searches", at="query")
        if self.resources > MAX_RESOURCES:
            raise TooCostly(f"A GraphQL query reads at most {MAX_RESOURCES} resources", at="query")
