"""The patient's door: their own record in plain words, who saw it, who shares it. Never a chart of anybody else."""
