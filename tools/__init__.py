"""What `make` starts beside Pulumi."""
