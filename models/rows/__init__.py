"""The rows of the table of networks, a file for each task."""
