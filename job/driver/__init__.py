"""Code that runs in the Spark driver only: session, streaming query, checkpoints, batch size, metrics, HTTP server.

Functions that the driver sends to the executors are in `job.tasks`.
"""
