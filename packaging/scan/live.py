"""`make scan-live`: sqlmap and wapiti against a demonstration of this program on this machine, and nowhere else.

Both are run from throw-away environments (`uv tool run`), never from this project's: sqlmap and wapiti are GPL. What they find
is written to FOLDER; docs/safety/scans.md says what was done about it. Usage: live.py FOLDER [sqlmap] [wapiti]

SCAN_ONLY is a regular expression of the addresses that sqlmap tries, SCAN_WHO the readers that wapiti is, for what a run before
could not finish.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

import httpx

from commonchart.demo import courses

SQLMAP = ["uv", "tool", "run", "--from", "sqlmap==1.10.10", "sqlmap"]
WAPITI = ["uv", "tool", "run", "--from", "wapiti3==3.2.3", "wapiti"]
SECONDS, ATTACK_SECONDS = os.environ.get("SCAN_SECONDS", "420"), os.environ.get("SCAN_ATTACK_SECONDS", "45")
SQLMAP_SECONDS = float(os.environ.get("SCAN_SQLMAP_SECONDS", "900"))
ACCOUNTS = {"clinician": "clinician", "administrator": "admin", "patient": "patient"}
PASSWORD = "alder-street"
PRACTICE = courses.PRACTICE
# none of these calls another machine (ssrf, xxe, log4shell, wapp and takeover would)
MODULES = "backup,cookieflags,crlf,csp,csrf,exec,file,htaccess,http_headers,ldap,methods,permanentxss,redirect,sql,timesql,upload,xss"
PAGES = (
    "/patients?q=an", "/patients/{p}/results?show=labs&before=2026-01-01", "/patients/{p}/results/trend?test=http://loinc.org|4548-4",
    "/patients/{p}/due?show=overdue&start=0", "/patients/{p}/timeline?as_of=2026-01-01", "/patients/{p}/facts/Patient/{p}?version=1",
    "/registry?rule=a1c&status=overdue&sort=name&q=an&page=2", "/registry/export.csv?status=overdue", "/dashboard?clinician=x",
    "/registries/diabetes?sort=name&q=an", "/inbox?show=all&q=an", "/rules?q=blood&state=used", "/quarantine?q=an&reason=unit",
    "/reports/alerts/events?rule=x&from=2026-01-01&to=2026-11-26", "/campaigns?q=x", "/persons?q=an",
)  # fmt: skip
REPORTS = (
    "/reports/access?user=clinician&patient={p}&from=2026-01-01&kind=read",
    "/receipts?page=1",
    "/terminology?q=diabetes",
)
API = (
    "/fhir/Patient?name=an&_sort=-birthdate&_count=5", "/fhir/Patient?identifier=http://x|1", "/fhir/Patient?_has:Observation:patient:code=4548-4",
    "/fhir/Observation?subject:Patient.name=an&code=http://loinc.org|4548-4", "/fhir/Observation?date=ge2026-01-01&value-quantity=gt5||mg",
    "/fhir/Condition?code:text=diab&clinical-status=active", "/fhir/Encounter?_include=Encounter:subject&_summary=count",
    "/fhir/Observation/$lastn?max=1&patient={p}", "/fhir/Patient/{p}/$everything?_since=2026-01-01&_type=Condition",
    "/fhir/Patient/{p}/_history?_since=2026-01-01T00:00:00Z", "/fhir/ValueSet/$expand?url=http://hl7.org/fhir/ValueSet/condition-clinical&filter=a",
)  # fmt: skip


@contextmanager
def demonstration() -> Iterator[tuple[str, Path]]:
    """A demonstration with its own data, on a free port: its address and folder. SCAN_AT="ADDRESS FOLDER" uses a running one."""
    if at := os.environ.get("SCAN_AT"):
        address, _, data = at.partition(" ")
        yield address, Path(data)
        return
    with tempfile.TemporaryDirectory(prefix="commonchart-scan-") as name:
        folder = Path(name)
        command = ["commonchart", "demo", "--port", "0", "--scale", "20", "--data", str(folder / "data")]
        with (folder / "log").open("w") as log:
            server = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)
        try:
            yield _ready(folder / "log"), folder / "data"
        finally:
            server.terminate()
            server.wait(60)


def _ready(log: Path) -> str:
    for _ in range(1200):
        if found := re.search(r"ready (http://127\.0\.0\.1:\d+)", log.read_text()):
            return found[1]
        time.sleep(0.25)
    raise SystemExit("The demonstration does not answer")


def session(address: str, login: str) -> str:
    """The cookie of somebody who is signed in."""
    with httpx.Client(base_url=address, timeout=90) as client:
        csrf = re.search(r'name="csrf" value="([^"]+)"', client.get("/sign-in").text)
        assert csrf
        client.post("/sign-in", data={"csrf": csrf[1], "login": login, "password": PASSWORD, "next": "/"})
        return f"commonchart={client.cookies['commonchart']}"


def token(data: Path) -> str:
    """A token of a clinician, for the API."""
    command = [
        "commonchart",
        "token",
        "create",
        "--role",
        "clinician",
        "--organization",
        PRACTICE,
        "--data",
        str(data),
    ]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip().splitlines()[-1]


def sqlmap(address: str, data: Path, folder: Path) -> None:
    """Level 3 over the representative addresses, each parameter by every technique."""
    clinician, root = session(address, "clinician"), session(address, "admin")
    bearer = f"Authorization: Bearer {token(data)}"
    with httpx.Client(
        base_url=address, timeout=90, headers={"authorization": bearer.partition(" ")[2]}
    ) as client:
        patient = client.get("/fhir/Patient?_count=1").json()["entry"][0]["resource"]["id"]
    asked = [(p, f"Cookie: {clinician}") for p in PAGES] + [(p, f"Cookie: {root}") for p in REPORTS]
    asked += [(p, bearer) for p in API]
    asked = [one for one in asked if re.search(os.environ.get("SCAN_ONLY", ""), one[0])]
    with ThreadPoolExecutor(3) as pool:
        for said in pool.map(lambda one: _one(address, patient, folder, *one), list(enumerate(asked))):
            print(said, flush=True)
            with (folder / "sqlmap.txt").open("a") as summary:
                summary.write(said + "\n")


def _one(address: str, patient: str, folder: Path, n: int, asked: tuple[str, str]) -> str:
    """One address: the verdict, and how many parameters were tried. Cookie and headers are no part of any statement but the session's."""
    path, kept = asked
    url = address + quote(path.replace("{p}", patient), safe="/?&=:$|,-_.")
    options = ["--batch", "--level=3", "--risk=1", "--threads=3", "--timeout=30", "--retries=1", "--time-sec=4", "--ignore-code=*", "--ignore-redirects", "--answers=refresh=N,redirect=N", "--dbms=PostgreSQL", "--disable-coloring",
               "--skip=user-agent,referer,host,cookie,authorization", f"--output-dir={folder / f'sqlmap-{n:02}'}", "-H", kept, "-u", url]  # fmt: skip
    with (folder / f"sqlmap-{n:02}.log").open("w") as log:
        run = subprocess.Popen(
            [*SQLMAP, *options],
            stdout=log,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )
        try:
            run.wait(SQLMAP_SECONDS)
            ended = ""
        except subprocess.TimeoutExpired:
            os.killpg(run.pid, signal.SIGTERM)
            ended = "(stopped by time) "
    told = (folder / f"sqlmap-{n:02}.log").read_text()
    tried = set(re.findall(r"testing for SQL injection on (?:GET|URI) parameter '([^']+)'", told))
    done = set(re.findall(r"(?:GET|URI) parameter '([^']+)' does not seem to be injectable", told))
    verdict = "INJECTABLE" if "identified the following injection" in told else "nothing"
    return f"{verdict:10} {len(done)} of {len(tried)} parameters to the end {ended}{path}"


