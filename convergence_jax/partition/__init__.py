"""Statistics under partition: replicas that always answer, with intervals that hold."""
