"""Servers and databases are killed in the middle of their work; what was acknowledged is there, and nothing by half."""
