"""Every library of the dynamic providers, loaded before any of them does anything: each provider's module imports this.

Pulumi runs the providers in threads of one process, and loads a provider's module in the thread that first needs it.
While one thread makes a subclass of several abstract classes (pyarrow's MapScalar, which Elasticsearch's client brings
where it is installed), another's `isinstance` can take a wrong answer from the unfinished class and keep it
(python/cpython#116093): once every str was a Mapping, and each resource's refresh failed. A thread that gets past this
import meets finished classes only.
"""

# ruff: noqa: F401
import confluent_kafka.admin
import docker
import elasticsearch
import requests
import tenacity
