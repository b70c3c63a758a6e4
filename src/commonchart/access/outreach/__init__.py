"""Campaigns as an actor may begin, see and answer for them; what is sent is decided here, and again at sending."""
