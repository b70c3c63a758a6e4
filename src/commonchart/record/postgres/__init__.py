"""Running PostgreSQL: its programs, its user, its folder, its process."""
