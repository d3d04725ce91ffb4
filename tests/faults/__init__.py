"""What the worker must survive, each on a real Kafka and a real Redis; the pure core decides it again."""
