"""Models from descriptors to phase and strength: forests, Gaussian processes, networks, and how they are judged."""
