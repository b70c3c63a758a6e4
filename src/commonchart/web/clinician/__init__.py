"""The clinician's pages: patients, the chart and its sections, provenance."""
