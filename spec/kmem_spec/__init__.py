"""What must hold: the rules of Linux's page, slab and vmalloc allocators."""
