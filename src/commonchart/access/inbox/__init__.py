"""The results inbox as an actor may use it: reading, signing, forwarding, ordering, covers, critical values."""
