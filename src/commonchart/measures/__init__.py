"""Quality measures: small definitions over a patient's facts, and CMS's own cases to check them against."""
