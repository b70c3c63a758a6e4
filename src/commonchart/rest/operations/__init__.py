"""The `$operations` of the FHIR API, one module each; `table` lists them."""
