//! Neighbour lists: cell list, Verlet skin, periodic images. Knows nothing of networks.
