"""Commonchart: one health record per patient, kept in common."""
