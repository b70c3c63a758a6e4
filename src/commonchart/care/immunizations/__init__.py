"""Immunizations by CDC's logic: every dose evaluated, the next one forecast, both explained (CDSi specification 4.6)."""
