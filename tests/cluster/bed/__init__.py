"""The test-bed: a real Kubernetes with Velero on this machine. docs/cluster.md tells about it."""
