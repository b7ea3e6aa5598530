"""What an operator needs of a running stream: metrics, health, logs, the model in service."""
