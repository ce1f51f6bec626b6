"""`make report`: the live data as one self-contained HTML page, and each chart as a PNG."""
