"""The pure heart: values and rules, no input or output, no framework."""
