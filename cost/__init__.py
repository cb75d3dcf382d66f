"""What an environment costs a month, from a preview of it and a committed table of prices."""
