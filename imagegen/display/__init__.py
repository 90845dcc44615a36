"""What people and scripts see. Displays read events, plans and other values, and do nothing."""
