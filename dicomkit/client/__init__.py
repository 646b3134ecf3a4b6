"""The client: datasets, stores and searches over one HTTP session."""
