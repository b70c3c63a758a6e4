"""Clinical calculators: pure formulas that name their source, their inputs and what is missing."""
