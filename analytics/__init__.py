"""Queries, figures and charts of the live data, which `make report` and the dashboard share."""
