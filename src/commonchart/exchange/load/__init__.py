"""Files in, with a receipt that accounts for every entry."""
