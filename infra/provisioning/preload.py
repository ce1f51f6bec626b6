"""Preloads every library of the dynamic providers, against a race between imports. Each provider's module imports this.

Pulumi runs the providers in threads of one process, and imports a provider's module in the thread that first needs it.
While one thread creates a subclass of several abstract classes (pyarrow's MapScalar, which Elasticsearch's client
imports where it is installed), `isinstance` in another thread can get a wrong result from the unfinished class and
cache it (python/cpython#116093). It happened: every str was a Mapping, and the refresh of each resource failed. A
thread that has passed this import only sees finished classes.

It also starts the watch of Pulumi's engine, because nothing else runs in each such process.
"""

# ruff: noqa: F401
import bcrypt
import cassandra.cluster
import confluent_kafka.admin
import cryptography.x509
import docker
import elasticsearch
import requests
import tenacity

import job.printable
from infra.engine_watch import end_with_engine

end_with_engine()
