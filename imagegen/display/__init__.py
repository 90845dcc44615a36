"""Terminal and machine output. Displays read events and plain values and change nothing."""
