"""Rate limits shared by every process: which key may send now."""
