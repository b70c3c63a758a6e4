"""Contacting people: whom, by which way, in which words. Decides only; sending is elsewhere."""
