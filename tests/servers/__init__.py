"""Real servers for the tests: found or started once per session, a fresh database for each test."""
