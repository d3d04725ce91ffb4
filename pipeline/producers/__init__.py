"""What puts events on the log: the collector (HTTP), replay (files), the relay (Kafka topics), the simulator."""
