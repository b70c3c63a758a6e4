"""Code systems, value sets and concept maps: what they mean, over a look-up that is passed in (tables: `record`)."""
