"""Accounts as pages: invited, changed, ended, let in again; the links by which passwords are set; who may do what."""

from __future__ import annotations

import re
from html import unescape
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette

from commonchart.access import permissions, policy
from commonchart.access.actors import Actor
from commonchart.record import site
from commonchart.record.connection import Connection
from commonchart.record.database import Database
from commonchart.record.keys import patient_key
from commonchart.web.people import letters
from tests.conftest import Clock
from tests.outreach import mail_server
from tests.web.conftest import Client, SignIn, token_of, try_sign_in

NEW = {
    "name": "Ada Birch",
    "login": "Ada",
    "role": "nurse",
    "org": "alder",
    "email": "ada@post.example",
    "channel": "hand",
}
WORDS = "seven green bicycles"


class Site:
    """Decisions of the site, for the mail server."""

    def __init__(self, database: Database) -> None:
        self.database = database

    async def say(self, **settings: str) -> None:
        async with self.database.single() as conn:
            for key, value in settings.items():
                await site.put(conn, 1, key, value)


async def sent(client: Client, path: str, **fields: str) -> httpx.Response:
    page = await client.get(path)
    return await client.post(path, data={"csrf": token_of(page), **fields})


def link_in(text: str) -> str:
    found = re.search(r"https://chart\.example(/welcome/[\w-]+)", text)
    assert found, text[:800]
    return found[1]


async def chosen(visitor: Client, path: str, password: str, again: str | None = None) -> httpx.Response:
    page = await visitor.get(path)
    assert page.headers["referrer-policy"] == "no-referrer"
    return await visitor.post("/welcome", data={
        "csrf": token_of(page), "token": path.rpartition("/")[2], "password": password, "again": again or password,
    })  # fmt: skip


async def id_of(root: Client, q: str) -> str:
    found = re.search(
        r'href="/users/([0-9a-f-]{36})"', (await root.get("/users", params={"q": q, "who": "all"})).text
    )
    assert found
    return found[1]


async def test_from_an_invitation_to_the_end_and_back(sign_in: SignIn, visitor: Client, clock: Clock) -> None:
    root = await sign_in("root")
    made = await sent(root, "/users/new", **NEW)
    assert made.status_code == 200
    path = link_in(made.text)
    assert (await visitor.get(path)).status_code == (await visitor.get(path)).status_code == 200
    wrong = await chosen(visitor, path, "short")
    assert wrong.status_code == 422
    assert 'href="#password"' in wrong.text
    assert (await chosen(visitor, path, WORDS, "other")).status_code == 422
    assert "Very good" in (await chosen(visitor, path, WORDS)).text
    assert (await visitor.get("/welcome/" + "x" * 43)).status_code == 404
    assert (await visitor.get(path)).status_code == 404
    assert (await try_sign_in(visitor, "ada", WORDS)).status_code == 303
    assert "Ada Birch" in (await root.get("/users?q=ada&state=active&role=nurse&factor=no")).text
    assert "No account is like this" in (await root.get("/users?q=ada&seen=never")).text

    id = await id_of(root, "ada")
    assert (await visitor.get("/dashboard")).status_code == 200
    changed = await sent(root, f"/users/{id}", do="change", **NEW | {"role": "front-desk"})
    assert changed.status_code == 303
    assert (await visitor.get("/dashboard")).status_code == 403
    bad = await sent(root, f"/users/{id}", do="change", **NEW | {"org": "nowhere", "email": "x"})
    assert bad.status_code == 422
    assert 'href="#email"' in bad.text

    confirm = await root.get(f"/users/{id}/end")
    assert "1 open session" in confirm.text
    assert (await sent(root, f"/users/{id}/end")).status_code == 303
    gone = await visitor.get("/patients")
    assert (gone.status_code, gone.headers["location"]) == (303, "/sign-in?next=%2Fpatients")
    assert (await try_sign_in(visitor, "ada", WORDS)).status_code == 401
    assert "Ended" in (await root.get("/users?state=ended")).text

    back = await sent(root, f"/users/{id}", do="back", channel="hand")
    assert (await try_sign_in(visitor, "ada", WORDS)).status_code == 401
    clock.advance(minutes=20)
    root = await sign_in("root")
    assert (await chosen(visitor, link_in(back.text), "eight red bicycles")).status_code == 200
    assert (await try_sign_in(visitor, "ada", "eight red bicycles")).status_code == 303


