"""The seals over the audit trail: what shows that nobody edited, deleted, inserted or reordered an event."""
