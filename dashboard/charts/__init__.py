"""Charts as pure functions: frame in, plotly figure out. They know no page, no database and no session."""
