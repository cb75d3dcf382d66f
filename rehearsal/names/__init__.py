"""DNS of the rehearsal: the zones that Route 53 holds, as the internet and as the VPC see them,
and the names of network load balancers, which answer with their targets' addresses.

It never forwards: a name that is neither in a zone, nor a mirror's, nor a host's doesn't exist.
"""
