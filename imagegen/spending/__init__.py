"""What all runs of the user spent, by list prices, and the limits they keep to."""
