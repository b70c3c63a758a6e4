"""Reminders on their way: by the site's mail server, and by webhook to whoever sends its texts and makes its calls."""
