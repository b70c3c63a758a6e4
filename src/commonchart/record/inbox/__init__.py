"""The inbox as rows: items and what was done with them, critical alerts and their notices, covers."""
