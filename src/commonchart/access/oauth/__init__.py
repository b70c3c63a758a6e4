"""The OAuth 2 server of SMART on FHIR: apps, what people allow them, and tokens (docs/reference/smart.md)."""
