"""The whole cluster in one thread on one seed: network, disks, crashes, clients, and the checks of every step."""
