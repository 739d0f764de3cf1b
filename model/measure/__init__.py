"""What is measured of networks: multiplications, wins, noise, few-shot accuracy, pruning."""
