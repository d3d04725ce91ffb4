"""What an operator relies on: alerts, dashboards, doctor, logs; shown against running roles and a real Prometheus."""
