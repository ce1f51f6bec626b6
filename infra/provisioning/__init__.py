"""Dynamic Pulumi resources: topics, Kafka's users, Cassandra's roles, index templates, saved objects, health gates,
images, volume owners, certificates, credentials.

Pulumi pickles a provider into the state, a class that can be imported by its name: so reformatting its code is no
change. Pulumi starts these modules without the program, so they depend on nothing but the project's folder.

What has a fixed name is deleted before it is replaced (`delete_before_replace`). A forced replacement (`pulumi up
--replace`, `pulumi state taint`) does not call a provider's `diff`: the object would be adopted as its own replacement,
and then deleted.
"""
