"""How requests travel: to the engine in this process, to a dicomkit server, or to Google Cloud."""
