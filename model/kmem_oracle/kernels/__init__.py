"""Linux kernels as targets: their sources, how they are built with the driver inside, where they are kept."""
