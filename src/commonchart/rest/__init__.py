"""The FHIR R4 API: one route table, one module per interaction. http://hl7.org/fhir/R4/http.html."""