async def test_what_is_wrong_stands_at_its_field(sign_in: SignIn) -> None:
    root = await sign_in("root")
    for field, value in (("org", ""), ("org", "nowhere"), ("login", "A b"), ("role", ""), ("email", "nowhere"), ("channel", ""), ("login", "sage")):  # fmt: skip
        answer = await sent(root, "/users/new", **NEW | {field: value})
        assert answer.status_code in (409, 422), (field, value)
        assert f'href="#{field}"' in answer.text, (field, value)
        assert "Ada Birch" in answer.text
    for name in ("q", "org", "role", "page", "who"):
        for odd in ("%00", "%25", "'", "\\", "x" * 5000, "١٢"):
            answer = await root.get(f"/users?{name}={odd}")
            assert answer.status_code == (422 if odd == "%00" else 200), (name, odd)
    id = await id_of(root, "root")
    last = await sent(root, f"/users/{id}", do="change", **NEW | {"name": "Root Person"})
    assert (last.status_code, "last administrator" in last.text) == (409, True)
    own = await root.post(f"/users/{id}/end", data={"csrf": token_of(await root.get(f"/users/{id}/end"))})
    assert own.status_code == 409


async def test_ending_says_that_results_wait(sign_in: SignIn, database: Database) -> None:
    root = await sign_in("root")
    id = await id_of(root, "sage")
    assert "Results wait for this person" not in (await root.get(f"/users/{id}/end")).text
    async with database.single() as conn:
        await conn.execute(
            "INSERT INTO inbox_item (pk, tenant, patient, item, owner, kind, title, content, version, partial, batch, received, state) "
            "VALUES (%s, 1, 'ines', 'Observation/x', %s, 1, 't', '{}', 'v', false, false, now(), 'open')",
            (patient_key("ines"), id),
        )
    page = (await root.get(f"/users/{id}/end")).text
    assert "1 open result addressed to them" in page
    assert "Results wait for this person" in page
    assert "<strong>1 abnormal.</strong>" in page
    assert '<option value="pool">Everybody of the organisation</option>' in page
    async with database.single() as conn:
        await conn.execute("UPDATE inbox_item SET kind = 0 WHERE item = 'Observation/x'")
    asked = await sent(root, f"/users/{id}/end")
    assert asked.status_code == 422
    assert 'href="#to"' in asked.text
    assert "choose who takes them over" in asked.text
    assert (await sent(root, f"/users/{id}/end", to="pool")).status_code == 303
    async with database.single() as conn:
        assert await conn.fetch("SELECT owner, owner_by FROM inbox_item WHERE item = 'Observation/x'") == [
            ("", "was handed over from Sage Person by Root Person")
        ]


async def test_of_many_colleagues_one_is_found_and_what_they_may_not_see_is_said(
    sign_in: SignIn, database: Database
) -> None:
    """More than a hundred: the page offers some, finds the others by name, and counts for those that it shows; without a script."""
    root = await sign_in("root")
    id = await id_of(root, "sage")
    async with database.single() as conn:
        await conn.execute(
            "INSERT INTO app_user (id, tenant, login, name, practitioner, created) "
            "SELECT 'many-' || n, 1, 'many' || n, 'Colleague ' || n || CASE n WHEN 117 THEN ' \u00d6zil' ELSE '' END, 'pr-many-' || n, now() "
            "FROM generate_series(1, 120) n"
        )
        await conn.execute(
            "INSERT INTO membership (id, tenant, actor, org, role, asked, since) "
            "SELECT 'many-' || n, 1, 'many-' || n, m.org, 'clinician', now(), now() FROM generate_series(1, 120) n, membership m "
            "WHERE m.actor = %s",
            (id,),
        )
        await conn.execute(
            "INSERT INTO inbox_item (pk, tenant, patient, item, owner, kind, title, content, version, partial, batch, received, state) "
            "VALUES (%s, 1, 'ines', 'Patient/ines', %s, 0, 't', '{}', 'v', false, false, now(), 'open')",
            (patient_key("ines"), id),
        )
        await conn.execute("UPDATE resource SET labels = 2 WHERE id = 'ines' AND rtype = 'Patient'")
        await conn.execute("UPDATE resource SET actor = 'many-117' WHERE id = 'ines' AND rtype = 'Patient'")
    page = (await root.get(f"/users/{id}/end")).text
    assert "The first 100 of 12" in page
    assert page.count("cannot be handed to Colleague") >= 99
    assert "nobody who works here may see" not in page  # the hundred and seventeenth may
    found = (await root.get(f"/users/{id}/end?named=ozil+MANY117")).text
    assert "1 of 12" in found
    assert found.count("<option") == 3
    assert '<option value="many-117">Colleague 117 \u00d6zil (many117)</option>' in found
    assert "cannot be handed" not in found
    other = (await root.get(f"/users/{id}/end?named=many116")).text
    assert "1 result cannot be handed to Colleague 116: Colleague 116 may not see it." in other
    assert "colleagues is called so" in (await root.get(f"/users/{id}/end?named=nobody")).text
    asked = await root.post(
        f"/users/{id}/end",
        data={"csrf": token_of(await root.get(f"/users/{id}/end")), "to": "", "named": "ozil"},
    )
    assert asked.status_code == 422
    assert (asked.text.count("many-117"), "many-116" in asked.text) == (1, False)
    done = await sent(root, f"/users/{id}/end", to="many-117")
    assert done.status_code == 303
    async with database.single() as conn:
        assert await conn.fetch(
            "SELECT DISTINCT owner FROM inbox_item WHERE patient = 'ines' AND item = 'Patient/ines'"
        ) == [("many-117",)]


