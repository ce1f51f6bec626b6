"""Dynamic Pulumi resources: topics, index templates, saved objects, health gates, the base image, passwords."""
