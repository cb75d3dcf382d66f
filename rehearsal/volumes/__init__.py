"""Stands in for the EBS CSI driver, outside the cluster: claims become volumes in EC2.

A volume is a folder of this machine, which every host sees; what is on it outlives the host.
"""

# The file of a run that is there while the daemon works.
READY = "volumes.ready"
