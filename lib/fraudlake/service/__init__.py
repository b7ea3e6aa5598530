"""What an operator needs of a running stream: figures, health, logs, the model in service."""
