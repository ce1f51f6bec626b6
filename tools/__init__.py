"""The command line tools behind `make`: health status, report, dead letters, backfill, repair."""
