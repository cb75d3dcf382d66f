"""A region on one machine: runs the unchanged program with no cloud account."""
