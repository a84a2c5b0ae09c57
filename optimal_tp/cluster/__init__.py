"""The additional parts of a run in a cluster: starting and stopping servers, the deadline, the receipt."""
