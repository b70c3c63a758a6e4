"""The chart's forms as data: fields in, FHIR resources out. Pure: no request, no template, no database."""
