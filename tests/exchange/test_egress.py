"""The egress guard: what may be called, where the call really goes, and what never leaves (hostile H1, H3, G3)."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from commonchart.exchange import egress
from commonchart.exchange.egress import Guard, Rules, Unanswered, header, origin_of, public, rules
from commonchart.fhir.outcome import Forbidden

SRC = Path(__file__).resolve().parents[2] / "src" / "commonchart"


def resolver(*ips: str) -> Callable[[str, int], Awaitable[list[str]]]:
    async def found(host: str, port: int) -> list[str]:
        return list(ips)

    return found


def guard(*ips: str, allowed: Rules | None = None) -> Guard:
    return Guard(allowed or Rules(), resolver(*(ips or ("93.184.216.34",))))


@asynccontextmanager
async def server(answer: bytes, heard: list[bytes] | None = None, *, slow: float = 0) -> AsyncIterator[int]:
    async def speak(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        request = await reader.readuntil(b"\r\n\r\n")
        length = re.search(rb"content-length: (\d+)", request.lower())
        request += await reader.readexactly(int(length[1])) if length else b""
        if heard is not None:
            heard.append(request)
        for n in range(0, len(answer), 65536):
            if slow:
                await asyncio.sleep(slow)
            writer.write(answer[n : n + 65536])
        writer.close()

    listening = await asyncio.start_server(speak, "127.0.0.1", 0)
    async with listening:
        yield listening.sockets[0].getsockname()[1]


OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nhi"

REFUSED = [
    "http://hooks.example/x",
    "ftp://hooks.example/x",
    "file:///etc/passwd",
    "gopher://hooks.example/",
    "unix:///run/x.sock",
    "http+unix://%2Frun%2Fx/",
    "https://user@hooks.example/",
    "https://user:pw@hooks.example/",
    "https://@hooks.example/",
    "https://hooks.example:25/",
    "https://hooks.example:22/",
    "https://hooks.example:5432/",
    "https://hooks.example:0/",
    "https://hooks.example:99999/",
    "https://localhost/",
    "https://intranet/",
    "https://127.0.0.1/",
    "https://127.1/",
    "https://2130706433/",
    "https://0x7f000001/",
    "https://0177.0.0.1/",
    "https://0.0.0.0/",
    "https://10.0.0.1/",
    "https://172.16.0.1/",
    "https://192.168.1.1/",
    "https://100.64.0.1/",
    "https://169.254.169.254/latest/meta-data",
    "https://224.0.0.1/",
    "https://255.255.255.255/",
    "https://[::1]/",
    "https://[::]/",
    "https://[::ffff:127.0.0.1]/",
    "https://[::ffff:8.8.8.8]/",
    "https://[fe80::1]/",
    "https://[fe80::1%25eth0]/",
    "https://[fd00:ec2::254]/",
    "https://[64:ff9b::7f00:1]/",
    "https://[2002:7f00:1::]/",
    "https://[ff02::1]/",
    "https://hooks.example/#x",
    "https://hooks.example\\@127.0.0.1/",
    "https://hooks.example /",
    "https://hooks.example/\r\nHost: x",
    "https://hoóks.example/",
    "https://hooks..example/",
    "https://-x.example/",
    "https://",
    "https:///x",
    "https:hooks.example",
    "//hooks.example",
    "https://[::1",
    "https://hooks.example/" + "x" * 2000,
]


@pytest.mark.parametrize("url", REFUSED)
async def test_addresses_that_are_never_called(url: str) -> None:
    with pytest.raises(Forbidden):
        await guard().check(url)


@pytest.mark.parametrize(
    "url", ["https://hooks.example/x?y=1", "https://hooks.example:8443", "https://93.184.216.34/"]
)
async def test_public_https_may_be_called(url: str) -> None:
    assert (await guard().check(url)).ip == "93.184.216.34"


@pytest.mark.parametrize(
    "ip",
    ["127.0.0.1", "10.1.2.3", "169.254.169.254", "::1", "::ffff:10.0.0.1", "0.0.0.0", "fd00::1", "fe80::1"],
)
async def test_a_public_name_of_a_private_address_is_refused(ip: str) -> None:
    assert not public(ip)
    with pytest.raises(Forbidden):
        await guard(ip).check("https://hooks.example/")
    with pytest.raises(Forbidden):
        await guard("93.184.216.34", ip).check("https://hooks.example/")


async def test_an_unknown_name_is_no_answer() -> None:
    async def nobody(host: str, port: int) -> list[str]:
        raise OSError

    with pytest.raises(Unanswered):
        await Guard(Rules(), nobody).check("https://hooks.example/")


async def test_a_listed_origin_is_compared_whole() -> None:
    allowed = rules("https://trusted.example http://10.0.0.5:8080", only_these=True)
    listed = guard("10.0.0.5", allowed=allowed)
    assert (await listed.check("https://trusted.example/x")).ip == "10.0.0.5"
    assert (await listed.check("http://10.0.0.5:8080/x")).port == 8080
    for url in (
        "https://trusted.example.evil.org/",
        "https://trusted.example:8443/",
        "http://trusted.example/",
        "https://xtrusted.example/",
        "https://trusted.example@evil.org/",
        "http://10.0.0.5/",
        "https://other.example/",
    ):
        with pytest.raises(Forbidden):
            await listed.check(url)


async def test_the_connection_goes_to_the_address_that_was_looked_at() -> None:
    """Rebinding: the name is asked for once, and what it says later changes nothing."""
    heard: list[bytes] = []
    asked: list[str] = []

    async def once(host: str, port: int) -> list[str]:
        asked.append(host)
        return ["127.0.0.1"] if len(asked) == 1 else ["203.0.113.9"]

    async with server(OK, heard) as port:
        allowed = rules(f"http://hooks.example:{port}")
        reply = await Guard(allowed, once).send("POST", f"http://hooks.example:{port}/x", content=b"{}")
    assert (reply.status, reply.body, asked) == (200, b"hi", ["hooks.example"])
    assert f"host: hooks.example:{port}".encode() in heard[0].lower()


async def test_a_redirect_is_not_followed_and_takes_nothing_along() -> None:
    heard: list[bytes] = []
    async with server(OK, heard) as inner:
        to = f"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:{inner}/\r\nContent-Length: 0\r\n\r\n"
        async with server(to.encode()) as port:
            here = Guard(rules(f"http://127.0.0.1:{port} http://127.0.0.1:{inner}"))
            with pytest.raises(Unanswered, match="redirect"):
                await here.send("GET", f"http://127.0.0.1:{port}/", headers={"authorization": "Bearer x"})
    assert heard == []


async def test_size_and_time_are_bounded(tmp_path: Path) -> None:
    flood = b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" + b"x" * 3_000_000
    async with server(flood) as port:
        here = Guard(rules(f"http://127.0.0.1:{port}"))
        with pytest.raises(Unanswered, match="more than is read"):
            await here.send("GET", f"http://127.0.0.1:{port}/")
        with pytest.raises(Unanswered, match="more than is read"):
            await here.fetch(f"http://127.0.0.1:{port}/", tmp_path / "x", seconds=5, max_bytes=1000)
    async with server(flood, slow=0.2) as port:
        here = Guard(rules(f"http://127.0.0.1:{port}"))
        with pytest.raises(Unanswered, match="in time"):
            await here.send("GET", f"http://127.0.0.1:{port}/", seconds=0.5, max_bytes=10_000_000)


async def test_a_packed_answer_is_not_unpacked() -> None:
    """A small answer that unpacks to a large one stays what came over the wire."""
    packed = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 4\r\n\r\n\x1f\x8b\x08\x00"
    async with server(packed) as port:
        reply = await Guard(rules(f"http://127.0.0.1:{port}")).send("GET", f"http://127.0.0.1:{port}/")
    assert reply.body == b"\x1f\x8b\x08\x00"


async def test_nothing_listening_is_no_answer() -> None:
    here = Guard(rules("http://127.0.0.1:1"))
    with pytest.raises(Unanswered, match="cannot be reached") as refused:
        await here.send("GET", "http://127.0.0.1:1/")
    assert refused.value.unsent


async def test_silence_after_the_request_has_left_is_not_taken_for_unsent() -> None:
    async with server(b"") as port:
        with pytest.raises(Unanswered) as refused:
            await Guard(rules(f"http://127.0.0.1:{port}")).send(
                "POST", f"http://127.0.0.1:{port}/", seconds=2
            )
    assert not refused.value.unsent


async def test_the_environment_names_no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:1")
    async with server(OK) as port:
        reply = await Guard(rules(f"http://127.0.0.1:{port}")).send("GET", f"http://127.0.0.1:{port}/")
    assert reply.status == 200


@pytest.mark.parametrize(
    "text",
    [
        "Host: evil",
        "Content-Length: 0",
        "X\r\nY: z",
        "X: a\r\nY: z",
        "no colon",
        ": x",
        "Transfer-Encoding: chunked",
    ],
)
def test_headers_that_are_not_sent_for_anybody(text: str) -> None:
    with pytest.raises(Forbidden):
        header(text)


def test_a_header_and_an_origin_as_they_are_read() -> None:
    assert header("Authorization: Bearer abc") == ("Authorization", "Bearer abc")
    assert origin_of("HTTPS://Hooks.Example/x") == ("https", "hooks.example", 443)
    assert origin_of("https://[2606:2800:220:1:0:0:0:0]/") == ("https", "2606:2800:220:1::", 443)


# who else may speak to the network, and why
OTHERS = {
    "exchange/egress.py": "the guard itself",
    "cli/serve.py": "asks its own /health, and listens",
}
CLIENTS = re.compile(
    r"^\s*(?:import|from) (httpx|httpcore|requests|aiohttp|urllib\.request|urllib3|http\.client|socket|ftplib|smtplib)\b"
    r"|open_connection\(|create_connection\(|urlopen\(",
    re.M,
)


def test_nobody_else_speaks_to_the_network() -> None:
    found = {str(path.relative_to(SRC)) for path in SRC.rglob("*.py") if CLIENTS.search(path.read_text())}
    assert (
        found
        - set(OTHERS)
        - {p for p in found if p.startswith("record/postgres/") or p == "record/embedded.py"}
        == set()
    )
    assert egress.__doc__
