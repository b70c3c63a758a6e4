"""The people who may sign in: invitations, factors, sessions, and what slows guessers down."""
