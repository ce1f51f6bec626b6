"""Code that runs on the Spark driver only."""
