"""Sources that the hosts install from, served on the rehearsal's own address."""
