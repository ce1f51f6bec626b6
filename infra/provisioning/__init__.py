"""Dynamic Pulumi resources: topics, Kafka's users, Cassandra's roles, index templates, saved objects, health gates,
images, volume owners, certificates, credentials."""
