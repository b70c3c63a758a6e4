"""Which records are of one human, and where records of one human repeat or contradict each other: pure."""
