"""The steps of the schema: `versions/NNNN_word.sql`, run by `commonchart.record.upgrade`."""
