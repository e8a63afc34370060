"""The web GUI door: pages drawn by the server; every one speaks to the gate and to nothing else."""
