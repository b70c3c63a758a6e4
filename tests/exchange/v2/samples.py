"""Messages as a registry sends them, by functions; written for these tests."""

from __future__ import annotations

MSH = (
    "MSH|^~\\&|REG|COUNTY|EHR|CLINIC|20261101120000-0500||{kind}|{id}|P|2.5.1|||ER|AL|||||{profile}^CDCPHINVS"
)
PID = "PID|1||{number}^^^COUNTY^MR||{name}||{born}|F"
ADA = "Lovelace^Ada^King^^^^L"


def message(*segments: str, kind: str = "VXU^V04^VXU_V04", id: str = "m1", profile: str = "Z22") -> str:
    return "\r".join([MSH.format(kind=kind, id=id, profile=profile), *segments]) + "\r"


def pid(number: str = "77", name: str = ADA, born: str = "20240215") -> str:
    return PID.format(number=number, name=name, born=born)


def orc(filler: str = "D1") -> str:
    return f"ORC|RE||{filler}^COUNTY"


def rxa(
    date: str = "20250301", vaccine: str = "03^MMR^CVX", *, status: str = "CP", action: str = "A", reason: str = "",
    lot: str = "L1", origin: str = "00^New record^NIP001", amount: str = "0.5|mL^mL^UCUM",
) -> str:  # fmt: skip
    return (
        f"RXA|0|1|{date}||{vaccine}|{amount}||{origin}|7824^Jackson^Lily^^^^^^COUNTY^L^^^NPI|^^^Oak Clinic||||"
        f"{lot}|20270101|MSD^Merck^MVX|{reason}||{status}|{action}"
    )


def dose(filler: str = "D1", **how: str) -> list[str]:
    return [orc(filler), rxa(**how)]


def obx(code: str, kind: str, value: str, group: str = "1", n: int = 1) -> str:
    return f"OBX|{n}|{kind}|{code}^x^LN|{group}|{value}||||||F|||20250301"
