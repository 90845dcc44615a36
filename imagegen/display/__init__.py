"""What people and scripts see. Displays read events and plans, and know nothing else."""
