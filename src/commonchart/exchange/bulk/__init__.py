"""Bulk data out and in: exports as NDJSON files, imports by manifest. https://hl7.org/fhir/uv/bulkdata/."""
