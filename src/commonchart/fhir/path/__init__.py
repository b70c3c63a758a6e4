"""FHIRPath: parsed once, compiled to closures (http://hl7.org/fhirpath/N1/). Entry: `fhir.path.engine.compile`."""
