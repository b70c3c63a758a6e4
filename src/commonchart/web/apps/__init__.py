"""Pages about apps: what one is allowed, which there are, which I have connected, which open from a chart."""
