"""What lives inside the services, as resources with a whole life cycle: topics, index templates, saved objects."""
