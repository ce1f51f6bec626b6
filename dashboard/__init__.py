"""The dashboard: the live data as pages in the browser, refreshed every ten seconds. It only reads."""
