"""What tests of Mobync, of its adapters and of applications that use it are built from."""
