"""The doors: each turns bytes into an operation, asks the gate, and turns the result into bytes."""
