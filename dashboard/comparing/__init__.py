"""The page that compares variants, in parts."""
