"""The promises of the storage contract, held against every storage that there is."""
