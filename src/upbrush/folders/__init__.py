"""Many pictures: folders, shards and manifests, on all cores of a machine or on a Ray cluster."""
