"""A synthetic practice: invented people with plausible courses, the same every time for the same seed and day."""
