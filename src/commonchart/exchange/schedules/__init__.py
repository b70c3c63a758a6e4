"""Immunization schedules from their publishers' files."""
