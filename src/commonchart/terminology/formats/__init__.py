"""The files in which code systems are published, read within bounds; a row that cannot be read is named by file and line."""
