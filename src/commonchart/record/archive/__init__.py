"""What a backup is made of: the file, and the tables in it."""
