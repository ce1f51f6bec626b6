"""Realistic Match-V5 matches, made from a seed and sent to Kafka."""
