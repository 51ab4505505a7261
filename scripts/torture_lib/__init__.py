"""What scripts/torture is made of: programs that try to break the kernel, run under things that notice it."""
