"""Resources turned into what a page shows: pure functions, no I/O, nothing hidden and nothing invented."""
