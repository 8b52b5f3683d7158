"""What the page of one experiment is made of: its header and actions, its tabs and what stands under each."""
