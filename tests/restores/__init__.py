"""Backups made and restored with the real tools, and devices that have seen more than the backup has."""