@pytest.mark.parametrize("login", ["sage", "desk", "ines"])
async def test_only_administrators_look_after_accounts(sign_in: SignIn, login: str) -> None:
    client = await sign_in(login)
    root = await sign_in("root")
    id = await id_of(root, "desk")
    for path in ("/users", "/users/new", f"/users/{id}", f"/users/{id}/end"):
        assert (await client.get(path)).status_code == 403, path
    csrf = token_of(await client.get("/account" if login != "ines" else "/me/you"))
    for path, fields in (("/users/new", NEW), (f"/users/{id}", {"do": "link", "channel": "hand"}), (f"/users/{id}/end", {})):  # fmt: skip
        assert (await client.post(path, data={"csrf": csrf, **fields})).status_code == 403, path
    assert (await sign_in("desk")) is not None


async def test_links_by_mail_and_a_forgotten_password(
    sign_in: SignIn, visitor: Client, database: Database, tmp_path: Path
) -> None:
    root, said = await sign_in("root"), Site(database)
    lost = await sent(root, "/users/new", **NEW | {"channel": "email"})
    assert "The e-mail was not sent" in lost.text
    assert link_in(lost.text)
    async with mail_server(said, tmp_path) as (box, _):
        id = await id_of(root, "ada")
        mailed = await sent(root, f"/users/{id}", do="link", channel="email")
        assert "Sent to" in mailed.text
        assert "/welcome/" not in mailed.text
        path = link_in(box.messages[-1].get_content())
        assert (await chosen(visitor, path, WORDS)).status_code == 200

        answers = [await sent(visitor, "/forgotten", login=login) for login in ("ADA ", "nobody", "sage")]
        await letters.settled()
        bodies = {re.sub(r'value="[^"]*"', "", one.text) for one in answers}
        assert (len(bodies), {one.status_code for one in answers}) == (1, {200})
        assert box.recipients == ["ada@post.example"] * 2
        path = link_in(box.messages[-1].get_content())
        assert (await chosen(visitor, path, "nine white bicycles")).status_code == 200
        assert (await try_sign_in(visitor, "ada", WORDS)).status_code == 401
        assert (await try_sign_in(visitor, "ada", "nine white bicycles")).status_code == 303
        for _ in range(4):
            await sent(visitor, "/forgotten", login="ada")
        await letters.settled()
        assert len(box.messages) == 4
        for n in range(20):
            last = await sent(visitor, "/forgotten", login=f"guess{n}")
        assert (last.status_code, last.headers["retry-after"]) == (429, "900")
    assert (await sent(visitor, "/forgotten", login="")).status_code == 422


async def test_a_link_says_nothing_to_other_sites_and_hosts(
    visitor: Client, database: Database, tmp_path: Path
) -> None:
    """The address in a mail is the site's own, whatever Host says; the page of a link sends no Referer and is kept nowhere."""
    async with database.single() as conn:
        await conn.execute("UPDATE app_user SET email = 'sage@post.example' WHERE login = 'sage'")
    async with mail_server(Site(database), tmp_path) as (box, _):
        page = await visitor.get("/forgotten")
        evil = {"host": "evil.example", "x-forwarded-host": "evil.example", "forwarded": "host=evil.example"}
        await visitor.post("/forgotten", data={"csrf": token_of(page), "login": "sage"}, headers=evil)
        await letters.settled()
    text = box.messages[0].get_content()
    assert "evil" not in text
    path = link_in(text)
    page = await visitor.get(path)
    assert (page.headers["referrer-policy"], page.headers["cache-control"]) == ("no-referrer", "no-store")
    posted = {"csrf": token_of(page), "token": path.rpartition("/")[2], "password": WORDS, "again": WORDS}
    for more in ({"csrf": "forged"}, {"csrf": ""}, {"token": "x" * 400}, {"token": ""}):
        assert (await visitor.post("/welcome", data=posted | more)).status_code in (403, 404)
    foreign = await visitor.post("/welcome", data=posted, headers={"sec-fetch-site": "cross-site"})
    assert foreign.status_code == 403
    raised = await visitor.post(
        "/welcome", data=posted | {"role": "administrator", "login": "root", "active": "true"}
    )
    assert raised.status_code == 200
    assert (await try_sign_in(visitor, "sage", WORDS)).status_code == 303
    assert (await visitor.get("/users")).status_code == 403