def wapiti(address: str, folder: Path) -> None:
    """The pages as each kind of reader and as nobody."""
    for who in os.environ.get("SCAN_WHO", " ".join((*ACCOUNTS, "nobody"))).split():
        signed = ["-H", f"Cookie: {session(address, ACCOUNTS[who])}"] if who in ACCOUNTS else []
        start = {"patient": "/me", "nobody": "/sign-in"}.get(who, "/patients?q=an")
        options = ["-u", address + start, "--scope", "domain", "-m", MODULES, "-x", f"{address}/sign-out", "--max-scan-time", SECONDS,
                   "--max-attack-time", ATTACK_SECONDS, "--max-links-per-page", "30", "-d", "3", "--tasks", "4", "--store-session", str(folder / f"session-{who}"), "-f", "json",
                   "-o", str(folder / f"wapiti-{who}.json"), "--no-bugreport", "-v", "1", *signed]  # fmt: skip
        done = subprocess.run([*WAPITI, *options], capture_output=True, text=True, stdin=subprocess.DEVNULL)
        (folder / f"wapiti-{who}.log").write_text(done.stdout + done.stderr)
        print(who, done.returncode, flush=True)


def main() -> None:
    """Both, or those that are named."""
    folder, *wanted = Path(sys.argv[1]), *sys.argv[2:]
    folder.mkdir(parents=True, exist_ok=True)
    os.environ["PATH"] = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    with demonstration() as (address, data):
        if not wanted or "sqlmap" in wanted:
            sqlmap(address, data, folder)
        if (
            not wanted or "wapiti" in wanted
        ):  # afterwards: as nobody it tries passwords until sign-in is held back
            wapiti(address, folder)


if __name__ == "__main__":
    main()
