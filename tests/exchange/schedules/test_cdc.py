"""A supporting-data release in miniature, written for these tests, and everything that is refused of one."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

from commonchart.care.immunizations.pack import checked
from commonchart.care.immunizations.schema import Pack
from commonchart.exchange.schedules import cdc, release
from commonchart.fhir.outcome import Invalid, NotFound

SCHEDULE = """<scheduleSupportingData><liveVirusConflicts><liveVirusConflict>
<previous><vaccineType>BCG</vaccineType><cvx>19</cvx></previous><current><vaccineType>Alpha</vaccineType><cvx>3</cvx></current>
<conflictBeginInterval>1 day</conflictBeginInterval><minConflictEndInterval>28 days</minConflictEndInterval>
<conflictEndInterval>28 days</conflictEndInterval></liveVirusConflict></liveVirusConflicts>
<vaccineGroups><vaccineGroup><name>Alpha</name><administerFullVaccineGroup/></vaccineGroup></vaccineGroups>
<vaccineGroupToAntigenMap><vaccineGroupMap><name>Alpha</name><antigen>Alpha</antigen></vaccineGroupMap></vaccineGroupToAntigenMap>
<cvxToAntigenMap><cvxMap><cvx>3</cvx><shortDescription>Alpha vaccine</shortDescription><association><antigen>Alpha</antigen>
<associationBeginAge/><associationEndAge>n/a</associationEndAge></association></cvxMap></cvxToAntigenMap>
<observations><observation><observationCode>001</observationCode><observationTitle>Title</observationTitle><group/>
<indicationText>Sentence.</indicationText><contraindicationText/><clarifyingText/><codedValues><codedValue><code>42</code>
<codeSystem>SNOMED</codeSystem><text>Licensed words</text></codedValue></codedValues></observation></observations>
</scheduleSupportingData>"""
ANTIGEN = """<antigenSupportingData><immunity/><contraindications><vaccineGroup/></contraindications><series>
<seriesName>Alpha series</seriesName><targetDisease>Alpha</targetDisease><vaccineGroup>Alpha</vaccineGroup>
<seriesAdminGuidance>Shared clinical decision-making (SCDM) is recommended regarding Alpha for persons 27-45 years of age.</seriesAdminGuidance><seriesType>Standard</seriesType>
<equivalentSeriesGroups/><requiredGender/><selectSeries><defaultSeries>Yes</defaultSeries><productPath>No</productPath>
<seriesGroupName>Standard</seriesGroupName><seriesGroup>1</seriesGroup><seriesPriority>A</seriesPriority>
<seriesPreference>1</seriesPreference><minAgeToStart/><maxAgeToStart/></selectSeries><indication/><seriesDose>
<doseNumber>Dose 1</doseNumber><age><absMinAge>12 months - 4 days</absMinAge><minAge>12 months</minAge><earliestRecAge/>
<latestRecAge/><maxAge/><effectiveDate>20250827</effectiveDate><cessationDate/></age><interval/><allowableInterval/>
<preferableVaccine><vaccineType>Alpha</vaccineType><cvx>3</cvx><beginAge/><endAge>13 years + 4 weeks</endAge><tradeName/><mvx/>
<volume>0.5</volume><forecastVaccineType>Y</forecastVaccineType></preferableVaccine><allowableVaccine/><inadvertentVaccine/>
<conditionalSkip><context>Both</context><setLogic>n/a</setLogic><set><setID>1</setID><setDescription>Sentence.</setDescription>
<effectiveDate/><cessationDate/><conditionLogic/><condition><conditionID>1</conditionID>
<conditionType>Vaccine Count By Age</conditionType><startDate/><endDate/><beginAge>0 days</beginAge><endAge/><interval/>
<doseCount>1</doseCount><doseType>valid</doseType><doseCountLogic>Greater Than</doseCountLogic><vaccineTypes>3; 19</vaccineTypes>
<seriesGroups/></condition></set></conditionalSkip><recurringDose>No</recurringDose><seasonalRecommendation/></seriesDose>
</series></antigenSupportingData>"""


def made(schedule: str = SCHEDULE, antigen: str = ANTIGEN) -> Pack:
    return cdc.pack(
        {"Schedule.xml": schedule.encode(), "Alpha.xml": antigen.encode()}, "cdc-9.9", "9.9", "", "tests"
    )


def test_facts_are_carried_over_and_sentences_are_not() -> None:
    pack = checked(made())
    series = pack.antigens["Alpha"].series[0]
    dose = series.doses[0]
    assert (dose.age[0].abs, dose.age[0].from_) == ("12m-4d", "2025-08-27")
    assert series.shared == ("27y", "46y")
    assert [(row.cvx, row.to, row.forecast) for row in pack.antigens["Alpha"].vaccines[dose.prefer]] == [
        ("03", "13y+4w", True)
    ]
    when = dose.skip[0].sets[0].when[0]
    assert (when.t, when.n, when.valid, when.cvx) == ("count", ">1", True, ("03", "19"))
    assert pack.schedule.cvx["19"].antigens == ()
    assert pack.schedule.observations["001"].codes == (("http://snomed.info/sct", "42"),)
    assert "Sentence" not in repr(pack)
    assert "Licensed" not in repr(pack)


@pytest.mark.parametrize(
    ("find", "put", "said"),
    [
        ("<recurringDose>", "<doseColour>red</doseColour><recurringDose>", r"<seriesDose><doseColour> is not in the shape"),
        ("12 months - 4 days", "a year or so", "'a year or so' is no age or interval"),
        ("20250827", "20251399", "is no date"),
        ("<context>Both", "<context>Sometimes", "skip context 'sometimes'"),
        ("Greater Than", "about", "dose count logic 'about'"),
        ("Vaccine Count By Age", "Phase of the Moon", "condition type"),
        ("<seriesType>Standard", "<seriesType>Hybrid", "series type 'Hybrid'"),
        ("<cvx>3<", "<cvx>three<", "'three' is no CVX code"),
        ("<doseCount>1", "<doseCount>one", "is no whole number"),
        ("<interval/>", "<interval><fromPrevious>N</fromPrevious></interval>", "does not say from what it counts"),
    ],
)  # fmt: skip
def test_a_newer_or_unknown_shape_is_refused_by_file_and_element(find: str, put: str, said: str) -> None:
    assert find in ANTIGEN
    with pytest.raises(Invalid, match=said) as refused:
        made(antigen=ANTIGEN.replace(find, put))
    assert refused.value.issues[0].at == "Alpha.xml"


@pytest.mark.parametrize(
    ("document", "said"),
    [
        ("<antigenSupportingData>", "is no XML"),
        ("<html/>", "is no supporting data"),
        (
            '<!DOCTYPE a [<!ENTITY e SYSTEM "file:///etc/passwd">]><antigenSupportingData>&e;</antigenSupportingData>',
            "document type",
        ),
    ],
)
def test_what_is_no_supporting_data_is_refused(document: str, said: str) -> None:
    with pytest.raises(Invalid, match=said):
        made(antigen=document)


def test_a_release_without_its_schedule() -> None:
    with pytest.raises(Invalid, match="no schedule file"):
        cdc.pack({"Alpha.xml": ANTIGEN.encode()}, "cdc-9.9", "9.9", "", "tests")


def test_a_release_is_a_folder_or_a_zip(tmp_path: Path) -> None:
    path = tmp_path / "supporting-data-9.9-508.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("XML/Alpha.xml", ANTIGEN)
        archive.writestr("XML/Schedule.xml", SCHEDULE)
        archive.writestr("readme.txt", "not read")
    found = release.files(path)
    assert sorted(found) == ["Alpha.xml", "Schedule.xml"]
    assert release.version(path) == "9.9"
    with pytest.raises(NotFound):
        release.files(tmp_path / "none")
    with pytest.raises(Invalid, match="no XML file"):
        release.files(tmp_path)
    (tmp_path / "other.bin").write_bytes(b"no zip")
    with pytest.raises(Invalid, match="no folder and no zip"):
        release.files(tmp_path / "other.bin")


def test_a_release_is_bounded(tmp_path: Path) -> None:
    path = tmp_path / "bomb-1.1.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("Alpha.xml", b" " * (release.MAX_FILE + 1))
    with pytest.raises(Invalid, match="larger than a release"):
        release.files(path)
