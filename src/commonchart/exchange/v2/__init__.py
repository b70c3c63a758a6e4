"""HL7 version 2 messages of immunization registries, in and out."""