async def test_a_forgotten_password_costs_the_same_work_for_everybody(
    visitor: Client, app: Starlette, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with database.single() as conn:
        await conn.execute("UPDATE app_user SET email = 'sage@post.example' WHERE login = 'sage'")
    asked: list[str] = []
    execute, together = Connection.execute, Connection.together

    async def counting(self: Any, query: Any, *args: Any, **more: Any) -> Any:
        asked.append(str(query)[:40])
        return await execute(self, query, *args, **more)

    async def counting_together(self: Any, statements: Any, *args: Any, **more: Any) -> Any:
        asked.extend(str(one)[:40] for one in statements)
        return await together(self, statements, *args, **more)

    monkeypatch.setattr(Connection, "execute", counting)
    monkeypatch.setattr(Connection, "together", counting_together)
    monkeypatch.setattr(letters, "send_later", lambda *_: None)
    seen = []
    for login in ("sage", "nobody", "desk"):
        page = await visitor.get("/forgotten")
        asked.clear()
        await visitor.post("/forgotten", data={"csrf": token_of(page), "login": login})
        seen.append(list(asked))
    assert seen[0] == seen[1] == seen[2]
    assert len(seen[0]) > 5


async def test_the_page_of_roles_says_what_the_policy_decides(sage: Client) -> None:
    text = (await sage.get("/roles")).text
    tables = re.findall(r"<tbody>(.*?)</tbody>", text, re.S)
    words = {"read": policy.READ, "add": {"create"}, "change": {"update"}, "delete": {"delete"}}
    seen = set()
    for row in re.findall(r"<tr>(.*?)</tr>", tables[0], re.S):
        types = re.search(r"</summary>(.*?)</details>", row, re.S)
        assert types
        cells = [re.sub(r"<[^>]+>", "", cell) for cell in re.findall(r"<td>(.*?)</td>", row, re.S)]
        for rtype in types[1].split(", "):
            seen.add(rtype)
            for role, said in zip(permissions.ROLES, cells, strict=True):
                actor = Actor(1, "u", "", role, "o", "")  # type: ignore[arg-type]
                told = set().union(*(words[word] for word in said.split(", ") if word in words))
                assert told == {a for a in policy.ACTIONS if policy.allowed(actor, a, rtype)}, (role, rtype)
    assert seen == set(policy.matrix()["clinician"]) - {"AuditEvent"}
    assert [one.title for one in permissions.groups() if one.title in one.types and len(one.types) > 1] == []
    for row in re.findall(r"<tr>(.*?)</tr>", tables[1], re.S):
        title = unescape(
            re.sub(r"<.*", "", re.search(r'<th scope="row">(.*?)</th>', row, re.S)[1], flags=re.S)
        )  # type: ignore[index]
        name = next(one.name for one in permissions.labelled() if one.title == title)
        cells = [re.sub(r"<[^>]+>", "", cell).strip() for cell in re.findall(r"<td>(.*?)</td>", row, re.S)]
        for role, said in zip(permissions.ROLES, cells, strict=False):
            assert (said == "hidden") == (name in policy.HIDDEN[role]), (role, name)
        assert (cells[-2] != "shared as the rest") == (name in policy.BLOCKED_BETWEEN)
        assert (cells[-1] == "never") == (name in policy.NEVER_IN_EMERGENCY)
    told_of: dict[str, set[str]] = {}
    for row in re.findall(r"<tr>(.*?)</tr>", tables[2], re.S):
        right = unescape(re.search(r'<th scope="row">(.*?)</th>', row, re.S)[1])  # type: ignore[index]
        cells = [re.sub(r"<[^>]+>", "", cell).strip() for cell in re.findall(r"<td>(.*?)</td>", row, re.S)]
        assert set(cells) <= {"yes", "–no"}
        told_of[right] = {role for role, cell in zip(permissions.ROLES, cells, strict=True) if cell == "yes"}
    assert told_of == {
        right.words: right.roles for right in permissions.rights()
    }  # tests/access/test_permissions.py: by acts
