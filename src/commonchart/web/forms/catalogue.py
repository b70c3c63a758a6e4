"""Every form of the chart by its key, and the form that corrects a given resource."""

from __future__ import annotations

from typing import Any

from commonchart.web.forms.fields import Form
from commonchart.web.forms.measurements import PRESSURE, RESULT, VITALS_FORM, is_pressure
from commonchart.web.forms.medicines import IMMUNIZATION, MEDICATION
from commonchart.web.forms.orders import ORDER
from commonchart.web.forms.people import CONTACT, INSURANCE, PATIENT
from commonchart.web.forms.problems import ALLERGY, CONDITION, FAMILY, PROCEDURE
from commonchart.web.forms.visits import NOTE, VISIT

FORMS: dict[str, Form] = {
    form.key: form
    for form in (
        CONDITION,
        ALLERGY,
        MEDICATION,
        ORDER,
        VITALS_FORM,
        RESULT,
        PRESSURE,
        IMMUNIZATION,
        PROCEDURE,
        FAMILY,
        INSURANCE,
        CONTACT,
        PATIENT,
        VISIT,
        NOTE,
    )
}
_CORRECTS = {form.rtype: form for form in FORMS.values() if form.rtype != "Observation"}


def corrects(resource: dict[str, Any]) -> Form | None:
    """The form that can correct this resource, None if there is none (it is corrected where it came from)."""
    if resource["resourceType"] != "Observation":
        return _CORRECTS.get(resource["resourceType"])
    if is_pressure(resource):
        return PRESSURE
    return None if resource.get("component") else RESULT
