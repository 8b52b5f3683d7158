"""What is served to other programs beside the pages, and its description."""
