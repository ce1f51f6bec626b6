"""Match generator, the stack's load generator: produces realistic, deterministic (seeded) Match-V5 matches and sends
them to Kafka."""
