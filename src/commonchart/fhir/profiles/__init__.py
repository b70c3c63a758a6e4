"""Profiles: constraints on FHIR R4 types, compiled from StructureDefinitions and checked."""
