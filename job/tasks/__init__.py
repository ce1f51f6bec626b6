"""Code that runs in Spark tasks on the executors."""
