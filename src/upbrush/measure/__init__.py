"""Measuring pictures: any method's outputs against the truth, and methods against each other."""
