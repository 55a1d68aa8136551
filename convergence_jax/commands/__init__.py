"""What the subcommands of ``convergence`` do, one file each."""
