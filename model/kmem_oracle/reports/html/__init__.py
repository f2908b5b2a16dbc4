"""Reports as pages: one file each, its data, style and script inside; it asks nothing of a network."""
