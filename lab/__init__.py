"""The lab: real devices, and virtual SBCs of ours, brought up on this machine for tests, benchmarks and demos.

netconfd, FRR and OpenSSH are Debian's; only their configuration is ours. Everything listens on loopback or in a network
namespace of its own, needs root, and is gone after `stop`.
"""
