"""Clinical rules: pure functions of evidence, person, rules and a date. Care decides; records commit."""
