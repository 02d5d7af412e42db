"""What takes weights and images: features, relearning, an untrained network."""
