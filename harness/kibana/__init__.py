"""The contract of Kibana's saved objects: their JSON schema, their references and fields, and their queries."""
