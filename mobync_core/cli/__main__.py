from mobync_core.cli import main

main()
