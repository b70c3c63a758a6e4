"""Topic-based subscriptions (R4 backport). https://hl7.org/fhir/uv/subscriptions-backport/."""
