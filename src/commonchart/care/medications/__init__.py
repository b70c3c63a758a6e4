"""Medication safety: allergies, interactions, duplicates, doses, kidney, age, pregnancy; and what was not checked."""
