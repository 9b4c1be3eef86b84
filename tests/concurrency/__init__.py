"""Many threads, processes and open transactions at work on one storage at once."""
