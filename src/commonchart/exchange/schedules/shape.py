"""Reading CDC's supporting data: the elements this program knows, and a refusal that names any it does not."""

from __future__ import annotations

from commonchart.fhir import xml
from commonchart.fhir.outcome import Invalid, Malformed
from commonchart.fhir.xml import Element

MAX_FILE = 8_000_000

_LEAVES = {
    "contraindication": "observationCode observationTitle contraindicationText contraindicationGuidance beginAge endAge",
    "contraindicatedVaccine": "vaccineType cvx beginAge endAge",
    "clinicalHistory": "guidelineCode guidelineTitle",
    "dateOfBirth": "immunityBirthDate birthCountry",
    "exclusion": "exclusionCode exclusionTitle",
    "series": "seriesName targetDisease vaccineGroup seriesAdminGuidance seriesType equivalentSeriesGroups requiredGender",
    "selectSeries": "defaultSeries productPath seriesGroupName seriesGroup seriesPriority seriesPreference minAgeToStart maxAgeToStart",
    "indication": "description beginAge endAge guidance",
    "observationCode": "text code",
    "fromRelevantObs": "text code",
    "seriesDose": "doseNumber recurringDose",
    "age": "absMinAge minAge earliestRecAge latestRecAge maxAge effectiveDate cessationDate",
    "interval": "fromPrevious fromTargetDose fromMostRecent absMinInt minInt earliestRecInt latestRecInt intervalPriority effectiveDate cessationDate",
    "allowableInterval": "fromPrevious fromTargetDose absMinInt effectiveDate cessationDate",
    "preferableVaccine": "vaccineType cvx beginAge endAge tradeName mvx volume forecastVaccineType",
    "allowableVaccine": "vaccineType cvx beginAge endAge",
    "inadvertentVaccine": "vaccineType cvx",
    "conditionalSkip": "context setLogic",
    "set": "setID setDescription effectiveDate cessationDate conditionLogic",
    "condition": "conditionID conditionType startDate endDate beginAge endAge interval doseCount doseType doseCountLogic vaccineTypes seriesGroups",
    "seasonalRecommendation": "startDate endDate",
    "liveVirusConflict": "conflictBeginInterval minConflictEndInterval conflictEndInterval",
    "previous": "vaccineType cvx",
    "current": "vaccineType cvx",
    "vaccineGroup": "name administerFullVaccineGroup",
    "vaccineGroupMap": "name antigen",
    "cvxMap": "cvx shortDescription",
    "association": "antigen associationBeginAge associationEndAge",
    "observation": "observationCode observationTitle group indicationText contraindicationText clarifyingText",
    "codedValue": "code codeSystem text",
}
_BRANCHES = {
    "antigenSupportingData": "immunity contraindications series",
    "immunity": "clinicalHistory dateOfBirth",
    "dateOfBirth": "exclusion",
    "contraindications": "vaccineGroup vaccine",
    "vaccineGroup": "contraindication",
    "vaccine": "contraindication",
    "contraindication": "contraindicatedVaccine",
    "series": "selectSeries indication seriesDose",
    "indication": "observationCode",
    "seriesDose": "age interval allowableInterval preferableVaccine allowableVaccine inadvertentVaccine conditionalSkip seasonalRecommendation",
    "interval": "fromRelevantObs",
    "conditionalSkip": "set",
    "set": "condition",
    "scheduleSupportingData": "liveVirusConflicts vaccineGroups vaccineGroupToAntigenMap cvxToAntigenMap observations",
    "liveVirusConflicts": "liveVirusConflict",
    "liveVirusConflict": "previous current",
    "vaccineGroups": "vaccineGroup",
    "vaccineGroupToAntigenMap": "vaccineGroupMap",
    "cvxToAntigenMap": "cvxMap",
    "cvxMap": "association",
    "observations": "observation",
    "observation": "codedValues",
    "codedValues": "codedValue",
}
KNOWN = {
    name: frozenset((_LEAVES.get(name, "") + " " + _BRANCHES.get(name, "")).split())
    for name in _LEAVES.keys() | _BRANCHES.keys()
}
ROOTS = ("antigenSupportingData", "scheduleSupportingData")


def parsed(document: bytes, file: str) -> Element:
    """The root of a supporting-data file. Raises Invalid naming the file and element for any shape not known."""
    if len(document) > MAX_FILE:
        raise Invalid(f"{file} has more than {MAX_FILE} bytes", at=file, code="too-long")
    try:
        root = xml.parsed(document, file)
    except Malformed as bad:
        raise Invalid(str(bad), at=file, code="structure") from None
    if root.tag not in ROOTS:
        raise Invalid(f"{file}: <{root.tag}> is no supporting data ({' or '.join(ROOTS)})", at=file)
    _known(root, file)
    return root


def _known(element: Element, file: str) -> None:
    allowed = KNOWN.get(str(element.tag), frozenset())
    for child in element:
        if child.tag not in allowed:
            where = f"{file}, line {child.sourceline}: <{element.tag}><{child.tag}>"
            raise Invalid(f"{where} is not in the shape this program reads (CDSi 4.6): a newer one?", at=file)
        _known(child, file)


def text(element: Element | None, name: str = "") -> str:
    """The text of an element or of its child: trimmed, "" for absent, empty or n/a."""
    found = element.find(name) if name and element is not None else element
    said = (found.text or "").strip() if found is not None else ""
    return "" if said.lower() == "n/a" else said


def filled(element: Element, name: str) -> list[Element]:
    """The children of this name that hold anything: an absent block is an empty element in these files."""
    return [child for child in element.findall(name) if len(child)]
