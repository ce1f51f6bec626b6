"""The contract of Kibana's saved objects: their shapes, and the queries that they make."""
