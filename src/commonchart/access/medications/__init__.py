"""Medication alerts: checking orders, reviewing records, what was shown, overridden and approved."""
