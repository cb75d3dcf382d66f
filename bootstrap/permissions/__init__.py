"""IAM policy documents of the bootstrap, as pure functions; see docs/bootstrap.md.

The deploy role of an environment is held to what is its own by name where AWS lets names be chosen,
by the tag Project where it does not, and by account and region always.
"""
