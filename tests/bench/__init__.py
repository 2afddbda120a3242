"""How fast the portal is, measured from outside and printed as one table: `python -m tests.bench --help`."""
