"""The results inbox: what a result says, to whom it is addressed, what a new version does, who hears of a critical one."""
