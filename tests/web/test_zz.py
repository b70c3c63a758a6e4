import datetime as d
import time

from commonchart.access import users
from commonchart.access.records import Put, Records
from commonchart.fhir.validate import validate
from commonchart.jobs import due, worker
from tests.web.conftest import token_of
from tests.web.test_quarantine import potassium


async def test_many(sage, database, clock):
    loader = Records(database, users.system(1, "test"), clock)
    start = d.date(1990, 1, 1)
    for k in range(0, 20000, 1000):
        made = [
            potassium(
                f"p{n}",
                (start + d.timedelta(hours=n * 15)).isoformat()
                if False
                else (d.datetime(1990, 1, 1) + d.timedelta(hours=n * 15)).strftime("%Y-%m-%dT%H:00:00Z"),
                "14" if n % 100 == 0 else "4.1",
            )
            for n in range(k, k + 1000)
        ]
        await loader.commit([Put(validate(one), one["id"]) for one in made])
    t = time.perf_counter()
    c = time.process_time()
    await worker.drain(database, clock)
    print("drain (queue of 20000)", time.perf_counter() - t, time.process_time() - c)
    async with database.connection() as conn:
        t = time.perf_counter()
        c = time.process_time()
        await due.again(conn, 1, "ines", clock())
        print("again", time.perf_counter() - t, "cpu", time.process_time() - c)
    for path in (
        "/quarantine",
        "/patients/ines/quarantine/Observation/p19900",
        "/patients/ines/results",
        "/patients/ines/results/trend?test=http://loinc.org|2823-3",
        "/patients/ines/growth",
        "/patients/ines/calculators",
    ):
        for _ in range(2):
            t = time.perf_counter()
            c = time.process_time()
            page = await sage.get(path)
            print(
                path,
                page.status_code,
                len(page.content),
                round(time.perf_counter() - t, 3),
                "cpu",
                round(time.process_time() - c, 3),
            )
    one = "/patients/ines/quarantine/Observation/p19900"
    t = time.perf_counter()
    r = await sage.post(
        one,
        data={
            "csrf": token_of(await sage.get(one)),
            "vid": "1",
            "comment": "because",
            "decision": "rejected",
        },
    )
    print("reject", r.status_code, time.perf_counter() - t)
