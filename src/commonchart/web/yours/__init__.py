"""One's own account: second factors, password, sessions. For staff and patients alike, each in their own look."""
