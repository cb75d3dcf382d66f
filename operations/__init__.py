"""What a platform that runs asks of its operators: status, leftovers, teardown, image tags.

Each works on any environment, by its stack, its kubeconfig or its checkout.
"""
