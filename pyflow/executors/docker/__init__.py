"""Each task in a container of its own, on the Docker engine that the caller uses."""
