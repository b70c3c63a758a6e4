"""Work that happens after a commit: what reads the change feed."""
