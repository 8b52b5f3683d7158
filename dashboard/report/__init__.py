"""The report of an experiment as one HTML file, and its tables in Markdown. Knows no widget."""
