"""Pages about the people who sign in: accounts, the links by which passwords are set, and who may do what."""
