"""Branch and bound on the perspective bound: node kernels, the tree, and the search."""
