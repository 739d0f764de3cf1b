"""What every package shares: errors, files, terminals, programs that are started."""
