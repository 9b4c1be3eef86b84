"""The promises of a storage, one module for each subject; each test's name says what is promised."""
