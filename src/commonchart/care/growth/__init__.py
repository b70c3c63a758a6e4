"""Growth of children: percentiles by the WHO standards and the CDC charts, curves, and refusals."""
